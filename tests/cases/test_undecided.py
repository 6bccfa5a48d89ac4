"""Games whose episodes seed and actions do not decide: said at the start, and resumed with new episodes."""

import random
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from odd_games import Vector

from pixelq.cli.verify import verify
from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.recipes.choice import configure
from pixelq.replay import Replay
from pixelq.runs.run import Run
from pixelq.runs.session import resume, start
from small_runs import Killed, at_agent_step, die


class PythonRandom(Vector):
    def obs(self) -> Any:
        return np.full(3, random.random(), np.float32)


class Sampled(Vector):
    def step(self, action: Any) -> Any:
        observation, _, *rest = super().step(action)
        return observation, float(self.action_space.sample()), *rest


class SeedsTheGlobal(Vector):
    """Seeds what all environments of the process share, so that they disturb each other."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        np.random.seed(seed)
        return super().reset(seed=seed)

    def obs(self) -> Any:
        return np.random.uniform(-1, 1, 3).astype(np.float32)


class RandomEnd(Vector):
    def step(self, action: Any) -> Any:
        observation, reward, *_ = super().step(action)
        return observation, reward, random.random() < 0.1, False, {}


class Lucky(Vector):
    """Its chance comes from the seed it is given."""

    def obs(self) -> Any:
        return self.np_random.uniform(-1, 1, 3).astype(np.float32)


for _class in (PythonRandom, Sampled, SeedsTheGlobal, RandomEnd, Lucky):
    gymnasium.register(f"Undecided/{_class.__name__}-v0", entry_point=_class)
gymnasium.register(
    "Undecided/NormalizedObservation-v0",
    entry_point=lambda render_mode=None: gymnasium.wrappers.NormalizeObservation(Lucky(render_mode)),
)

UNDECIDED = [
    *(f"Odd/{name}-v0" for name in ("GlobalRandom", "OwnRandom", "Curriculum", "NormalizedReward")),
    *(f"Undecided/{name}-v0" for name in ("PythonRandom", "Sampled", "SeedsTheGlobal", "RandomEnd")),
    "Undecided/NormalizedObservation-v0",
]
DECIDED = [
    "Odd/Vector-v0",
    "Odd/Image-v0",
    "Odd/Endless-v0",
    "Undecided/Lucky-v0",
    "CartPole-v1",
    "MinAtar/Breakout-v1",
]


def environments(game: str, seed: int = 1) -> SeededEpisodes:
    plain: dict[str, Any] = {"frame_skip": 1, "frame_stack": 2, "noop_max": 0, "fire_on_reset": False}
    images = {"screen_size": 0, "grayscale": False}
    return make_envs(Config(**(plain | images | {"game": game})), num_envs=2, seed=seed)


@pytest.mark.parametrize("game", UNDECIDED)
def test_a_game_that_does_not_repeat_is_found(game: str) -> None:
    envs = environments(game)
    envs.examine()
    assert not envs.decided


@pytest.mark.parametrize("game", DECIDED)
def test_a_game_that_repeats_is_not_accused(game: str) -> None:
    envs = environments(game)
    envs.examine()
    assert envs.decided


def test_looking_changes_nothing_for_the_run() -> None:
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    envs, other = environments("Undecided/Lucky-v0"), environments("Undecided/Lucky-v0")
    envs.examine()
    environments("Odd/GlobalRandom-v0").examine()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert np.array_equal(envs.reset()[0], other.reset()[0])


@pytest.mark.parametrize("game", ["Odd/OwnRandom-v0", "Odd/Curriculum-v0"])
def test_a_loaded_state_shows_the_old_observations_until_new_episodes_begin(game: str) -> None:
    envs = environments(game)
    envs.examine()
    envs.reset()
    for _ in range(5):
        envs.step(np.zeros(2, np.int64))
    resumed = environments(game, seed=9)
    resumed.load_state_dict(envs.state_dict())
    assert not resumed.decided
    assert np.array_equal(resumed.observations, envs.observations)
    drawn = resumed.state_dict()["seeds_drawn"]
    resumed.reset()
    assert np.array_equal(resumed.state_dict()["seeds_drawn"], drawn + 1)
    resumed.step(np.zeros(2, np.int64))


@pytest.mark.parametrize("loop", ["replay", "parallel"])
@pytest.mark.parametrize("game", ["Odd/OwnRandom-v0", "Odd/NormalizedReward-v0"])
def test_a_killed_run_goes_on_with_new_episodes_keeps_the_rest_and_says_so(
    game: str, loop: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    every: dict[str, Any] = {"steps": 200, "eval_every": 0, "checkpoint_every": 46, "num_envs": 2, "threads": 1}
    every |= {"device": "cpu", "log_every": 50}
    if loop == "replay":
        config = configure(game, "mountain-car", every | {"replay_start": 20, "frame_skip": 1})
    else:
        config = configure(game, "gymnasium", every | {"rollout_length": 5, "batch_size": 10})
    with at_agent_step(monkeypatch, 130, die), pytest.raises(Killed):
        start(config, Path("r"))
    assert "seed and actions do not decide the episodes" in capsys.readouterr().err
    assert resume(Path("r")).agent_steps == 200
    told = capsys.readouterr().err.splitlines()[0]
    # Whole rollouts; and in a replay 46 rows and two last frames of each environment, which are whole blocks: they are
    # on the disk when the newest episode is cut, and a part of the checkpoint after the next.
    assert f"at agent step {92 if loop == 'replay' else 100}" in told
    assert verify(Path("r")).damaged == []
    assert "not exactly, with new episodes" in told
    lengths = [int(row.split(",")[3]) for row in Path("r/episodes.csv").read_text().splitlines()[1:]]
    assert set(lengths) == {20}, "a game that was cut is no score"


def test_the_replay_ends_what_cannot_go_on_as_a_truncation() -> None:
    replay = Replay(capacity=100, num_envs=2, frame_shape=(1,), stack=2, n_step=3, gamma=0.5, frame_dtype=np.float32)
    no, one = np.zeros(2, bool), np.ones(2, np.float32)

    def shown(number: float) -> np.ndarray:
        return np.full((2, 2, 1), number, np.float32)

    for step in range(4):
        over = np.array([False, step == 3])
        replay.add(shown(step), np.zeros(2, int), one, no, over, shown(4))
    replay.cut(shown(4))
    replay.cut(shown(9))  # nothing is open any more
    for step in range(3):
        replay.add(shown(100 + step), np.zeros(2, int), one, no, no, shown(0))
    snapshot = replay.snapshot()
    restored = Replay(capacity=100, num_envs=2, frame_shape=(1,), stack=2, n_step=3, gamma=0.5, frame_dtype=np.float32)
    restored.restore(snapshot.meta, snapshot.arrays, snapshot.sealed)  # holds the rows to their rules
    batch = restored.sample(300, np.random.default_rng(0))
    newest, next_newest = batch.state[:, -1, 0], batch.next_state[:, -1, 0]
    assert sorted(set(newest.tolist())) == [0, 1, 2, 3]
    assert set(next_newest[newest < 100].tolist()) == {3, 4}
    assert set(batch.discount_n[newest == 3].tolist()) == {0.5}


def test_open_games_are_no_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(configure("CartPole-v1", overrides={"device": "cpu", "num_envs": 2, "batch_size": 2}))
    run.parts.scores.add(np.array([5.0, 6.0]), np.array([False, True]))
    run.parts.scores.drop_open()
    games = run.parts.scores.add(np.array([1.0, 1.0]), np.array([True, True]))
    assert [(game.score, game.length) for game in games] == [(1.0, 1), (1.0, 1)]
    assert run.parts.scores.mean == pytest.approx(8 / 3)
    run.parts.envs.close()
