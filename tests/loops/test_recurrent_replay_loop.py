"""Replay with a memory as whole runs: exact after a kill, sequences valued as they were played, a recall game won."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pixelq
from masked_games import Doors
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.learner import Learner
from pixelq.loops import recurrent_replay_loop, replay_loop
from pixelq.machine.memory import memory_needed
from pixelq.networks.unrolled_network import UnrolledNetwork
from pixelq.policy import EpsilonGreedy
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.recipes.values import overridden
from pixelq.replay.batch import Batch
from pixelq.replay.sequence_replay import SequenceReplay
from pixelq.runs.session import start
from recall_games import LENGTH
from small_runs import (
    QUICK,
    facts_of_a_run_that_is_killed_and_stopped,
    small,
)

TINY = {"torso": "plain", "channels": (4,), "kernels": (8,), "strides": (8,), "hidden": (8,)}
SEQUENCES = {
    "memory": "lstm", "units": 6, "num_envs": 3, "frame_stack": 1, "sequence_length": 4, "burn_in": 2,
    "sequence_every": 3, "batch_size": 8, "replay_start": 60, "train_every": 6, "target_every": 30,
}  # fmt: skip
VECTORS = {k: v for k, v in QUICK.items() if k not in ("recipe", "rollout_length")} | {"hidden": (8,), "loss": "double"}


def cut_down(case: str, **fields: Any) -> Config:
    fields = SEQUENCES | fields
    if case == "breakout":
        return small("double2015", "breakout", **(TINY | {"max_frames_per_episode": 68} | fields))
    if case == "prioritized":
        fields = {"sampler": "prioritized", "n_step": 3, "loss": "rescaled_double"} | fields
        return small("double2015", "breakout", **(TINY | {"max_frames_per_episode": 68, "frame_stack": 2} | fields))
    fields = VECTORS | {"recipe": "cartpole", "loop": "recurrent_replay", "target": "hard"} | fields
    fields |= {"replay_capacity": 500, "max_frames_per_episode": 17, "optimizer": "adam"}
    if case == "quantiles":
        fields |= {"loss": "qr", "head": "quantile", "quantiles": 5, "n_step": 2, "sequence_start": "zero"}
    game = "MaskedDoors-v0" if case == "masks" else "CartPole-v1"
    return configure(game, fields.pop("recipe"), fields)


@pytest.mark.parametrize("case", ["breakout", "prioritized", "quantiles", "masks"])
def test_a_killed_and_resumed_run_ends_as_an_unbroken_one(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, before = cut_down(case, steps=160, checkpoint_every=60), Doors.shut_doors_tried
    assert config.loop == "recurrent_replay"
    unbroken = facts_of_a_run_that_is_killed_and_stopped(config, monkeypatch)
    assert {"replay", "recurrent state"} <= unbroken.keys()
    assert Doors.shut_doors_tried == before


@pytest.mark.parametrize("case", ["breakout", "prioritized", "masks"])
def test_sequences_have_the_values_that_were_acted_on_as_long_as_theta_is_that_of_the_play(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a step size of 0, and games that end, are cut, and lose lives; so have the states n steps later."""
    acted: dict[tuple[int, int], np.ndarray] = {}
    last: list[np.ndarray] = []
    compared = {"now": 0, "later": 0, "starts": 0}
    next_q_values, add, update = EpsilonGreedy._next_q_values, SequenceReplay.add, Learner.update

    def noted(policy: EpsilonGreedy, observations: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        last[:] = [next_q_values(policy, observations, mask)]
        return last[0]

    def added(replay: SequenceReplay, *step: Any, **named: Any) -> None:
        acted.update({(env, int(row)): last[0][env] for env, row in enumerate(replay._rows.written)})
        add(replay, *step, **named)

    def updated(learner: Learner, batch: Batch, learning_rate: float) -> torch.Tensor:
        unrolled = UnrolledNetwork(learner.network, batch)  # type: ignore[arg-type]
        q, later = unrolled.q_values(batch.state).detach(), unrolled.q_values(batch.next_state).detach()
        assert batch.next_row is not None
        assert batch.starts is not None
        n = len(batch.recurrent_state) if batch.recurrent_state is not None else 0
        for i, (env, row) in enumerate(batch.rows.tolist()):
            if (env, row) not in acted:  # an episode's last frame, on which nobody acted
                assert batch.weight[i] == 0
                continue
            allowed = acted[env, row] > -1e9
            np.testing.assert_allclose(q[i].numpy()[allowed], acted[env, row][allowed], atol=1e-5)
            compared["now"] += 1
            after = (env, row + (int(batch.next_row[i]) - i) // n)
            if batch.discount_n[i] > 0 and after in acted:
                allowed = acted[after] > -1e9
                np.testing.assert_allclose(later[i].numpy()[allowed], acted[after][allowed], atol=1e-5)
                compared["later"] += 1
        compared["starts"] += int(batch.starts.sum())
        return update(learner, batch, 0.0)

    monkeypatch.setattr(EpsilonGreedy, "_next_q_values", noted)
    monkeypatch.setattr(SequenceReplay, "add", added)
    monkeypatch.setattr(Learner, "update", updated)
    start(cut_down(case, steps=300, eval_every=0, checkpoint_every=0), Path("run"))
    assert min(compared.values()) > 20, compared


RECALL: dict[str, Any] = {
    "memory": "lstm", "units": 16, "hidden": (32,), "steps": 5_000, "num_envs": 8, "frame_stack": 1, "gamma": 0.9,
    "loop": "recurrent_replay", "target": "hard", "loss": "double", "optimizer": "adam", "learning_rate": 5e-3,
    "learning_rate_end": None, "sequence_length": 8, "burn_in": 2, "sequence_every": 4, "batch_size": 64,
    "replay_start": 500, "replay_capacity": 5_000, "train_every": 16, "target_every": 200, "epsilon_steps": 3_000,
    "eval_every": 5_000, "eval_episodes": 40, "eval_epsilon": 0.0, "checkpoint_every": 0, "log_every": 2_500,
    "threads": 1, "device": "cpu",
}  # fmt: skip


@pytest.mark.parametrize("fields", [{}, {"sequence_start": "zero", "burn_in": 0, "n_step": 2}], ids=["R2D2", "DRQN"])
def test_a_game_that_must_be_remembered_is_learned_from_a_replay(fields: dict[str, Any], in_folder: Path) -> None:
    start(configure("Recall-v0", "cartpole", RECALL | fields), Path("run"))
    assert pixelq.read_curves("run").evaluations.mean[-1] == 1.0
    agent: Any = pixelq.load("run")
    envs = pixelq.make_envs(agent.config, num_envs=4, seed=3)
    observations, _ = envs.reset()
    agent.reset()
    won = 0.0
    for _ in range(2 * LENGTH):
        observations, reward, terminated, truncated, _ = envs.step(agent.act(observations))
        agent.reset(terminated | truncated)
        won += reward.sum()
    envs.close()
    assert won == 2 * 4


def statements(module: Any) -> list[str]:
    """The lines of a loop without its comments."""
    function = ast.parse(inspect.getsource(module.loop)).body[0]
    assert isinstance(function, ast.FunctionDef)
    return ast.unparse(function.body[1:]).splitlines()


def test_the_loop_is_the_replay_loop_but_for_what_is_remembered() -> None:
    plain, own = statements(replay_loop), statements(recurrent_replay_loop)
    assert [line.strip() for line in own if line not in plain] == [
        "assert isinstance(replay, SequenceReplay)",
        "action_mask, recurrent_state = (envs.action_masks, policy.recurrent_state)",
        next(line.strip() for line in plain if "replay.add(" in line)[:-1] + ", recurrent_state=recurrent_state)",
        "policy.forget(target_ends | truncated)",
    ]
    assert len(own) == len(plain) + 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"memory": "none"}, "loop = recurrent_replay is made for a network with a memory; use --memory lstm, or --loop "
     "replay"),
    ({"batch_size": 20}, "batch_size = 20 is out of range: it must be a multiple of sequence_length (8)"),
    ({"replay_start": 12}, "replay_start = 12 is out of range: it must be at least num_envs x (burn_in + "
     "sequence_length + n_step) = 13"),
    ({"replay_capacity": 20, "replay_start": 20}, "replay_capacity = 20 is out of range: it must be at least num_envs "
     "x (burn_in + sequence_length + n_step + sequence_every) = 21"),
    ({"burn_in": -1}, "burn_in = -1 must be between 0 and 10,000"),
    ({"sequence_length": 0}, "sequence_length = 0 must be between 1 and 10,000"),
    ({"sequence_every": 0}, "sequence_every = 0 must be between 1 and 10,000"),
    ({"priority_max_share": 1.5}, "priority_max_share = 1.5 must be between 0 and 1"),
    ({"sequence_start": "zeros"}, "sequence_start"),
    ({"priority_max_share": 0.5}, "priority_max_share = 0.5 would have no effect: samplers that go by priorities"),
    ({"loss": "rescaled_double", "target": "none"}, "target = none is out of range: it must be hard or soft for the "
     "rescaled_double loss"),
    ({"loss": "lambda_returns"}, "loss = lambda_returns is out of range: it must be one for the recurrent_replay loop"),
    ({"loss": "td_error"}, "loss = td_error is out of range: it must be one for the recurrent_replay loop"),
    ({"loss": "double", "target": "none"}, "target = none is out of range: it must be hard or soft"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "part"), REFUSED)
