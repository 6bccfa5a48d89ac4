"""NaN, a failing environment, no memory: one line that says where, and the last good checkpoint stays."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import safetensors
import torch

import pixelq
from pixelq.checkpoints.reader import read_checkpoint
from pixelq.checkpoints.store import CheckpointStore, PendingCheckpoint
from pixelq.cli import main
from pixelq.config import Config
from pixelq.envs.atari import AtariGames
from pixelq.errors import RunError, UserError
from pixelq.learner.learner import Learner
from pixelq.loops.rollout import Rollout
from pixelq.losses import Played
from pixelq.policy import EpsilonGreedy
from pixelq.recipes.choice import configure
from pixelq.replay import Batch
from pixelq.runs.failures import FAILURE, POSTMORTEM
from pixelq.runs.run import Run
from pixelq.runs.session import resume, start
from small_runs import facts, python, small


def quick(recipe: str = "nips2013", **overrides: Any) -> Config:
    return small(recipe, **{"steps": 200, "eval_every": 0, "checkpoint_every": 90} | overrides)


def all_finite(folder: Path) -> bool:
    """Whether every checkpoint and policy of a run holds numbers only."""
    states = [
        read_checkpoint(path).state["learner"]["network"] for path in CheckpointStore(folder / "checkpoints").paths()
    ]
    assert states
    return all(torch.isfinite(weight).all() for state in states for weight in state.values())


def poison(batch: Batch) -> Batch:
    returns = batch.return_n.clone()
    returns[1] = math.nan
    return dataclasses.replace(batch, return_n=returns)


@pytest.fixture
def poisoned_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fifteenth update gets a return that is not a number."""
    update, count = Learner.update, []

    def spoiled(self: Learner, batch: Batch, learning_rate: float) -> torch.Tensor:
        count.append(1)
        return update(self, poison(batch) if len(count) == 15 else batch, learning_rate)

    monkeypatch.setattr(Learner, "update", spoiled)


def test_a_loss_that_is_nan_stops_the_run_and_its_batch_is_kept(in_folder: Path, poisoned_update: None) -> None:
    with pytest.raises(RunError) as failed:
        start(quick(), Path("r"))
    message = str(failed.value)
    # Updates at agent steps 80, 84, ...: the fifteenth at 136.
    for part in ("the loss is nan at agent step 136, update 14", "step-000000000090", "r/postmortem.safetensors"):
        assert part in message
    assert [p.name for p in CheckpointStore(Path("r/checkpoints")).paths()] == ["step-000000000090"]
    assert all_finite(Path("r"))
    assert not Path("r/final").exists()
    with safetensors.safe_open(Path("r") / POSTMORTEM, "pt") as file:
        assert file.metadata() == {"agent_steps": "136", "updates": "14", "reason": "the loss is nan"}
        names = ("batch.return_n", "batch.state", "batch.rows", "network.hidden.linears.0.weight")
        returns, state, rows, weight = (file.get_tensor(name) for name in names)
    assert torch.isnan(returns).tolist() == [False, True, False, False]
    assert state.shape == (4, 4, 36, 36)
    assert rows.shape == (4, 2)
    assert torch.isfinite(weight).all()  # the update was refused before it changed a weight


