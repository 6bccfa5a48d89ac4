"""Variants by name: found, refused, added from outside."""

import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pixelq.config
from own_variants import as_it_was, mine, nothing, refused
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.recipes.values import with_all_options
from pixelq.variants import KINDS, TORSOS, register

__all__ = ["as_it_was", "mine"]
pytestmark = pytest.mark.usefixtures("as_it_was")

OWN = {
    "torso": {"2013", "2015", "minatar", "mlp", "plain", "impala"},
    "linear": {"plain", "noisy"},
    "memory": {"none", "lstm"},
    "streams": {"plain", "dueling"},
    "head": {"linear", "categorical", "quantile", "implicit_quantile", "fraction_proposal"},
    "loss": {
        *("dqn", "double", "rescaled_double", "lambda_returns", "c51", "qr", "iqn", "fqf", "hl_gauss"),
        *("munchausen", "m_iqn"),
    },
    "optimizer": {"rmsprop", "adam", "adamw", "radam", "adadelta", "obgd"},
    "sampler": {"uniform", "prioritized"},
    "epsilon_schedule": {"constant", "linear", "exponential", "ladder"},
    "loop": {"overlapped", "replay", "recurrent_replay", "parallel", "recurrent_parallel", "stream"},
}
"""What pixelq has, by kind."""


def test_the_help_of_each_kind_names_every_variant_that_pixelq_has() -> None:
    [config] = [part for part in ast.parse(inspect.getsource(pixelq.config)).body if isinstance(part, ast.ClassDef)]
    texts = {
        field.target.id: ast.literal_eval(text.value)
        for field, text in zip(config.body, config.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr)
    }
    for kind in KINDS.values():
        unnamed = [name for name in OWN[kind.name] if not re.search(rf"\b{name}\b", texts[kind.name])]
        assert unnamed == []


def test_every_file_is_a_variant_and_has_the_part_that_its_kind_asks_for() -> None:
    assert set(KINDS) == set(OWN)
    for kind in KINDS.values():
        assert OWN[kind.name] <= set(kind.names())
        for name in kind.names():
            assert callable(getattr(kind.find(name), kind.part))
            assert dataclasses.is_dataclass(kind.options_class(name))
            kind.read_options(name, {})
            assert kind.describe(name)
    assert set(TORSOS) < set(KINDS["torso"].names())


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [
        ("torso", "2014", "2015"),
        ("torso", "minitar", "minatar"),
        ("linear", "plan", "plain"),
        ("memory", "ltsm", "lstm"),
        ("head", "liner", "linear"),
        ("loss", "DQN", "dqn"),
        ("loss", "doubled", "double"),
        ("loss", "lambda", "lambda_returns"),
        ("optimizer", "adm", "adam"),
        ("sampler", "unifrom", "uniform"),
        ("epsilon_schedule", "exponental", "exponential"),
        ("loop", "paralel", "parallel"),
    ],
)
def test_an_unknown_name_offers_the_nearest_and_all(kind: str, typed: str, meant: str) -> None:
    line = refused(KINDS[kind].find, typed)
    assert line.startswith(f"unknown {kind} {typed!r}; did you mean ")
    assert meant in line.partition("?")[0]
    assert all(name in line for name in KINDS[kind].names())
    assert "--import" in line
    for act in (with_all_options, validate):
        assert refused(act, dataclasses.replace(Config(), **{kind: typed})) == line


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["", "zzz", "__init__", "penalty", "../dqn", "dqn.py", "os", "os.path", "pixelq.losses.dqn", "a\nb", "é"]
)
def test_a_name_is_never_a_module_or_a_path(kind: str, name: str) -> None:
    before = set(sys.modules)
    assert f"unknown {kind} {name!r}" in refused(KINDS[kind].find, name)
    assert set(sys.modules) == before


# --- variants of one's own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in OWN.items() for name in sorted(names)])
def test_a_name_of_pixelqs_own_cannot_be_taken(kind: str, name: str) -> None:
    before = KINDS[kind].find(name)
    line = refused(lambda: register(kind, name, **{KINDS[kind].part: nothing}))
    assert f"{kind} {name!r} is one of pixelq's own" in line
    assert KINDS[kind].find(name) is before


def test_one_of_ones_own_is_found_and_may_be_replaced(mine: None) -> None:
    loss = KINDS["loss"]
    assert loss.names()[-1] == "mine"
    assert loss.find("mine").loss is nothing
    again = SimpleNamespace(loss=print)
    register("loss", "mine", again)
    assert loss.find("mine") is again
    assert vars(loss.read_options("mine", {})) == {}
    assert loss.names().count("mine") == 1


def test_what_lacks_its_part_or_is_of_no_kind_is_refused() -> None:
    assert "has no Head" in refused(lambda: register("head", "mine", loss=nothing))
    assert "has no loss" in refused(lambda: register("loss", "mine", SimpleNamespace(loss="text")))
    assert "has no Sampler" in refused(lambda: register("sampler", "mine", None))
    wrong = SimpleNamespace(loss=nothing, HEAD_OPTIONS="ends")
    assert "HEAD_OPTIONS must be a table" in refused(lambda: register("loss", "mine", wrong))
    assert "unknown kind of variant 'los'; did you mean loss" in refused(lambda: register("los", "mine", loss=nothing))
    assert all("mine" not in kind.names() for kind in KINDS.values())


class NoDataclass:
    """Options that say nothing of types."""

    kappa = 1.0


@dataclass(frozen=True)
class NoDefault:
    """Options without a default."""

    kappa: float


@pytest.mark.parametrize("options", [NoDataclass, NoDefault, {"kappa": 1.0}, "kappa", None])
def test_options_must_be_a_dataclass_with_defaults(options: Any) -> None:
    register("loss", "mine", loss=nothing, Options=options)
    assert "loss 'mine': its Options must be a dataclass" in refused(KINDS["loss"].read_options, "mine", {})
    assert "loss 'mine'" in refused(lambda: configure("pong", "cleanrl", {"loss": "mine"}))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Entry points of a package: one works, one fails, one is not there, one takes a name of pixelq's."""
    (tmp_path / "strange_loss.py").write_text("Options = None\n\n\ndef loss(*arguments):\n    '''Strange.'''\n")
    (tmp_path / "strange_failure.py").write_text("raise RuntimeError('not\\ntoday')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    named = {"good": "strange_loss", "fails": "strange_failure", "gone": "strange_nothing", "dqn": "strange_failure"}

    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in named.items()] if group == "pixelq.losses" else []

    monkeypatch.setattr("pixelq.variants.entry_points", entry_points)
    yield
    for name in named.values():
        sys.modules.pop(name, None)


def test_an_entry_point_is_imported_when_it_is_named_and_not_before(installed: None) -> None:
    assert set(KINDS["loss"].names()) >= {"good", "fails", "gone"}
    assert "strange_loss" not in sys.modules
    assert "strange_failure" not in sys.modules
    assert KINDS["loss"].find("good").loss.__doc__ == "Strange."
    assert KINDS["loss"].describe("good") == "Strange."


def test_an_entry_point_that_fails_is_one_line_and_never_stands_for_pixelqs_own(installed: None) -> None:
    with pytest.raises(UserError, match="loss 'fails' of strange_failure cannot be imported"):
        KINDS["loss"].find("fails")  # its message may have several lines; the command line makes them one
    assert "strange_nothing" in refused(KINDS["loss"].find, "gone")
    assert KINDS["loss"].find("dqn").__name__ == "pixelq.losses.dqn"
