"""Files that are not as they should be: exit code 2, one line on standard error, nothing written, no code run."""

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

import pixelq
from bad_inputs import SMALL, here, refused, trained
from pixelq.cli import main

__all__ = ["here", "trained"]


SHORT = [*SMALL, "--steps", "8"]


PQN = 'loop = "parallel"\nloss = "lambda_returns"\ntarget = "none"\n'


BAD_RECIPES = {
    "not TOML": ("steps = = 3", "not valid TOML"),
    "unknown field": ("stepps = 3", "did you mean steps"),
    "a name of pixelq 0.1": ('network = "2013"', "'network' is called 'torso' now"),
    "an unknown variant": ('loss = "lambda"', "unknown loss 'lambda'; did you mean lambda_returns"),
    "an unknown option": (PQN + "[loss_options]\nlamda = 1.0", "has no option 'lamda'; did you mean trace_lambda"),
    "an option of another type": (
        PQN + '[loss_options]\ntrace_lambda = "much"',
        "trace_lambda = 'much' must be a number",
    ),
    "an option out of range": (PQN + "trace_lambda = 2.0", "loss_options: trace_lambda = 2.0 must be between 0 and 1"),
    "options that are no table": ("loss_options = 3", "must be a table of options"),
    "an option that is a table": ("[loss_options.error]\nx = 1", "must be a number, text, true or false, or a list"),
    "a variant by path": ('torso = "../../etc"', "unknown torso '../../etc'"),
    "a variant by module": ('head = "os.path"', "unknown head 'os.path'"),
    "text for a number": ('steps = "many"', "steps"),
    "a number for a truth": ("clip_reward = 1", "clip_reward"),
    "a list for a number": ("steps = [1]", "steps"),
    "a table for a number": ("[steps]\nx = 1", "steps"),
    "an infinite learning rate": ("learning_rate = inf", "learning_rate"),
    "not a number": ("gamma = nan", "gamma"),
    "out of range": ("epsilon_start = 2.0", "epsilon_start"),
    "no such base": ('base = "nothing"', "nothing"),
    "a base in a circle": ('base = "recipe.toml"', "circle"),
    "a base that is a number": ("base = 3", "base"),
    "a name that climbs": ('recipe = "../../x"', "recipe"),
    "another game's device": ('device = "abacus"', "device"),
    "a huge whole number": (f"steps = {10**30}", "steps"),
    "a module of a stranger": ('game = "strange_module:Foo-v0"', "--import strange_module"),
    "a module that is there": ('game = "os:Foo-v0"', "unknown game 'os:Foo-v0'"),
    "deep nesting": ("x = " + "[" * 5000 + "]" * 5000, "recipe"),
}