def test_resume_goes_on_from_the_last_good_checkpoint(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    start(quick(), Path("unbroken"))
    with monkeypatch.context():
        request.getfixturevalue("poisoned_update")
        with pytest.raises(RunError):
            start(quick(), Path("r"))
    monkeypatch.undo()
    monkeypatch.chdir(in_folder)
    assert resume(Path("r")).agent_steps == 200
    assert facts(Path("r")) == facts(Path("unbroken"))


def test_the_command_says_it_in_one_line_with_exit_code_1(
    in_folder: Path, poisoned_update: None, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        "--screen-size 36 --batch-size 4 --replay-start 80 --replay-capacity 200 --steps 200 --log-every 50 "
        "--eval-every 0 --checkpoint-every 90 --threads 1 --device cpu --run-dir r"
    )
    assert main(["train", "breakout", "--recipe", "nips2013", *options.split()]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("pixelq: ")] == [lines[-1]]
    assert "the loss is nan" in lines[-1]


@pytest.mark.parametrize("where", ["log row", "checkpoint", "evaluation", "end"])
def test_a_weight_that_is_infinite_never_reaches_a_checkpoint_or_a_policy(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """An optimizer may overflow while the loss is finite, and the next update may be far away."""
    never = 10**6
    config = quick(
        steps=145 if where == "end" else 10_000,
        train_every=25,
        log_every=140 if where == "log row" else never,
        eval_every=140 if where == "evaluation" else 0,
        checkpoint_every=140 if where == "checkpoint" else 110,
    )
    update = Learner.update

    def overflowing(self: Learner, batch: Batch, learning_rate: float) -> torch.Tensor:
        priority = update(self, batch, learning_rate)
        if self._summed_updates == 2:  # agent step 125
            with torch.no_grad():
                self.network.hidden.linears[0].bias[7] = math.inf
        return priority

    monkeypatch.setattr(Learner, "update", overflowing)
    with pytest.raises(RunError, match=r"weight hidden\.linears\.0\.bias is not finite at agent step 14[05]"):
        start(config, Path("r"))
    assert not Path("r/best").exists()
    assert not Path("r/final").exists()
    paths = CheckpointStore(Path("r/checkpoints")).paths()
    assert [p.name for p in paths] == ([] if where == "checkpoint" else ["step-000000000110"])
    with safetensors.safe_open(Path("r") / POSTMORTEM, "pt") as file:
        assert not torch.isfinite(file.get_tensor("network.hidden.linears.0.bias")).all()


def test_in_the_parallel_loop_too(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Rollout.played

    def poisoned(self: Rollout) -> Played:
        found = played(self)
        return found._replace(next_values=found.next_values * (math.nan if found.rewards.sum() > 0 else 1))

    monkeypatch.setattr(Rollout, "played", poisoned)
    with pytest.raises(RunError, match="the loss is nan at agent step"):
        start(quick("default", steps=4000, checkpoint_every=20, epsilon_start=1.0), Path("r"))
    assert all_finite(Path("r"))
    assert (Path("r") / POSTMORTEM).is_file()


class BrokenError(RuntimeError):
    """What an environment raises."""


def failing(monkeypatch: pytest.MonkeyPatch, method: str, at: int, **attributes: int) -> None:
    """Let the emulators fail in their `at`-th call of a method."""
    original, count = getattr(AtariGames, method), []

    def call(self: AtariGames, *args: Any) -> Any:
        count.append(1)
        if len(count) == at:
            error = BrokenError("the emulator is on fire")
            vars(error).update(attributes)
            raise error
        return original(self, *args)

    monkeypatch.setattr(AtariGames, method, call)


@pytest.mark.parametrize(
    ("envs", "attributes", "named"),
    [
        (1, {}, "environment 0 failed"),
        (2, {}, "one of environments 0 to 1 failed"),
        (2, {"environment": 1}, "environment 1 failed"),
    ],
)
def test_an_environment_that_raises_is_named_with_the_step_and_the_rest_is_saved(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, envs: int, attributes: dict[str, int], named: str
) -> None:
    with monkeypatch.context() as broken:
        failing(broken, "step", 60, **attributes)
        with pytest.raises(RunError) as failed:
            start(quick(num_envs=envs), Path("r"))
    step = 59 * envs
    for part in (
        named,
        "BrokenError: the emulator is on fire",
        f"at agent step {step:,} of breakout",
        "the rest is saved",
    ):
        assert part in str(failed.value)
    assert "the emulator is on fire" in (Path("r") / FAILURE).read_text()
    assert CheckpointStore(Path("r/checkpoints")).load().agent_steps == step
    assert resume(Path("r")).agent_steps == 200
    assert facts(Path("r"))["last"] == "step-000000000200"


def test_an_environment_that_raises_is_named_and_the_rest_saved_although_a_callback_cannot_be(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = pixelq.Callback(on_log=lambda training, row: None)
    callback.state_dict = lambda: {"x": {1, 2}}  # type: ignore[attr-defined]
    with monkeypatch.context() as broken:
        failing(broken, "step", 60)
        with pytest.raises(RunError, match="environment 0 failed") as failed:
            start(quick(checkpoint_every=10_000), Path("r"), callbacks=[callback])
    assert "the rest but the callbacks is saved (callback Callback failed in state_dict" in str(failed.value)
    assert "the emulator is on fire" in (Path("r") / FAILURE).read_text()
    assert CheckpointStore(Path("r/checkpoints")).load().agent_steps == 59


TINY = {"torso": "plain", "channels": (4,), "kernels": (8,), "strides": (8,), "hidden": (8,)}
SEQUENCES = {
    "memory": "lstm", "units": 6, "sequence_length": 4, "burn_in": 2, "sequence_every": 3, "batch_size": 8,
    "loop": "recurrent_replay",
}  # fmt: skip
ROLLOUTS = {"memory": "lstm", "units": 6, "loop": "recurrent_parallel"}
EXACT: dict[str, tuple[str, dict[str, Any]]] = {
    "noise": ("nips2013", {"linear": "noisy"}),
    "a memory with a replay": ("nips2013", SEQUENCES),
    "a memory with rollouts": ("default", ROLLOUTS),
}


@pytest.mark.parametrize("case", EXACT)
def test_a_run_whose_environment_failed_ends_as_an_unbroken_one(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy had chosen actions that nobody took: it must choose them again, by what it remembered and drew."""
    recipe, fields = EXACT[case]
    config = quick(recipe, **TINY | {"steps": 120} | fields)
    start(config, Path("unbroken"))
    with monkeypatch.context() as broken:
        # With a replay amid the updates; with rollouts of 5 agent steps where one begins, for a part of one is lost.
        failing(broken, "step", 21 if recipe == "default" else 97)
        with pytest.raises(RunError, match="the emulator is on fire"):
            start(config, Path("r"))
    resume(Path("r"))
    assert facts(Path("r")) == facts(Path("unbroken"))


def test_amid_a_rollout_what_is_remembered_is_of_the_states_before(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted_on: list[torch.Tensor] = []
    act = EpsilonGreedy.act_and_value

    def noted(policy: EpsilonGreedy, *given: Any) -> Any:
        acted_on.append(policy.recurrent_state)
        return act(policy, *given)

    monkeypatch.setattr(EpsilonGreedy, "act_and_value", noted)
    failing(monkeypatch, "step", 23)
    with pytest.raises(RunError, match="at agent step 88 "):
        start(quick("default", **TINY, **ROLLOUTS), Path("r"))
    saved = CheckpointStore(Path("r/checkpoints")).load().state["policy"]["recurrent_state"]
    assert saved.any()
    assert torch.equal(saved, acted_on[-1])


def test_test_games_that_fail_take_nothing_back(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They fail between two agent steps; the evaluation is made up for."""
    config = quick("nips2013", **TINY, **SEQUENCES, steps=120, eval_every=97, eval_episodes=1)
    start(config, Path("unbroken"))
    with monkeypatch.context() as broken:
        failing(broken, "step", 100)
        with pytest.raises(RunError, match=r"evaluation: .*the emulator is on fire"):
            start(config, Path("r"))
    assert [path.name for path in CheckpointStore(Path("r/checkpoints")).paths()][-1] == "step-000000000097"
    resume(Path("r"))
    assert facts(Path("r")) == facts(Path("unbroken"))


def test_in_a_rollout_the_steps_played_so_far_are_saved_and_not_learned_from_which_is_said(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as broken:
        failing(broken, "step", 23)
        with pytest.raises(RunError, match="at agent step 88 "):
            start(quick("default"), Path("r"))
    assert CheckpointStore(Path("r/checkpoints")).load().agent_steps == 88
    resume(Path("r"))
    assert "but for 8 agent steps of a rollout, which are not learned from" in capsys.readouterr().err
    assert facts(Path("r"))


def test_one_that_fails_between_two_games_leaves_the_last_checkpoint(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of the games is then neither before nor after the step, so it is not written."""
    with monkeypatch.context() as broken:
        failing(broken, "reset_some", 4)
        with pytest.raises(RunError, match="step-000000000090"):
            start(quick(), Path("r"))
    assert [p.name for p in CheckpointStore(Path("r/checkpoints")).paths()] == ["step-000000000090"]
    assert resume(Path("r")).agent_steps == 200


def test_any_other_exception_is_not_hidden_and_gives_the_folder_free(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Learner, "update", lambda *args: {}["a mistake in the program"])
        with pytest.raises(KeyError):
            start(quick(), Path("r"))
    assert resume(Path("r")).agent_steps == 200


def test_out_of_memory_is_one_line(tmp_path: Path) -> None:
    """A batch that does not fit, under a real limit of the process's memory."""
    code = """
import resource, sys
from pathlib import Path
from pixelq.cli import main
from pixelq.runs.run import Run
begin = Run.open
def limited(self, *args, **kwargs):
    begin(self, *args, **kwargs)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 200 * 2**20,) * 2)
Run.open = limited
sys.exit(main("train breakout --recipe nips2013 --batch-size 40000 --replay-start 300 --replay-capacity 40000 "
              "--steps 400 --checkpoint-every 200 --eval-every 0 --threads 1 --run-dir r".split()))
"""
    child = python("-c", code, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    _, errors = child.communicate()
    lines = errors.splitlines()
    assert child.returncode == 1, errors
    assert "Traceback" not in errors
    assert lines[-1].startswith("pixelq: out of memory at agent step 300; close other programs")
    assert "`pixelq resume r` goes on from the last good checkpoint, step-000000000200" in lines[-1]


def test_a_run_whose_checkpoints_find_no_memory_ends_with_the_second(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = CheckpointStore.write

    def without_memory(store: CheckpointStore, pending: PendingCheckpoint) -> Path:
        if pending.agent_steps > 40:
            raise MemoryError
        return write(store, pending)

    with monkeypatch.context() as patched:
        patched.setattr(CheckpointStore, "write", without_memory)
        with pytest.raises(RunError) as failed:
            start(quick(checkpoint_every=40), Path("r"))
    said = "2 checkpoints in a row: r: cannot be written (out of memory); close other programs, then `pixelq resume r` "
    assert str(failed.value) == f"{said}goes on from the last good checkpoint, step-000000000040"
    assert "checkpoint at agent step 80 could not be written (out of memory)" in capsys.readouterr().err
    assert resume(Path("r")).agent_steps == 200


class Quitting(gymnasium.Env[Any, Any]):
    """Leaves the process, as a game's own window does that is closed, in one of its methods."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    where = ""

    def _perhaps_quit(self, where: str) -> None:
        if where == Quitting.where:
            sys.exit("the window was closed")

    def __init__(self) -> None:
        self._perhaps_quit("init")

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._perhaps_quit("reset")
        self._left = 10
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action: Any) -> Any:
        self._perhaps_quit("step")
        self._left -= 1
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0, self._left == 0, False, {}


@pytest.fixture
def quitting(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    if "Quitting-v0" not in gymnasium.registry:
        gymnasium.register("Quitting-v0", entry_point=Quitting)
    monkeypatch.setattr(Quitting, "where", "")
    overrides = {"num_envs": 2, "rollout_length": 8, "batch_size": 16, "steps": 160, "threads": 1, "device": "cpu"}
    return configure("Quitting-v0", "gymnasium", overrides | {"eval_every": 64, "eval_episodes": 2})


@pytest.mark.parametrize(
    ("where", "at", "saved"), [("step", 40, True), ("reset", 40, False), ("init", 64, True), ("reset", 64, True)]
)
def test_a_game_that_leaves_the_process_does_not_end_the_run_unsaid(
    where: str, at: int, saved: bool, quitting: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an evaluation plays it, at agent step 64: what learns is whole then."""
    original = Run.count_step

    def counted(run: Run, *args: Any) -> None:
        original(run, *args)
        if run.parts.counters.agent_steps == at:
            Quitting.where = where

    with monkeypatch.context() as broken:
        broken.setattr(Run, "count_step", counted)
        with pytest.raises(RunError, match="SystemExit: the window was closed") as failed:
            start(quitting, Path("r"))
    assert "\n" not in str(failed.value)
    assert [p.name for p in Path("r/checkpoints").glob("step-*")] == ([f"step-{at:012d}"] if saved else [])
    Quitting.where = ""
    assert resume(Path("r")).agent_steps in (160, 168)  # whole rollouts


@pytest.mark.parametrize("where", ["init", "reset", "step"])
def test_one_that_leaves_it_at_the_start_is_told_too(where: str, quitting: Config) -> None:
    Quitting.where = where
    with pytest.raises((UserError, RunError), match="SystemExit: the window was closed"):
        start(quitting, Path("r"))
