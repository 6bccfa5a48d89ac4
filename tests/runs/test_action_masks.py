"""Whole runs of games with action masks: what is not allowed is not played, not bootstrapped from, and kept exactly."""

import contextlib
import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pixelq
import small_runs
from masked_games import ACTIONS, Doors
from pixelq.errors import RunError, UserError
from pixelq.machine.memory import check_memory, memory_needed
from pixelq.networks.heads import linear
from pixelq.profiling.machine import play_rates
from pixelq.profiling.recorded_play import RecordedPlay
from pixelq.recipes.choice import configure
from pixelq.runs.evaluation import evaluate
from pixelq.runs.run import Run
from pixelq.runs.session import resume, start
from pixelq.sharing.program import played_states
from pixelq.viewing.video import open_game, played
from pixelq.web.player import LivePlayer
from small_runs import Killed, at_agent_step, die, facts, terminate

SMALL: dict[str, Any] = {k: v for k, v in small_runs.SMALL.items() if k not in ("screen_size", "noop_max")} | {
    "steps": 200,
    "frame_skip": 1,
    "frame_stack": 2,
    "torso": "mlp",
    "eval_every": 100,
    "checkpoint_every": 60,
    "baseline_episodes": 1,
}
PARALLEL = {"num_envs": 4, "rollout_length": 5, "batch_size": 10, "learning_rate_end": None}
ONLY_REPLAY = ("replay_start", "replay_capacity", "batch_size", "target_every")
STREAM = {k: v for k, v in SMALL.items() if k not in ONLY_REPLAY} | {
    "num_envs": 1, "norm": "layer", "padding": "valid", "screen_size": 0, "normalise_observations": False,
}  # fmt: skip
LOOPS = {
    "replay": ("cleanrl", SMALL | {"num_envs": 3, "loss": "double", "n_step": 3, "sampler": "prioritized"}),
    "parallel": ("cartpole", SMALL | PARALLEL),
    "parallel-munchausen": ("cartpole", SMALL | PARALLEL | {"loss": "munchausen"}),
    "stream": ("stream-q-minatar", STREAM),
}


def configured(loop, game="MaskedDoors-v0", **fields):
    recipe, overrides = LOOPS[loop]
    return configure(game, recipe, overrides | fields)


def column(run, name):
    with (run / "progress.csv").open() as file:
        numbers = [float(row[name]) for row in csv.DictReader(file) if row[name]]
    return [number for number in numbers if not math.isnan(number)]  # which it is before the first update


