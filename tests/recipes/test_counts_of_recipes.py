"""Updates, samples and target copies of recipes, counted in short real runs with the counts of agent steps scaled down.

Beside them stands the counting of the source's own loop, in its own units (agent steps, or emulator frames). CleanRL's
and Dopamine's loops make their first update only beyond the count at which ours does: see `made_at_the_start`.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from pixelq.learner.learner import Learner
from pixelq.recipes.choice import configure
from pixelq.recipes.header import headers
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.replay import Batch
from pixelq.runs.run import Run
from pixelq.runs.session import start
from run_fixtures import in_folder, no_plots, torch_settings_restored

__all__ = ["in_folder", "no_plots", "torch_settings_restored"]

STEPS = 170
"""Agent steps of a run."""
COPIES_BY = 200
"""What the period of target copies is divided by, so that the longest, of 30,000 agent steps, fits in."""
SMALL: dict[str, Any] = {
    "screen_size": 36, "max_frames_per_episode": 240, "eval_every": 0, "threads": 1, "device": "cpu",
    "load": "", "torso": "plain", "torso_options": {"channels": [4], "kernels": [8], "strides": [8], "hidden": [8]},
}  # fmt: skip


class Counted(NamedTuple):
    """What a run's learner was asked for, each with the agent steps played by then."""

    updates: list[int]
    copies: list[int]
    samples: list[int]
    """Transitions of each update."""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Notes what happens to the learner; everything is really computed."""
    found, played = Counted([], [], []), [0]
    count_step, update, copy = Run.count_step, Learner.update, Learner.copy_to_target

    def step(self: Run, *args: Any) -> None:
        count_step(self, *args)
        played[0] = self.parts.counters.agent_steps

    def updated(self: Learner, batch: Batch, learning_rate: float) -> torch.Tensor:
        found.updates.append(played[0])
        found.samples.append(len(batch.action))
        return update(self, batch, learning_rate)

    def copied(self: Learner) -> None:
        if self.target_network is not self.network:
            found.copies.append(played[0])
        copy(self)

    monkeypatch.setattr(Run, "count_step", step)
    monkeypatch.setattr(Learner, "update", updated)
    monkeypatch.setattr(Learner, "copy_to_target", copied)
    return found


def of_agent_steps(
    train_every: int, target_every: int, learning_starts: int, starts_by: int = 1_000
) -> Callable[[], Counted]:
    """A loop that counts agent steps and learns from `learning_starts` on, as Kaixhin's and Lapan's (0: no target
    network); ours, where no code was published (nips2013, double-notebook) or ours has other units (drqn)."""

    def loop() -> Counted:
        steps = range(learning_starts // starts_by, STEPS + 1)
        every = target_every // COPIES_BY
        return Counted([t for t in steps if t % train_every == 0], [t for t in steps if every and t % every == 0], [])

    return loop


def cleanrl(train_frequency: int, target_network_frequency: int, learning_starts: int) -> Callable[[], Counted]:
    """The loop of CleanRL's dqn_atari.py, c51_atari.py and rainbow_atari.py.

    Its `global_step` begins at 0 and is the number of the agent step that has just been played: one has been played
    more. It ends here with that of our last one.
    """

    def loop() -> Counted:
        found = Counted([], [], [])
        for global_step in range(STEPS + 1):
            if global_step > learning_starts // 1_000:
                if global_step % train_frequency == 0:
                    found.updates.append(global_step)
                if global_step % (target_network_frequency // COPIES_BY) == 0:
                    found.copies.append(global_step)
        return found

    return loop


def dopamine(
    update_period: int, target_update_period: int, min_replay_history: int, starts_by: int = 1_000
) -> Callable[[], Counted]:
    """The loop of Dopamine's agents, and of those built on them: `_train_step` of DQNAgent and JaxDQNAgent.

    It is called at a game's begin, and after every agent step but a game's last: so `training_steps` are the agent
    steps that were played before. What the replay counts beside the transitions, some for each game, is left out: a
    thousandth of the start holds no game. The headers of the recipes name it.
    """

    def loop() -> Counted:
        found = Counted([], [], [])
        training_steps = add_count = 0
        while training_steps <= STEPS:
            if add_count > min_replay_history // starts_by:
                if training_steps % update_period == 0:
                    found.updates.append(training_steps)
                if training_steps % (target_update_period // COPIES_BY) == 0:
                    found.copies.append(training_steps)
            training_steps, add_count = training_steps + 1, add_count + 1
        return found

    return loop


def of_frames(learn_period: int, target_period: int, least_replay: int) -> Callable[[], Counted]:
    """DQN Zoo's agent, which counts emulator frames, four of them an agent step, but its replay's transitions."""

    def loop() -> Counted:
        frames = range(4 * least_replay // 1_000, 4 * STEPS + 1)
        learned, copied = (
            [f // 4 for f in frames if f % period == 0] for period in (learn_period, target_period // COPIES_BY)
        )
        return Counted(learned, copied, [])

    return loop


MINATAR = ("minatar-dqn", "minatar-quantile", "minatar-iqn", "minatar-rainbow")
STARTS_BY = dict.fromkeys(["data-efficient-rainbow", *MINATAR], 50)
"""What the first update's agent step is divided by, where a thousandth would hold no transition of 20 steps, or is less
than an update's agent steps."""