def test_what_does_not_go_together_is_refused_in_one_line(fields: dict[str, Any], part: str) -> None:
    config = configure("breakout", "cleanrl", {"memory": "lstm"})
    with pytest.raises(UserError) as caught:
        validate(overridden(config, fields))
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_memory_that_is_named_over_a_recipe_with_a_replay_brings_this_loop() -> None:
    for recipe in ("cleanrl", "dopamine", "nature2015", "c51", "qr-dqn", "iqn", "munchausen", "minatar-dqn"):
        game = "MinAtar/Breakout-v1" if recipe.startswith("minatar") else "breakout"
        config = configure(game, recipe, {"memory": "lstm"})
        validate(config)
        assert config.loop == "recurrent_replay"
        assert configure(game, recipe, {"memory": "lstm", "loop": "replay"}).loop == "replay"
    assert configure("breakout", "r2d2", {"memory": "none"}).loop == "replay"


def test_the_memory_estimate_counts_what_the_replay_keeps_for_each_sequence() -> None:
    config = configure("breakout", "cleanrl", {"memory": "lstm", "units": 512, "replay_capacity": 1_000_000})
    stored, zero = memory_needed(config), memory_needed(overridden(config, {"sequence_start": "zero"}))
    assert stored - zero == 1_000_000 // 8 * 4 * 1024
    longer = memory_needed(overridden(config, {"burn_in": 1_004}))
    assert longer - stored == 4 * 1_000 * 4 * 84 * 84 * (1 + 4)  # four sequences, as bytes and as floats
