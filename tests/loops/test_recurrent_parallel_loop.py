"""PQN with a memory as whole runs: exact after a kill, sequences in order, lives and cut games, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pixelq
from masked_games import Doors
from pixelq.config import Config
from pixelq.envs.seeded_episodes import NotReproducedError, SeededEpisodes
from pixelq.errors import UserError
from pixelq.learner.learner import Learner
from pixelq.loops.sequences import Sequences
from pixelq.networks.unrolled_network import UnrolledNetwork
from pixelq.policy import EpsilonGreedy
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.recipes.values import overridden
from pixelq.replay.batch import Batch
from pixelq.runs.session import resume, start
from small_runs import QUICK, at_agent_step, facts_of_a_run_that_is_killed_and_stopped, small, terminate

PARALLEL = {"num_envs": 4, "rollout_length": 5, "batch_size": 10, "learning_rate_end": None, "units": 6}
TINY = {"torso": "plain", "channels": (4,), "kernels": (8,), "strides": (8,), "hidden": (8,)}
VECTORS = QUICK | {"memory": "lstm", "hidden": (8,), "units": 6, "frame_stack": 1, "max_frames_per_episode": 17}


def cut_down(case: str, **fields: Any) -> Config:
    if case == "breakout":
        return small("cleanrl-pqn-lstm", "breakout", **(PARALLEL | TINY | {"max_frames_per_episode": 68} | fields))
    recipe = {k: v for k, v in VECTORS.items() if k != "recipe"} | fields
    if case == "bootstrapped":
        recipe |= {"loss": "c51", "head": "categorical", "atoms": 11, "averaged_network_tau": 0.1}
    game = "MaskedDoors-v0" if case == "masks" else "CartPole-v1"
    return configure(game, "gymnasium", recipe)


@pytest.mark.parametrize("case", ["breakout", "bootstrapped", "masks"])
def test_a_killed_and_resumed_run_ends_as_an_unbroken_one(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, before = cut_down(case, steps=160, checkpoint_every=60), Doors.shut_doors_tried
    assert config.loop == "recurrent_parallel"
    # In the middle of a rollout of 5 agent steps in 4 environments, both times it is ended.
    unbroken = facts_of_a_run_that_is_killed_and_stopped(config, monkeypatch)
    assert "recurrent state" in unbroken
    assert Doors.shut_doors_tried == before


@pytest.mark.parametrize("case", ["breakout", "bootstrapped", "masks"])
def test_the_sequences_that_are_learned_from_have_the_values_that_were_acted_on(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a rollout's first update theta is that of the play, in which games end, are cut, and lose lives.

    And where no episode ends, what follows a state has the value that it was bootstrapped with.
    """
    rollouts: list[Sequences] = []
    begun = []
    begin, update = Sequences.begin, Learner.update

    def noted(sequences: Sequences, recurrent_state: torch.Tensor) -> None:
        rollouts[:] = [sequences]
        begin(sequences, recurrent_state)

    def updated(learner: Learner, batch: Batch, learning_rate: float) -> torch.Tensor:
        if rollouts:
            rollout = rollouts.pop()
            assert batch.starts is not None
            begun.append(int(batch.starts.sum()))
            unrolled, envs = UnrolledNetwork(learner.network, batch), batch.rows[:2, 0]  # type: ignore[arg-type]
            compare(unrolled, batch.state, batch.action_mask, rollout._values[:-1, envs])
            if batch.next_state is not batch.state:
                goes_on = rollout._target_ends[:, envs] == 0
                compare(
                    unrolled, batch.next_state, batch.next_action_mask, rollout.played().next_values[:, envs], goes_on
                )
        return update(learner, batch, learning_rate)

    monkeypatch.setattr(Sequences, "begin", noted)
    monkeypatch.setattr(Learner, "update", updated)
    start(cut_down(case, steps=400, eval_every=0, checkpoint_every=0), Path("run"))
    assert len(begun) == 400 // 20
    assert sum(begun) > 2


def compare(
    unrolled: UnrolledNetwork, state: torch.Tensor, mask: torch.Tensor | None, values: torch.Tensor,
    where: torch.Tensor | None = None,
) -> None:  # fmt: skip
    """Hold the largest Q-values of sequences to `values` `(T, n)`, where they count."""
    q = unrolled.q_values(state).detach()
    found = (q if mask is None else q.masked_fill(~mask, -1e9)).max(dim=1).values.view_as(values)
    where = torch.ones_like(values, dtype=torch.bool) if where is None else where
    torch.testing.assert_close(found[where], values[where], atol=1e-5, rtol=1e-4)


