"""Every mistake a person can make at the command line: exit code 2, one line on standard error, nothing written."""

import contextlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import safetensors.torch
import torch

import pixelq
from pixelq.cli import main

OPTIONS = (
    "--screen-size 36 --num-envs 2 --rollout-length 4 --batch-size 8 --steps 64 --log-every 8 --checkpoint-every 32 "
    "--eval-every 0 --max-frames-per-episode 40 --threads 1 --device cpu"
)
SMALL = OPTIONS.split()
SHORT = [*SMALL, "--steps", "8"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real, finished run of Pong."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "pong", *SMALL, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def here(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of the run, and whatever a case puts there."""
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`; a lock file may appear, it holds nothing."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The line that a refused command prints; checks the exit code, that it is one line, and that no file changed."""
    before = snapshot(Path.cwd())
    code = main(argv)
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert code == 2, captured
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("pixelq: ")
    assert "Traceback" not in captured.out + captured.err
    after = snapshot(Path.cwd())
    assert {k: v for k, v in after.items() if not k.endswith("run.lock")} == {
        k: v for k, v in before.items() if not k.endswith("run.lock")
    }
    return lines[0]


COMMAND_LINES = [
    # (arguments, a part of the line that must be there)
    ("frobnicate", "unknown command"),
    ("trian pong", "unknown command"),
    # train: the game
    ("train", "which game"),
    ("train pongg", "did you mean pong"),
    ("train ALE/Pong-v4", "Pong"),
    ("train Pong-v4", "PongNoFrameskip-v4"),
    ("train combat", "combat"),
    # train: games of Gymnasium
    ("train CartPole-v999", "unknown game"),
    ("train CartPol-v1", "did you mean CartPole-v1?"),
    ("train cartpole", "did you mean CartPole-v1?"),
    ("train LunarLander-v2", "LunarLander-v3"),
    ("train foo/Bar-v0", "unknown game"),
    ("train os:Foo-v0", "unknown game 'os:Foo-v0'"),
    ("train no_such_module:Foo-v0", "no_such_module"),
    ("train :", "cannot be imported"),
    ("train Pendulum-v1", "its actions are continuous"),
    ("train MountainCarContinuous-v0", "its actions are continuous"),
    ("train LunarLanderContinuous-v3", "its actions are continuous"),
    ("train TextGame-v0", "part note: its observations are of a Text space"),
    ("train ManyActions-v0", "it has 1,048,576 combinations of actions; pixelq takes at most 1,024"),
    ("train CartPole-v1 --recipe nature2015", "--torso mlp"),
    ("train MinAtar/Breakout-v1 --recipe minatar --torso 2015", "--torso minatar"),
    ("train MinAtar/Breakout-v1 --recipe minatar --torso mlp", "--torso minatar"),
    ("train MinAtar/Breakout-v1 --grayscale", "--no-grayscale"),
    ("train pong --recipe cartpole", "--screen-size 84"),
    ("train pong --torso mlp", "--torso"),
    ("train pong --screen-size 0", "screen_size"),
    ("train CartPole-v1 --sticky-actions 0.25", "--sticky-actions 0"),
    ("train CartPole-v1 --opening-fire-max 9", "--opening-fire-max 0"),
    ("train CartPole-v1 --full-action-set", "--no-full-action-set"),
    ("train CartPole-v1 --load run", "weight"),
    ("--import", "--import needs a module"),
    ("--import no_such_module list games", "no_such_module"),
    ("train ../pong", "unknown game"),
    ("train --steps 10", "which game"),
    ("train --recipe lapan-pong --steps 0", "steps"),  # this recipe names its game
    # train: the recipe
    ("train pong --recipe nature", "did you mean nature2015"),
    ("train pong --recipe", "--recipe needs a name"),
    ("train pong --recipe missing.toml", "no such file"),
    ("train pong --recipe ../../etc/passwd", "unknown recipe"),
    # train: unknown options, values of the wrong type
    ("train pong extra", "extra"),
    ("train pong --batch-sise 32", "--batch-size"),
    ("train pong --batch-size many", "batch-size"),
    ("train pong --batch-size 1.5", "batch-size"),
    ("train pong --batch-size", "batch-size"),
    ("train pong --loss", "loss"),
    ("train pong --optimizer sgd", "optimizer"),
    ("train pong --torso 2014", "did you mean 2015 or 2013"),
    ("train pong --torso", "unknown torso"),
    ("train pong --loss lambda-returns", "did you mean lambda_returns"),
    ("train pong --head quadratic", "unknown head 'quadratic'"),
    ("train pong --linear noise", "unknown linear 'noise'"),
    ("train pong --sampler best", "unknown sampler 'best'"),
    ("train pong --epsilon-schedule linaer", "did you mean linear"),
    # train: names that pixelq 0.1 had
    ("train pong --network 2013", "--network is called --torso now"),
    ("train pong --network=2013", "--network is called --torso now"),
    ("train pong --average-tau 0.1", "--average-tau is called --averaged-network-tau now"),
    # train: options of variants
    ("train pong --error abs", "--error"),
    ("train pong --error", "--error"),
    ("train pong --trace-lambda many", "--trace-lambda"),
    ("train pong --loss dqn --trace-lambda 0.5", "--trace-lambda"),
    ("train pong --recipe cleanrl --trace-lambda 0.5", "--trace-lambda"),
    ("train pong --torso plain --channels 4 --kernels 3", "equally many"),
    ("train pong --torso plain --hidden 0", "at least 1"),
    ("train pong --torso-options 3", "--torso-options"),
    ("train pong --steps ten", "steps"),
    ("train pong --game breakout", "--game"),
    # train: values out of range
    ("train pong --steps 0", "steps"),
    ("train pong --steps -5", "steps"),
    ("train pong --batch-size 0", "batch_size"),
    ("train pong --num-envs 0", "num_envs"),
    ("train pong --batch-size 7", "divisor"),
    ("train pong --epsilon-start 2", "epsilon_start"),
    ("train pong --epsilon-end -0.1", "epsilon_end"),
    ("train pong --epsilon-start nan", "epsilon_start"),
    ("train pong --gamma 1.5", "gamma"),
    ("train pong --trace-lambda 7", "trace_lambda = 7.0 must be between 0 and 1"),
    ("train pong --trace-lambda 2", "trace_lambda = 2.0 must be between 0 and 1"),
    ("train pong --trace-lambda nan", "trace_lambda = nan must be between 0 and 1"),
    ("train pong --epsilon-begin -1", "epsilon_begin"),
    ("train pong --epsilon-schedule constant --epsilon-begin 5", "epsilon_begin"),
    ("train pong --learning-rate 0", "learning_rate"),
    ("train pong --learning-rate inf", "learning_rate"),
    ("train pong --learning-rate-end 1", "learning_rate_end"),
    ("train pong --optimizer-eps 0", "optimizer_eps"),
    ("train pong --gradient-clip-at 0", "gradient_clip_at"),
    ("train pong --screen-size 8", "screen_size"),
    ("train pong --frame-skip 0", "frame_skip"),
    ("train pong --frame-stack 0", "frame_stack"),
    ("train pong --noop-max -1", "noop_max"),
    ("train pong --sticky-actions 3", "sticky_actions"),
    ("train pong --seed -1", "seed"),
    ("train pong --log-every 0", "log_every"),
    ("train pong --eval-episodes 0", "eval_episodes"),
    ("train pong --threads -1", "threads"),
    ("train pong --target soft", "target"),
    ("train pong --recipe cleanrl --replay-capacity 16", "replay_capacity"),
    ("train pong --recipe cleanrl --replay-start 2000000", "replay_start"),
    ("train pong --recipe cleanrl --replay-start 1", "replay_start"),
    ("train pong --recipe cleanrl --target-every 0", "target_every"),
    ("train pong --recipe cleanrl --train-every 0", "train_every"),
    ("train pong --recipe cleanrl --n-step 0", "n_step"),
    ("train pong --recipe cleanrl --loss lambda_returns", "loss"),
    ("train pong --recipe cleanrl --loss banana", "banana"),
    ("train pong --recipe double2015 --target none", "target"),
    # train: what the machine or the folder lacks
    ("train pong --recipe cleanrl --replay-capacity 1000000000000", "replay_capacity"),
    ("train pong --device vulkan", "vulkan"),
    ("train pong --device tpu", "device"),
    ("train pong --device mps", "mps"),
    ("train pong --run-dir run", "already taken"),
    ("train pong --run-dir run/config.toml", "run/config.toml"),
    ("train pong --load nowhere", "nowhere"),
    ("train pong --load run/config.toml", "safetensors"),
    ("train freeway --load run --recipe nature2015", "weight"),
    ("train freeway --opening-fire-max 30", "FIRE"),
    # resume
    ("resume", "required"),
    ("resume nowhere", "no such run"),
    ("resume .", "not a run folder"),
    ("resume run/config.toml", "run"),
    ("resume run --steps 0", "steps"),
    ("resume run --steps ten", "steps"),
    # eval
    ("eval", "required"),
    ("eval nowhere", "nowhere"),
    ("eval .", "not a run folder"),
    ("eval run --episodes 0", "episodes"),
    ("eval run --epsilon 2", "epsilon"),
    ("eval run --epsilon nan", "epsilon"),
    ("eval run --seed -1", "seed"),
    ("eval run --threads -1", "threads"),
    ("eval run --out run/config.toml/games.json", "config.toml"),
    ("eval run --policy worst", "policy"),
    ("eval run/config.toml", "safetensors"),
    ("eval run --device vulkan", "vulkan"),
    # record
    ("record nowhere", "nowhere"),
    ("record run --epsilon 5", "epsilon"),
    ("record run --scale 0", "scale"),
    ("record run --out run/config.toml/video.mp4", "config.toml"),
    # plot, compare
    ("plot", "run"),
    ("plot nowhere", "nowhere"),
    ("plot .", "."),
    ("plot run --out run/config.toml/plot.png", "config.toml"),
    ("compare run --reference nowhere.csv", "nowhere.csv"),
    ("compare run --reference run/config.toml", "config.toml"),
    # list, doctor, verify
    ("list", "games"),
    ("list videos", "videos"),
    ("doctor --recipe nature", "nature2015"),
    ("doctor --frob", "--frob"),
    ("verify", "required"),
    ("verify nowhere", "nowhere"),
    ("verify .", "not a run folder"),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("line", "part"), COMMAND_LINES, ids=[line for line, _ in COMMAND_LINES])
def test_a_bad_command_line_is_refused_in_one_line(line: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    if line == "train pong --device mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has MPS")
    assert part.lower() in refused(line.split(), capsys).lower()


def test_there_are_at_least_sixty_bad_command_lines() -> None:
    assert len({line for line, _ in COMMAND_LINES}) >= 60


class TextGame(gymnasium.Env[Any, Any]):
    """A part of its observations is a text."""

    observation_space = gymnasium.spaces.Dict({"x": gymnasium.spaces.Discrete(2), "note": gymnasium.spaces.Text(9)})
    action_space: gymnasium.Space[Any] = gymnasium.spaces.Discrete(2)


class ManyActions(gymnasium.Env[Any, Any]):
    """Takes twenty actions at a time."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space: gymnasium.Space[Any] = gymnasium.spaces.MultiDiscrete([2] * 20)


@pytest.fixture(scope="module", autouse=True)
def _games_of_ones_own() -> Iterator[None]:
    for game in (TextGame, ManyActions):
        gymnasium.register(f"{game.__name__}-v0", entry_point=game)
    yield
    for game in (TextGame, ManyActions):
        gymnasium.registry.pop(f"{game.__name__}-v0")


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
