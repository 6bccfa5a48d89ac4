"""Episodes that worker threads begin at a game's last step are those that a reset after the step begins."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

from pixelq.config import Config
from pixelq.envs.atari import AtariGames
from pixelq.envs.atari_modes import ModeEmulators
from pixelq.envs.games import Game
from pixelq.envs.seeded_episodes import NO_SEED

N = 3
ALL = np.ones(N, np.bool_)


class PlainGames:
    """The reference: ale-py's emulators, which begin no episode themselves, and a count of the steps."""

    def __init__(self, config: Config) -> None:
        options: dict[str, Any] = {
            "max_num_frames_per_episode": 2**30,
            "repeat_action_probability": config.sticky_actions,
            "full_action_space": config.full_action_set,
            "img_height": config.screen_size,
            "img_width": config.screen_size,
            "grayscale": config.grayscale,
            "stack_num": config.frame_stack,
            "frameskip": config.frame_skip,
            "maxpool": config.max_pool,
            "noop_max": config.noop_max + 1,
            "reward_clipping": False,
            "use_fire_reset": config.fire_on_reset,
        }
        self._emulators: ModeEmulators | AtariVectorEnv
        if config.env_kwargs:
            self._emulators = ModeEmulators(config.game, N, config.env_kwargs["mode"], 0, **options)
        else:
            self._emulators = AtariVectorEnv(config.game, N, autoreset_mode=AutoresetMode.NEXT_STEP, **options)
        self._steps = np.zeros(N, np.int64)
        self._longest = -(-config.max_frames_per_episode // config.frame_skip)

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, ...]:
        self._steps[mask] = 0
        observations, info = self._emulators.reset(seed=seeds, options={"reset_mask": mask})
        return observations, info["lives"]

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, ...]:
        observations, rewards, terminated, _, info = self._emulators.step(actions)
        self._steps += 1
        return observations, rewards, terminated, (self._steps >= self._longest) & ~terminated, info["lives"]


class Both:
    """The same calls of the games and of the reference, whose results must be equal, then and at the end."""

    def __init__(self, config: Config, random: np.random.Generator) -> None:
        self.games = AtariGames(config, Game(config.game, config.game), num_envs=N, threads=2)
        self._plain, self._random = PlainGames(config), random
        self._results: list[tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]] = []

    def reset_some(self, mask: np.ndarray, seeded: float) -> np.ndarray:
        """Restart games, a share of them from a seed; return where there was one."""
        count = int(mask.sum())
        has_seed = self._random.random(count) < seeded
        seeds = np.where(has_seed, self._random.integers(1, 2**31, count), NO_SEED)
        self._compare(self.games.reset_some(seeds, mask), self._plain.reset_some(seeds, mask))
        where = np.zeros(N, np.bool_)
        where[mask] = has_seed
        return where

    def step(self) -> tuple[np.ndarray, np.ndarray]:
        """Take random actions; return which games terminated and which were truncated."""
        actions = self._random.integers(0, int(self.games.single_action_space.n), N)
        result = self.games.step(actions)
        self._compare(result, self._plain.step(actions))
        return result[2], result[3]

    def _compare(self, result: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> None:
        for one, other in zip(result, expected, strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        self._results.append((result, expected))

    def check_that_nothing_was_written(self) -> None:
        """The reference's arrays are ale-py's own, which it hands over for good."""
        for result, expected in self._results:
            assert all(np.array_equal(one, other) for one, other in zip(result, expected, strict=True))


@pytest.mark.parametrize(
    ("fields", "longest"),
    [
        # Held for so many frames, random actions lose a game in some 25 agent steps, of which `longest` allows more or
        # fewer: both ends occur.
        ({"game": "breakout", "frame_skip": 36, "sticky_actions": 0.25}, 21),
        ({"game": "klax", "frame_skip": 30, "fire_on_reset": False, "frame_stack": 2}, 17),
        ({"game": "adventure", "frame_skip": 80, "grayscale": False}, 15),
        ({"game": "breakout", "frame_skip": 36, "env_kwargs": {"mode": 4}}, 26),
    ],
    ids=["breakout", "klax", "adventure", "breakout in a mode"],
)
def test_any_mix_of_ends_seeds_and_restarts_plays_the_same_games(fields: dict[str, Any], longest: int) -> None:
    random, seen = np.random.default_rng(0), Counter[str]()
    both = Both(Config(screen_size=40, max_frames_per_episode=longest * fields["frame_skip"], **fields), random)
    both.reset_some(ALL, seeded=1.0)
    for step in range(75):
        terminated, truncated = both.step()
        over = terminated | truncated
        first = over & (random.random(N) < 0.7)  # the others are still over after the first call
        calls = [first, over & ~first]
        if step % 25 == 10:
            calls[0] = first | (random.random(N) < 0.6)
            seen["left unfinished"] += int((calls[0] & ~over).sum())
        if step == 40:
            calls = [ALL, ALL]
        for mask in calls:
            if not mask.any():
                continue
            from_seed = both.reset_some(mask, seeded=0.3)
            seen["terminated, no seed"] += int((terminated & mask & ~from_seed).sum())
            seen["truncated, no seed"] += int((truncated & mask & ~from_seed).sum())
            seen["over, seed"] += int((over & from_seed).sum())
    both.check_that_nothing_was_written()
    assert min(seen.values()) > 0, seen


def test_a_game_truncated_within_a_few_steps_plays_the_same_games() -> None:
    random = np.random.default_rng(3)
    both = Both(Config(game="pong", max_frames_per_episode=28, screen_size=40), random)
    both.reset_some(ALL, seeded=1.0)
    ends = 0
    for _ in range(30):
        terminated, truncated = both.step()
        assert not terminated.any()
        if truncated.any():
            ends += 1
            both.reset_some(truncated, seeded=0.2)
    assert ends >= 4
    both.check_that_nothing_was_written()


def test_a_game_that_is_over_is_reset_only_for_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise every worker thread but one would wait for that reset."""
    games = AtariGames(Config(game="klax", frame_skip=30), Game("klax", "Klax"), num_envs=N, threads=2)
    games.reset_some(np.arange(N), ALL)
    resets: list[list[int]] = []
    emulators_reset = games._games.reset

    def reset(*, seed: np.ndarray, options: dict[str, np.ndarray]) -> Any:
        resets.append(seed.tolist())
        return emulators_reset(seed=seed, options=options)

    monkeypatch.setattr(games._games, "reset", reset)
    random = np.random.default_rng(0)
    for end in range(6):
        over = np.zeros(N, np.bool_)
        while not over.any():
            over = games.step(random.integers(0, 2, N))[2]
        seeds = np.full(over.sum(), NO_SEED)
        if end == 3:
            seeds[0] = 7
        games.reset_some(seeds, over)
    assert resets == [[7]]