SAMPLES = {"drqn": 32 * 10}
"""Transitions of an update, where they are not 32: sequences times their length."""

BEYOND_THE_START: dict[str, Callable[[], Counted]] = {
    "iqn": dopamine(4, 10_000, 50_000),
    "dopamine": dopamine(4, 8_000, 20_000),
    "dopamine-c51": dopamine(4, 8_000, 20_000),
    "dopamine-quantile": dopamine(4, 8_000, 20_000),
    "dopamine-iqn": dopamine(4, 8_000, 20_000),
    "dopamine-rainbow": dopamine(4, 8_000, 20_000),
    "hl-gauss": dopamine(4, 8_000, 20_000),
    "munchausen": dopamine(4, 8_000, 20_000),
    "m-iqn": dopamine(4, 8_000, 20_000),
    "fqf": dopamine(4, 10_000, 50_000),
    **dict.fromkeys(MINATAR, dopamine(4, 1_000, 1_000, 50)),
    "cleanrl": cleanrl(4, 1_000, 80_000),
    "cleanrl-c51": cleanrl(4, 10_000, 80_000),
    "cleanrl-rainbow": cleanrl(4, 8_000, 80_000),
}
"""Loops that learn first beyond the count that their settings name."""

SOURCES: dict[str, Callable[[], Counted]] = {
    "nature2015": of_frames(16, 40_000, 50_000),
    "noisy": of_frames(16, 40_000, 50_000),
    "double2015": of_frames(16, 120_000, 50_000),
    "dueling": of_frames(16, 120_000, 50_000),
    "prioritized": of_frames(16, 120_000, 50_000),
    "c51": of_frames(16, 40_000, 50_000),
    "qr-dqn": of_frames(16, 40_000, 50_000),
    "rainbow": of_frames(16, 32_000, 20_000),
    "data-efficient-rainbow": of_agent_steps(1, 2_000, 1_600, 50),
    "lapan-pong": of_agent_steps(1, 1_000, 10_000),
    "double-notebook": of_agent_steps(4, 1_200, 75_000),
    "nips2013": of_agent_steps(4, 0, 50_000),
    "drqn": of_agent_steps(1, 10_000, 50_000),
    **BEYOND_THE_START,
}
"""DQN Zoo's flags; gin files of Dopamine (iqn: the ICML one), Munchausen RL, FQF and "Revisiting Rainbow"; Args of
CleanRL; Kaixhin's README for its data-efficient Rainbow; DRQN's dqn_main.cpp; the notebook, Lapan's book. HL-Gauss
is Dopamine's C51, and the papers of noisy and dueling take over DQN's and Double DQN's."""


def made_at_the_start(recipe: str, start: int, every: int) -> list[int]:
    """The one update, or target copy, that ours makes at agent step `start` and the source does not, if one is due."""
    return [start] if recipe in BEYOND_THE_START and start % every == 0 else []


@pytest.mark.parametrize("recipe", BEYOND_THE_START)
def test_a_recipe_that_learns_sooner_than_its_source_says_so(recipe: str) -> None:
    told = [text for header in headers(recipe).values() for text in header.differences]
    assert any("learns first" in text and re.search(r"here (at|after) [\d,]+", text) for text in told)


