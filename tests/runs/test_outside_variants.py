"""Variants of every kind from outside the package (tests/outside): they train, resume to the byte, and are shown."""

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pixelq
from pixelq.config import Config
from pixelq.errors import RunError, UserError
from pixelq.losses.dqn import Options
from pixelq.losses.dqn import loss as dqn_loss
from pixelq.recipes.choice import configure
from pixelq.runs.session import resume, start
from pixelq.variants import KINDS
from scripts import script
from small_runs import SMALL, Killed, at_agent_step, die, facts, terminate

OUTSIDE = Path(__file__).parents[1] / "outside"
CART_POLE = {k: v for k, v in SMALL.items() if k not in ("screen_size", "noop_max")} | {
    "frame_skip": 1,
    "frame_stack": 2,
    "max_frames_per_episode": 24,
    "torso": "mlp",
    "num_envs": 4,
}
MINATAR = CART_POLE | {"torso": "minatar", "screen_size": 0, "grayscale": False}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "categorical head and loss": ("CartPole-v1", {"head": "my_categorical", "loss": "my_categorical", "atoms": 21}),
    "noisy linear layers": ("CartPole-v1", {"linear": "my_noisy", "sigma": 0.3, "epsilon_start": 0.0}),
    "proportional sampler": ("CartPole-v1", {"sampler": "my_proportional", "alpha": 0.7}),
    "lion": ("CartPole-v1", {"optimizer": "my_lion", "momentum": 0.8, "learning_rate": 1e-4}),
    "residual torso": ("MinAtar/Breakout-v1", {"torso": "my_residual", "width": 4, "target": "soft"}),
    "residual torso in bf16": ("MinAtar/Breakout-v1", {"torso": "my_residual", "precision": "bf16"}),
    "averaged target networks": ("CartPole-v1", {"loop": "my_averaged", "targets": 3}),
    "epsilon ladder": ("CartPole-v1", {"epsilon_schedule": "my_ladder", "base": 0.9}),
    "noisy layers in the parallel loop": ("CartPole-v1", {"linear": "my_noisy", "loop": "parallel"}),
    "gated memory": ("CartPole-v1", {"memory": "my_gated", "cells": 5, "loop": "recurrent_parallel", "frame_stack": 1}),
    "categorical loss in the parallel loop": (
        "CartPole-v1",
        {"head": "my_categorical", "loss": "my_categorical", "loop": "parallel"},
    ),
}
ENTRY_POINTS = (
    "--head outside_categorical --loss outside_categorical --atoms 21 --linear outside_noisy "
    "--sampler outside_proportional --optimizer outside_lion --epsilon-schedule outside_ladder"
)


NETWORKS: dict[str, str] = {}
"""Digests of networks by the configuration of the run that ended with them."""