def test_where_open_games_cannot_be_played_again_nothing_of_them_is_remembered(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at_agent_step(monkeypatch, 87, terminate):
        start(cut_down("vectors", steps=160), Path("run"))
    begun: list[torch.Tensor] = []
    begin = Sequences.begin

    def noted(sequences: Sequences, recurrent_state: torch.Tensor) -> None:
        begun.append(recurrent_state)
        begin(sequences, recurrent_state)

    def not_reproduced(envs: SeededEpisodes, state: dict[str, Any]) -> None:
        raise NotReproducedError("another emulator", np.zeros((4, 4), np.float32), None)

    monkeypatch.setattr(Sequences, "begin", noted)
    monkeypatch.setattr(SeededEpisodes, "load_state_dict", not_reproduced)
    resume(Path("run"))
    assert not begun[0].any()
    assert begun[1].any()


@pytest.mark.parametrize("ends", [True, False])
def test_a_lost_life_ends_what_is_remembered_where_the_target_ends_there(
    ends: bool, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgot: list[int] = []
    forget = EpsilonGreedy.forget

    def counted(policy: EpsilonGreedy, where: np.ndarray) -> None:
        forgot.append(int(where.sum()))
        forget(policy, where)

    monkeypatch.setattr(EpsilonGreedy, "forget", counted)
    fields: dict[str, Any] = {"life_loss_ends_target": ends, "max_frames_per_episode": 100_000, "eval_every": 0}
    start(cut_down("breakout", steps=480, **fields), Path("run"))
    games = len(Path("run/episodes.csv").read_text().splitlines()) - 1
    assert (sum(forgot) > games + 2) if ends else (sum(forgot) == games)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"memory": "none"}, "loop = recurrent_parallel is made for a network with a memory; use --memory lstm, or --loop "
     "parallel"),
    ({"loop": "parallel"}, "memory = lstm does not go with the parallel loop, which does not learn from whole "
     "sequences; use --loop recurrent_parallel or recurrent_replay, or --memory none"),
    ({"loop": "replay", "loss": "dqn"}, "memory = lstm does not go with the replay loop"),
    ({"loop": "stream", "loss": "td_error"}, "memory = lstm does not go with the stream loop"),
    ({"batch_size": 200}, "batch_size = 200 is out of range: it must be rollout_length (128) times a divisor of "
     "num_envs (8)"),
    ({"batch_size": 384}, "batch_size = 384 is out of range: it must be rollout_length (128) times"),
    ({"batch_size": 2048}, "batch_size = 2048 is out of range: it must be rollout_length (128) times"),
    ({"batch_size": 64}, "batch_size = 64 is out of range: it must be rollout_length (128) times"),
    ({"target": "hard"}, "target = hard is out of range: it must be none"),
    ({"sampler": "prioritized"}, "sampler = prioritized is out of range: it must be uniform"),
    ({"loss": "double"}, "loss = double is out of range: it must be one for the recurrent_parallel loop"),
    ({"units": 0}, "units = 0 must be between 1 and 65,536"),
    ({"memory": "lstn"}, "unknown memory 'lstn'; did you mean lstm?"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "part"), REFUSED)
def test_what_does_not_go_together_is_refused_in_one_line(fields: dict[str, Any], part: str) -> None:
    config = configure("breakout", "cleanrl-pqn-lstm", {})
    with pytest.raises(UserError) as caught:
        validate(overridden(config, fields))
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_memory_that_is_named_brings_its_loop_and_without_it_the_plain_one_comes_back() -> None:
    for recipe in ("cleanrl-pqn", "default", "minatar"):
        game = "MinAtar/Breakout-v1" if recipe == "minatar" else "breakout"
        config = configure(game, recipe, {"memory": "lstm"})
        validate(config)
        assert (config.loop, config.memory_options) == ("recurrent_parallel", {"units": 128})
    assert configure("breakout", "cleanrl-pqn-lstm", {"memory": "none"}).loop == "parallel"
    assert configure("breakout", "stream-q", {"memory": "lstm"}).loop == "stream"  # which is refused, with the reason
    assert configure("breakout", "cleanrl-pqn", {"memory": "lstm", "loop": "parallel"}).loop == "parallel"


def test_the_command_line_takes_a_memory_and_its_size(capsys: pytest.CaptureFixture[str], in_folder: Path) -> None:
    from pixelq.cli import main

    quick = "--steps 40 --num-envs 4 --rollout-length 5 --batch-size 10 --eval-every 0 --threads 1 --device cpu"
    argv = ["train", "CartPole-v1", "--memory", "lstm", "--units", "5", *quick.split(), "--run-dir", "run"]
    assert main(argv) == 0
    config = pixelq.load("run").config
    assert (config.memory, config.memory_options, config.loop) == ("lstm", {"units": 5}, "recurrent_parallel")
    assert 'memory = "lstm"' in Path("run/config.toml").read_text()
    with pytest.raises(SystemExit):
        main(["train", "CartPole-v1", "--memory", "lstm", "--help"])
    assert "--units" in capsys.readouterr().out
    assert main(["train", "breakout", "--recipe", "stream-q", "--memory", "lstm"]) == 2
    line = capsys.readouterr().err.strip()
    assert "does not go with the stream loop" in line
    assert "\n" not in line
