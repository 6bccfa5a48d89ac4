"""Classes and functions of a person's module, chosen by `module:name`, and what the module says beside them."""

import importlib
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from own_variants import as_it_was, refused
from pixelq import named_objects
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.variants import KINDS, register

__all__ = ["as_it_was"]

NUMBERS = itertools.count()
LOSS = """
from dataclasses import dataclass

HEADS = ("categorical",)
HEAD_OPTIONS = {"atoms": 11}
LOOPS = ("replay",)
NEEDS_TARGET = True

@dataclass(frozen=True)
class Options:
    alpha: float = 0.5

def NAME(network, target_network, batch, options, noise): ...

def returns(played, options): ...
"""
TORSO = """
from dataclasses import dataclass

USES_PADDING = False

class MyTorso:
    pass

@dataclass(frozen=True)
class Options:
    width: int = 8
"""
NESTED = """
from dataclasses import dataclass

class Torso: ...

class MyTorso:
    @dataclass(frozen=True)
    class Options:
        width: int = 8
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_it_was: None) -> Iterator[Any]:
    """Makes a person's modules of a text each, which nobody has named yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(named_objects, "_NAMED", set())
    monkeypatch.setattr(named_objects, "IMPORTED", [])
    made: list[str] = []

    def make(text: str) -> ModuleType:
        made.append(f"my_module_{next(NUMBERS)}")
        (tmp_path / f"{made[-1]}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(made[-1])

    yield make
    for name in made:
        sys.modules.pop(name, None)


def chosen(**overrides: Any) -> Any:
    return configure("CartPole-v1", "cleanrl", {"torso": "mlp"} | overrides)


def test_a_loss_of_any_name_works_as_a_registered_one(module: Any) -> None:
    cramer = module(LOSS.replace("NAME", "cramer")).cramer
    usual = module(LOSS.replace("NAME", "loss"))
    register("loss", "registered", usual)
    name = KINDS["loss"].handed(cramer, {})
    assert name.endswith(":cramer")
    own, other = (chosen(loss=loss, alpha=0.25) for loss in (name, "registered"))
    for config in (own, other):
        assert (config.head, config.head_options["atoms"], config.loss_options) == ("categorical", 11, {"alpha": 0.25})
        validate(config)
    assert vars(own) == vars(other) | {"loss": name}
    assert callable(KINDS["loss"].find(name).returns)
    for loss in (name, "registered"):
        assert "head" in refused(lambda loss=loss: validate(chosen(loss=loss, head="linear")))
        assert "target = none" in refused(lambda loss=loss: validate(chosen(loss=loss, target="none")))
        parallel = {"loop": "parallel", "target": "none", "num_envs": 4, "rollout_length": 8, "batch_size": 32}
        assert "parallel" in refused(lambda loss=loss, more=parallel: validate(chosen(loss=loss, **more)))


def test_the_pages_torso_takes_its_options_from_its_module_or_itself(module: Any) -> None:
    for text in (TORSO, NESTED):
        name = KINDS["torso"].handed(module(text).MyTorso, {})
        assert KINDS["torso"].read_options(name, {"width": 16}).width == 16
        assert chosen(torso=name, width=16).torso_options == {"width": 16}
    assert KINDS["torso"].find(name).Options is not None
    assert not hasattr(KINDS["torso"].find(name), "USES_PADDING")


def test_options_that_may_be_anothers_are_refused_and_what_says_its_own_is_not(module: Any) -> None:
    text = LOSS.replace("NAME", "cramer")
    both = module(f"{text}\ndef loss(*given): ...\n")
    for act in (lambda: KINDS["loss"].handed(both.cramer, {}), lambda: register("loss", "mine", both.cramer)):
        line = refused(act)
        assert f"loss cramer: its module {both.__name__} has a second loss" in line
        assert "Options, HEADS, HEAD_OPTIONS, LOOPS, NEEDS_TARGET, returns" in line
        assert "cramer.Options = ..." in line
    said = "\n".join(f"cramer.{name} = {name}" for name in re.findall(r"^(?:class |def )?([A-Zr]\w+)", text, re.M))
    itself = module(f"{text}\ndef loss(*given): ...\n{said}\n")
    assert KINDS["loss"].read_options(KINDS["loss"].handed(itself.cramer, {}), {}).alpha == 0.5
    imported = module(f"from {itself.__name__} import loss, Options\n\ndef cramer(*given): ...\n")
    assert KINDS["loss"].read_options(KINDS["loss"].handed(imported.cramer, {}), {}).alpha == 0.5
    nothing_said = module("def loss(*given): ...\n\ndef cramer(*given): ...\n")
    assert KINDS["loss"].find(KINDS["loss"].handed(nothing_said.cramer, {})).loss is nothing_said.cramer


def test_a_module_whose_part_is_anothers_is_refused_where_what_it_says_would_be_lost(module: Any) -> None:
    home = module("def loss(*given): ...\n")
    passing = f"from {home.__name__} import loss\n"
    assert KINDS["loss"].handed(module(passing), {}) == f"{home.__name__}:loss"
    saying = module(f"{passing}HEADS = ('linear',)\n")
    assert f"does not say its HEADS; choose it by name: pixelq.register('loss', NAME, {saying.__name__})" in refused(
        lambda: KINDS["loss"].handed(saying, {})
    )


def test_what_a_kind_says_that_a_variant_may_say_is_known_of_its_modules() -> None:
    for kind in KINDS.values():
        text = importlib.import_module(kind.package).__doc__ or ""
        also = text.partition("may also say\n\n")[2].partition("\n\n")[0]
        listed = set(re.findall(r"^- `(\w+)", also, re.M)) | set(re.findall(r"`(USES_\w+|TAKES_HIDDEN)", text))
        if kind.name in ("loss", "loop", "epsilon_schedule", "torso", "streams"):
            assert listed
            assert listed <= set(kind.says), kind.name