@pytest.fixture
def my_variants(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module of one's own imported, as `--import my_variants` does."""
    monkeypatch.syspath_prepend(str(OUTSIDE))
    for kind in KINDS.values():
        monkeypatch.setattr(kind, "_registered", dict(kind._registered))
    sys.modules.pop("my_variants", None)
    __import__("my_variants")
    yield
    sys.modules.pop("my_variants", None)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package outside is installed, as pip leaves it: its folder and its dist-info."""
    project = tomllib.loads((OUTSIDE / "pyproject.toml").read_text())["project"]
    site = tmp_path_factory.mktemp("site")
    info = site / "pixelq_outside-1.0.dist-info"
    info.mkdir()
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("".join(groups))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (site / "pixelq_outside").symlink_to(OUTSIDE / "pixelq_outside")
    return {"PYTHONPATH": os.pathsep.join([str(site), str(Path(pixelq.__file__).parents[1])])}


def pixelq_says(arguments: str, environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pixelq", *arguments.split()]
    return subprocess.run(command, env=os.environ | environment, cwd=cwd, text=True, capture_output=True, check=False)


def configured(game: str, options: dict[str, Any]) -> Config:
    small = MINATAR if game.startswith("MinAtar") else CART_POLE
    if options.get("loop") in ("parallel", "recurrent_parallel"):
        parallel = {"rollout_length": 5, "batch_size": 10, "target": "none"}
        return configure(game, "cleanrl", small | parallel | options)
    return configure(game, "cleanrl", small | options)


@pytest.mark.parametrize("case", CASES)
def test_a_killed_and_resumed_run_of_a_variant_ends_as_an_unbroken_one(
    case: str, in_folder: Path, my_variants: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(*CASES[case])
    start(config, Path("unbroken"))
    for i, (step, act) in enumerate([(147, terminate), (251, die)]):
        with at_agent_step(monkeypatch, step, act), contextlib.suppress(Killed):
            result = resume(Path("broken")) if i else start(config, Path("broken"))
            assert result.signal == signal.SIGTERM
    assert resume(Path("broken")).signal is None
    unbroken = facts(Path("unbroken"))
    NETWORKS[repr(config)] = unbroken["network"]
    assert facts(Path("broken")) == unbroken
    assert ("sampler" in unbroken) == (config.sampler == "my_proportional")
    assert ({"learner: targets", "learner: moments"} <= unbroken.keys()) == (config.loop == "my_averaged")
    assert ("optimizer" in unbroken) == (config.loop != "my_averaged")
    assert pixelq.load("broken").config == config


def network_of(config: Config) -> str:
    """The digest of the network that this configuration ends with; each is trained once for all the tests here."""
    if repr(config) not in NETWORKS:
        folder = Path(f"run-{len(NETWORKS)}")
        start(config, folder)
        NETWORKS[repr(config)] = facts(folder)["network"]
    return NETWORKS[repr(config)]


@pytest.mark.parametrize("case", CASES)
def test_a_variant_changes_what_is_learned(case: str, in_folder: Path, my_variants: None) -> None:
    game, options = CASES[case]
    kept = ("loop", "target", "precision", "epsilon_start", "frame_stack")
    others = {name: value for name, value in options.items() if name in kept}
    others |= {"memory": "lstm"} if "memory" in options else {}
    assert network_of(configured(game, options)) != network_of(configured(game, others))


KILLED = {
    "all but the torso": f"CartPole-v1 --torso mlp {ENTRY_POINTS}",
    "the residual torso": "MinAtar/Breakout-v1 --torso outside_residual --screen-size 0 --no-grayscale",
}


@pytest.mark.parametrize("case", KILLED)
def test_an_installed_package_adds_variants_that_survive_sigkill(
    case: str, installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", installed["PYTHONPATH"])
    crash = script("benchmarks/crash.py")
    arguments = (
        f"{KILLED[case]} --recipe cleanrl --num-envs 4 --frame-skip 1 --frame-stack 1 --steps 1200 --batch-size 8 "
        "--replay-start 200 --replay-capacity 1000 --target-every 200 --log-every 100 --checkpoint-every 60 "
        "--eval-every 0 --device cpu --deterministic"
    )
    outcome = crash.crash("outside", arguments, kills=2, threads=1, generator=random.Random(0))
    assert (outcome.kills, outcome.unreadable, outcome.different) == (2, [], [])
    assert outcome.parts >= 12


def test_an_installed_package_is_shown_by_help_and_list(installed: dict[str, str], tmp_path: Path) -> None:
    listed = pixelq_says("list variants", installed, tmp_path).stdout
    for name in ("categorical", "noisy", "proportional", "residual", "ladder", "gated", "averaged"):
        assert f"\toutside_{name}\t" in listed
    for text in ("Bellemare et al. 2017, section 4", "--atoms 51 --v-min -10.0", "--sigma 0.5", "--rungs 7.0"):
        assert text in listed
    shown = pixelq_says(f"train CartPole-v1 {ENTRY_POINTS} --help", installed, tmp_path).stdout
    for flag in ("--atoms", "--greedy-by", "--sigma", "--alpha", "--beta", "--rungs"):
        assert flag in shown
    assert "outside_ladder" in shown
    assert "Return of the first atom." in shown


def test_a_module_of_ones_own_needs_no_packaging(tmp_path: Path) -> None:
    """`--import my_variants` in the module's folder; a run of it asks for the same, nothing is imported unasked."""
    for part in ("my_variants.py", "pixelq_outside"):
        (tmp_path / part).symlink_to(OUTSIDE / part)
    here = {"PYTHONPATH": str(Path(pixelq.__file__).parents[1])}
    small = (
        "--torso mlp --steps 400 --replay-start 100 --replay-capacity 400 --frame-stack 1 --eval-every 0 --threads 1"
    )
    train = f"train CartPole-v1 --recipe cleanrl {small} --sampler my_proportional --run-dir run"
    assert "unknown sampler 'my_proportional'" in pixelq_says(train, here, tmp_path).stderr
    trained = pixelq_says(f"{train} --import my_variants", here, tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run" / "final" / "policy.safetensors").is_file()
    refused = pixelq_says("resume run --steps 800", here, tmp_path)
    assert refused.returncode == 2
    assert "pixelq --import MODULE" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert pixelq_says("--import my_variants resume run --steps 800", here, tmp_path).returncode == 0
    assert pixelq_says("--import=my_variants eval run --episodes 1", here, tmp_path).returncode == 0


def test_a_loss_says_which_heads_it_learns(my_variants: None) -> None:
    from pixelq_outside import categorical_loss

    from pixelq.recipes.validation import validate

    pixelq.register("loss", "strict", categorical_loss)
    with pytest.raises(UserError, match="loss = strict learns a head outside_categorical, not linear"):
        validate(configured("CartPole-v1", {"loss": "strict"}))


def test_a_loop_that_is_named_by_its_module_uses_the_fields_that_it_says(my_variants: None) -> None:
    import pixelq_outside.averaged_targets_loop as module

    from pixelq.recipes.unused import check_used
    from pixelq.recipes.validation import validate

    name = KINDS["loop"].handed(module.loop, {})
    assert name not in KINDS["loop"].names()
    config = configured("CartPole-v1", {"loop": name, "gradient_clip": "norm", "batch_size": 7})
    validate(config)
    assert check_used(config, ["batch_size"]) is None
    with pytest.raises(UserError, match="gradient_clip = norm would have no effect"):
        check_used(config, ["gradient_clip"])


def failing_from_the_second_call() -> Any:
    """A loss that fails while it trains, not in the trial before the run."""
    calls = itertools.count(1)

    def failing_loss(*given: Any) -> Any:
        if next(calls) > 1:
            raise ValueError("a mistake\nwith a second line")
        return dqn_loss(*given)

    return failing_loss


@pytest.mark.parametrize("loop", ["replay", "parallel"])
def test_a_variant_that_raises_while_training_is_one_line(
    loop: str, in_folder: Path, my_variants: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixelq.register("loss", "failing", loss=failing_from_the_second_call(), Options=Options)
    with pytest.raises(RunError, match=r"\(ValueError: a mistake\), in loss 'failing' or .*details in run/failure.txt"):
        start(configured("CartPole-v1", {"loss": "failing", "loop": loop}), Path("run"))
    assert "in failing_loss" in Path("run/failure.txt").read_text()


def test_a_mistake_of_pixelqs_own_shows_its_traceback(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelq.losses.dqn.loss", failing_from_the_second_call())
    with pytest.raises(ValueError, match="a mistake"):
        start(configured("CartPole-v1", {}), Path("run"))