@pytest.mark.parametrize("loop", ["replay", "parallel", "stream"])
def test_a_killed_and_resumed_run_with_masks_ends_as_an_unbroken_one_and_no_shut_door_is_tried(
    loop: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = loop == "replay"
    config, before = configured(loop, **({} if often else {"eval_every": 0})), Doors.shut_doors_tried
    start(config, Path("unbroken"))
    for i, (step, act) in enumerate([(107, die), (131, terminate)] if often else [(131, die)]):
        with at_agent_step(monkeypatch, step, act), contextlib.suppress(Killed):
            _ = resume(Path("broken")) if i else start(config, Path("broken"))
    assert resume(Path("broken")).signal is None
    assert facts(Path("broken")) == facts(Path("unbroken"))
    assert Doors.shut_doors_tried == before


@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_is_bootstrapped_from_a_door_that_is_never_open(
    loop: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that praises one door beyond measure would have losses and Q-values without measure."""
    forward = linear.Head.forward

    def praising(head, features, noise=None):
        output = forward(head, features, noise)
        return torch.cat([output[:, :-1], torch.full_like(output[:, -1:], 1e6)], dim=1)

    enter = Doors._enter

    def entered(room):
        shown, info = enter(room)
        room.mask[-1] = 0
        room.mask[0] |= ~room.mask.any()
        return shown, info

    monkeypatch.setattr(linear.Head, "forward", praising)
    monkeypatch.setattr(Doors, "_enter", entered)
    start(configured(loop, steps=120, eval_every=0, baseline_episodes=0), Path("run"))
    assert column(Path("run"), "loss")
    assert max(abs(value) for name in ("loss", "mean_q") for value in column(Path("run"), name)) < 1e3


@pytest.mark.parametrize("loop", ["replay", "parallel-munchausen"])
def test_a_mask_that_allows_all_changes_no_number_of_a_run(loop: str, in_folder: Path) -> None:
    for masks in (True, False):
        start(configured(loop, "OpenDoors-v0", env_kwargs={"masks": masks}, steps=120), Path(f"masks-{masks}"))
    masked, plain = facts(Path("masks-True")), facts(Path("masks-False"))
    # What is saved is more: the masks of open games, and of rows.
    said = {name for name in masked if masked[name] != plain[name]}
    assert said <= {"environments", "replay", "best", "final"}, said
    policies = [pixelq.load(Path(f"masks-{masks}")).network.state_dict() for masks in (True, False)]
    assert all(torch.equal(policies[0][name], policies[1][name]) for name in policies[0])


def test_a_run_that_began_before_masks_were_read_goes_on_with_them(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its replay holds rows without masks, and its open games' masks were not saved."""
    config = configured("replay", steps=200, eval_every=0)
    with monkeypatch.context() as patched:
        patched.setattr("pixelq.envs.given_masks._given", lambda env, info: None)
        patched.setattr("pixelq.envs.given_masks._in_info", lambda info: None)
        patched.setattr(Doors, "step", forgiving(Doors.step))
        with at_agent_step(monkeypatch, 150, terminate):
            start(config, Path("run"))
    monkeypatch.setattr(Doors, "step", forgiving(Doors.step))
    result = resume(Path("run"))
    assert result.signal is None
    assert facts(Path("run"))["last"] == "step-000000000201"


def forgiving(step):
    """`Doors.step`, but a shut door opens."""

    def stepped(room, action):
        room.mask = np.ones(ACTIONS, np.int8)
        return step(room, action)

    return stepped


def test_test_games_and_random_ones_open_no_shut_door() -> None:
    config, before = configured("replay"), Doors.shut_doors_tried
    for policy, epsilon in ((Loves(0), 0.0), (Loves(0), 0.5), (None, 1.0)):
        assert len(evaluate(policy, config, episodes=4, epsilon=epsilon, seed=1).games) == 4
    assert Doors.shut_doors_tried == before


def test_whatever_else_plays_a_trained_policy_opens_no_shut_door(in_folder: Path) -> None:
    """A video, the live page and who holds its joystick, the check of an exported program, the measurement of rates."""
    config, before = configured("replay", steps=100, eval_every=0, baseline_episodes=0), Doors.shut_doors_tried
    start(config, Path("run"))
    shown, envs = open_game(config, seed=1)
    lover: Any = Loves(0)
    lover.config = config
    moments = [moment for seed in range(3) for moment in played(lover, shown, envs, seed=seed, epsilon=0.3)]
    envs.close()
    choices = [moment.choice for moment in moments if moment.choice is not None]
    assert len({choice.action for choice in choices}) >= 4
    assert {choice.action for choice in choices if choice.greedy} != {0}

    player, held = LivePlayer(Path("run")), []
    assert player.look_for_policy()
    for step in range(40):
        player.held = None if step % 3 == 0 else 1
        player.decide()
        allowed = bool(player.envs.action_masks[0, 1])
        player.act()
        held.append((player.held == 1 and allowed, player._reason == "person"))
    player.close()
    assert {(True, True), (False, False)} == set(held)

    assert len(played_states(pixelq.load(Path("run")), seed=1, number=40)) == 40
    run = Run(config)
    batches = RecordedPlay(run, 30, np.random.default_rng(0)).batches(2, 8, np.random.default_rng(0))
    assert all(not batch.next_action_mask.all() for batch in batches)
    assert play_rates(run, 0.02)[0].emulator > 0
    run.parts.close()
    assert Doors.shut_doors_tried == before


def test_masks_are_counted_in_the_memory_that_a_run_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured("replay", replay_capacity=10_000_000)
    space = Run(config).parts.envs.single_observation_space
    without = memory_needed(config, space)
    monkeypatch.setattr("pixelq.machine.memory.available_memory", lambda: without + 10_000_000)
    check_memory(config, space, 0)
    check_memory(config, space, 8)  # a byte for each transition
    with pytest.raises(UserError, match="replay_capacity = 10000000: the run needs about"):
        check_memory(config, space, 9)
    monkeypatch.setattr("pixelq.machine.memory.available_memory", lambda: without + 1_000_000)
    with pytest.raises(UserError, match="choose fewer transitions with --replay-capacity"):
        start(config, None)


class Loves:
    """Would always take one action."""

    def __init__(self, action):
        self.action = action

    def q_values(self, observations):
        return np.tile(np.eye(ACTIONS, dtype=np.float32)[self.action], (len(observations), 1))


def test_a_mask_that_goes_wrong_ends_a_run_in_one_line(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter = Doors._enter

    def entered(room):
        shown, info = enter(room)
        return shown, {} if room.room == 3 else info

    with monkeypatch.context() as patched:
        patched.setattr(Doors, "_enter", entered)
        with pytest.raises(UserError, match="gives no action mask after agent step 3 of its game, unlike before"):
            start(configured("replay"), Path("run"))
        assert not Path("run").exists()
    with monkeypatch.context() as patched:
        patched.setattr("pixelq.envs.seeded_episodes.SeededEpisodes.examine", lambda envs: None)
        patched.setattr(Doors, "_enter", entered)
        with pytest.raises(
            RunError, match=r"environment \d failed \(game MaskedDoors-v0: it gives no action mask after"
        ):
            start(configured("replay"), Path("run"))
    assert resume(Path("run")).signal is None