@pytest.mark.parametrize("recipe", SOURCES)
def test_updates_and_target_copies_come_when_the_sources_do(recipe: str, in_folder: Path, counted: Counted) -> None:
    config = read_recipe(recipe)
    starts_by = STARTS_BY.get(recipe, 1_000)
    fields: dict[str, Any] = {
        "steps": STEPS, "replay_start": max(4, config.replay_start // starts_by), "replay_capacity": 1_000,
        "target_every": max(1, config.target_every // COPIES_BY), "stop_score": None,
    }  # fmt: skip
    if config.memory != "none":
        fields["units"] = 16
    start(configure("breakout", recipe, SMALL | fields), Path("r"))
    source, begin = SOURCES[recipe](), fields["replay_start"]
    assert counted.updates == [*made_at_the_start(recipe, begin, config.train_every), *source.updates]
    assert counted.copies == [*made_at_the_start(recipe, begin, fields["target_every"]), *source.copies]
    assert counted.samples == [SAMPLES.get(recipe, 32)] * len(counted.updates)


def test_btrs_updates_are_as_many_as_steps_of_all_its_environments_and_the_target_is_every_500ths(
    in_folder: Path, counted: Counted
) -> None:
    """The authors' main.py and Agent.py, with a 32nd of the environments and a 50th of the steps and updates."""
    envs, first, copied_every = 64 // 32, 200_000 // 32 // 50, 500 // 50
    config = read_recipe("btr")
    fields: dict[str, Any] = {
        "steps": STEPS, "num_envs": config.num_envs // 32, "train_every": config.train_every // 32,
        "replay_start": config.replay_start // 32 // 50, "target_every": config.target_every // 32 // 50,
        "replay_capacity": 1_000,
    }  # fmt: skip
    start(configure("breakout", "btr", SMALL | fields), Path("r"))
    assert counted.updates == [stored for stored in range(0, STEPS, envs) if stored >= first]
    assert counted.samples == [256] * len(counted.updates)
    # The authors count updates, and copy before the first, the 501st, ...; here agent steps are counted.
    assert len(counted.copies) >= 2
    assert {b - a for a, b in pairwise(counted.copies)} == {copied_every * envs}


ROLLOUTS: list[tuple[str, dict[str, Any], int, int]] = [
    # 128 environments x 32, in minibatches of 128; 8 environments x 128, in minibatches of 256.
    ("pqn", {"num_envs": 2, "batch_size": 2}, 2, 32),
    ("pqn-minatar", {"num_envs": 2, "batch_size": 2}, 2, 32),
    ("cleanrl-pqn", {"num_envs": 2, "rollout_length": 32, "batch_size": 16}, 4, 4),
    # Minibatches of two whole environments of eight.
    ("cleanrl-pqn-lstm", {"num_envs": 8, "rollout_length": 8, "batch_size": 16}, 4, 4),
]


@pytest.mark.parametrize(("recipe", "scaled", "epochs", "minibatches"), ROLLOUTS)
def test_a_rollout_is_learned_from_as_often_and_in_as_many_parts_as_in_the_source(
    recipe: str, scaled: dict[str, Any], epochs: int, minibatches: int, in_folder: Path, counted: Counted
) -> None:
    whole = read_recipe(recipe)
    assert whole.num_envs * whole.rollout_length == minibatches * whole.batch_size
    config = configure("breakout", recipe, SMALL | scaled | {"steps": 128})
    rollout = config.num_envs * config.rollout_length
    start(config, Path("r"))
    assert rollout == 64
    assert counted.updates == [t for t in (64, 128) for _ in range(epochs * minibatches)]
    assert sum(counted.samples) == epochs * 128
    assert counted.copies == []


OURS, GIVEN = "its counts were chosen here", "its counts are of a table given to this project: test_recipes"
NOT_COUNTED = {
    **dict.fromkeys(["default", "pong", "minatar", "gymnasium", "cartpole", "acrobot", "lunar-lander"], OURS),
    "gymnasium-pixels": OURS,
    "car-racing": "its counts are of a table given to this project: test_car_racing_recipe",
    **dict.fromkeys([name for name in recipe_names() if name.startswith("papers-100-lines")], GIVEN),
    "mountain-car": "its source makes 8 updates after every 16 agent steps, and here it is one after every second",
    "r2d2": "its source plays and learns in processes of their own: test_r2d2_recipe has the ratio",
    **dict.fromkeys(["stream-q", "stream-q-minatar"], "an update is an agent step: loops/test_stream_loop"),
}
"""Why a recipe is not among those above."""


def test_every_recipe_is_counted_or_says_why_not() -> None:
    counted = [*SOURCES, "btr", *(recipe for recipe, *_ in ROLLOUTS)]
    assert sorted([*counted, *NOT_COUNTED]) == sorted(recipe_names())