@pytest.mark.parametrize("name", BAD_RECIPES)
def test_a_bad_recipe_file_is_refused_in_one_line(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, part = BAD_RECIPES[name]
    (here / "recipe.toml").write_text(text)
    game = [] if text.startswith("game") else ["pong"]
    assert part in refused(["train", *game, "--recipe", "recipe.toml"], capsys)


@pytest.fixture
def strangers(here: Path) -> Path:
    """A folder with a run whose game is of a module that lies beside it."""
    (here / "strange_module.py").write_text("open('pwned', 'w')")
    for file in (here / "run").rglob("config.toml"):
        file.write_text(file.read_text().replace('game = "pong"', 'game = "strange_module:Foo-v0"'))
    shutil.rmtree(here / "run" / "checkpoints")
    return here


@pytest.mark.parametrize("command", ["resume", "eval", "record"])
def test_a_strangers_run_may_not_have_a_module_imported(
    command: str, strangers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--import strange_module" in refused([command, "run"], capsys)
    assert not (strangers / "pwned").exists()


@pytest.mark.parametrize("command", ["compare", "report", "plot"])
def test_who_only_looks_at_a_strangers_run_needs_no_module_of_it(command: str, strangers: Path) -> None:
    assert main([command, "run"]) == 0
    assert not (strangers / "pwned").exists()


def test_a_recipe_that_is_not_text_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "recipe.toml").write_bytes(b"\xff\xfe\x00steps")
    assert "recipe.toml" in refused(["train", "pong", "--recipe", "recipe.toml"], capsys)


class Malicious:
    """Writes a file when a careless program unpickles it."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.system, ("touch pwned",)


def make_zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 20_000_000)


STRANGERS_FILES: dict[str, Callable[[Path], object]] = {
    "a pickle": lambda p: p.write_bytes(pickle.dumps(Malicious())),
    "a torch file": lambda p: torch.save({"weights": torch.zeros(3)}, p),
    "a zip bomb": make_zip_bomb,
    "an empty file": lambda p: p.write_bytes(b""),
    "a header of 2^63 bytes": lambda p: p.write_bytes((2**63 - 1).to_bytes(8, "little") + b"{}"),
    "a header that is not JSON": lambda p: p.write_bytes((4).to_bytes(8, "little") + b"{{{{"),
    "no tensors": lambda p: p.write_bytes(safetensors.torch.save({})),
    "another network": lambda p: p.write_bytes(safetensors.torch.save({"head.output.bias": torch.zeros(6)})),
    "another network, in old names": lambda p: p.write_bytes(
        safetensors.torch.save({"output.bias": torch.zeros(6), "output.weight": torch.zeros(6, 256)})
    ),
    "a bias of another shape": lambda p: p.write_bytes(
        safetensors.torch.save({"head.output.bias": torch.zeros(6, 6, 6)})
    ),
    "a bias of a billion actions": lambda p: p.write_bytes(
        safetensors.torch.save({"head.output.bias": torch.zeros(2_000_000)})
    ),
}


@pytest.mark.parametrize("name", STRANGERS_FILES)
@pytest.mark.parametrize("command", ["eval", "record", "train"])
def test_a_strangers_policy_runs_no_code_and_is_refused(
    name: str, command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (here / "run" / "best", here / "run" / "final"):
        shutil.rmtree(folder, ignore_errors=True)
    policy = here / "run" / "final" / "policy.safetensors"
    policy.parent.mkdir()
    shutil.copy(here / "run" / "config.toml", policy.parent)
    STRANGERS_FILES[name](policy)
    argv = ["train", "pong", *SHORT, "--load", "run"] if command == "train" else [command, "run"]
    assert "policy.safetensors" in refused(argv, capsys)
    assert not (here / "pwned").exists()


def change_weight(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    file = next(p for p in (folder / "best", folder / "final") if (p / "policy.safetensors").is_file())
    weights = safetensors.torch.load_file(file / "policy.safetensors")
    weights["hidden.linears.0.weight"] = change(weights["hidden.linears.0.weight"]).contiguous()
    (file / "policy.safetensors").write_bytes(safetensors.torch.save(weights))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_weight(here / "run", lambda w: torch.full_like(w, value))
    assert "not finite" in refused(["eval", "run"], capsys)


def test_weights_of_another_shape_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_weight(here / "run", lambda w: w[:, :-1])
    assert "hidden.linears.0.weight has shape" in refused(["eval", "run"], capsys)


BAD_RUNS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda run: (run / "config.toml").unlink(), "config.toml"),
    "a config that is not TOML": (lambda run: (run / "config.toml").write_text("game = "), "config.toml"),
    "a config cut short": (lambda run: (run / "config.toml").write_text('game = "pong"\n'), "missing"),
    "a config of another game": (
        lambda run: (run / "config.toml").write_text((run / "config.toml").read_text().replace('"pong"', '"breakout"')),
        "game",
    ),
    "a config out of range": (
        lambda run: (run / "config.toml").write_text((run / "config.toml").read_text() + "\nunknown = 1\n"),
        "unknown",
    ),
    "a manifest cut short": (
        lambda run: sorted(run.glob("checkpoints/step-*"))[-1].joinpath("manifest.json").write_text("{"),
        "manifest.json",
    ),
    "a state file gone": (
        lambda run: sorted(run.glob("checkpoints/step-*"))[-1].joinpath("state.json").unlink(),
        "state.json",
    ),
    "episodes.csv gone": (lambda run: (run / "episodes.csv").unlink(), "episodes.csv"),
}


@pytest.mark.parametrize("name", BAD_RUNS)
def test_a_damaged_run_is_not_resumed(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, part = BAD_RUNS[name]
    damage(here / "run")
    assert part in refused(["resume", "run", "--steps", "96"], capsys)


def test_a_read_only_place_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("not a folder")
    assert "file" in refused(["train", "pong", *SHORT, "--run-dir", "file/run"], capsys)


def test_an_interpreter_of_its_own_says_the_same() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(pixelq.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "pixelq", "train", "pongg"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip().splitlines() == [
        "pixelq: unknown game 'pongg'; did you mean pong? see `pixelq list games`"
    ]
