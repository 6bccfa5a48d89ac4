"""Any Gymnasium environment with finitely many actions, several copies stepped one after the other."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

from pixelq.action_masks import random_actions
from pixelq.config import Config
from pixelq.envs.combined_actions import actions_of
from pixelq.envs.drawn_pictures import DrawnPictures
from pixelq.envs.given_masks import GivenMasks
from pixelq.envs.global_random import kept_global_random
from pixelq.envs.gymnasium_games import GymnasiumGame, close_environment, make_environment, missing_package
from pixelq.envs.minigrid import is_minigrid, made_of_cells
from pixelq.envs.misread import MisreadError
from pixelq.envs.observation_frames import frames_of
from pixelq.envs.seeded_episodes import NO_SEED
from pixelq.errors import UserError

LEAKING = ("MinAtar/",)
"""Beginnings of ids of environments that carry something over into the next episode, whatever its seed: each episode
gets a new environment. MinAtar: the last action, which a sticky one repeats (`minatar.Environment.last_action`)."""


RESET = ("reset()", "observation", "info")
STEP = ("step()", "observation", "reward", "terminated", "truncated", "info")
"""What Gymnasium's calls return."""

LOOK_STEPS, LOOK_SECONDS = 60, 1.0
"""Agent steps for which an environment is looked at, twice, before a run; fewer if they take longer than this."""


class GymnasiumEnvs:
    """N copies of one environment, each restarted from a given seed (satisfies `seeded_episodes.SeededStarts`).

    An observation is float32 `(stack, d)` for numbers, uint8 `(stack, H, W)` or `(stack, H, W, C)` for images, alone or
    with numbers (`ImageAndNumbers`), newest frame last, zeros before the start. Rewards are the environment's own.

    Attributes:
        reads: how observations are read, for a person.
        actions: how actions are numbered, and what the environment gets for each.
        action_names: of combined actions; empty for others.
    """

    def __init__(self, config: Config, game: GymnasiumGame, *, num_envs: int, render_mode: str | None = None) -> None:
        """Make the environments.

        Args:
            config: `env_kwargs`, `frame_stack`, `frame_skip`, `max_frames_per_episode`; `grayscale` and `screen_size`
                for images.
            game: from `games.resolve_game`.
            num_envs: N.
            render_mode: Gymnasium's; None: nothing is drawn.

        Raises:
            UserError: a missing package, a space from which pixelq does not learn, or an option that only Atari has.
        """
        _check_no_atari_options(config, game)
        self._config = config
        self._game = game
        self._render_mode = render_mode
        self._pictures = DrawnPictures(game.id)
        self._envs: list[gymnasium.Env[Any, Any]] = []
        try:
            self._envs.append(self._made())
            self.actions = actions_of(self._envs[0].action_space, game.id)
            cells = is_minigrid(game.id) or made_of_cells(self._envs[0])
            self._frames = frames_of(self._envs[0].observation_space, config, game.id, cells=cells)
            self._envs.extend(self._made() for _ in range(num_envs - 1))
        except BaseException:
            self.close()
            raise
        self.reads = self._frames.reads
        self.gives_masks = False
        """Whether the environments say which actions are allowed, as far as was looked."""
        self.action_names = self.actions.names if self.actions.combined else []
        self.num_envs = num_envs
        space = self._frames.stacked_space(config.frame_stack)
        self.single_observation_space: gymnasium.Space[Any] = space
        self.single_action_space = Discrete(self.actions.count)
        self._skip = config.frame_skip
        self._last_step = math.ceil(config.max_frames_per_episode / config.frame_skip)
        self._steps = np.zeros(num_envs, np.int64)
        self._lives = np.zeros(num_envs, np.int64)
        self._observations = np.zeros((num_envs, *space.shape), self._frames.dtype)
        self._masks = GivenMasks(game.id, num_envs, self.actions.count, config.frame_skip)

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Restart the masked environments; see `SeededStarts.reset_some`. Lives are always 0."""
        observations = self._observations.copy()
        self._steps[mask] = 0
        for i, seed in zip(np.flatnonzero(mask).tolist(), seeds.tolist(), strict=True):
            try:
                if self._game.id.startswith(LEAKING):
                    close_environment(self._envs[i])
                    self._envs[i] = self._made()
                shown, info = _parts(self._envs[i].reset(seed=None if seed == NO_SEED else seed), RESET)
                observations[i] = 0
                observations[i, -1] = self._frames.make(shown)
                self._masks.first(self._envs[i], i, info)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                error.environment = i  # type: ignore[attr-defined]  # for the message, see `SeededEpisodes`
                raise
        self._observations = observations
        return observations, self._lives

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Take one agent step in every environment; see `SeededStarts.step`.

        An action is repeated for `frame_skip` frames, their rewards added up. An episode is truncated by its own time
        limit or after `max_frames_per_episode` frames, rounded up to whole agent steps.
        """
        n = self.num_envs
        observations = np.empty_like(self._observations)
        observations[:, :-1] = self._observations[:, 1:]
        rewards, terminated, truncated = np.zeros(n), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        for i, action in enumerate(actions.tolist()):
            try:
                env, agent_step = self._envs[i], int(self._steps[i]) + 1
                shown, rewards[i], terminated[i], truncated[i], info = self._play(env, action)
                observations[i, -1] = self._frames.make(shown)
                self._masks.next(env, i, info, terminated=terminated[i], agent_step=agent_step)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                error.environment = i  # type: ignore[attr-defined]  # for the message, see `SeededEpisodes`
                raise
        self._steps += 1
        truncated |= self._steps >= self._last_step
        self._observations = observations
        return observations, rewards, terminated, truncated & ~terminated, self._lives

    @property
    def action_masks(self) -> np.ndarray | None:
        """Which actions are allowed in the current states, bool `(N, A)`; None where the environments do not say."""
        return self._masks.now

    def look_whether_decided(self) -> bool:
        """Play the same seeds and actions twice, in two new environments that are used differently before and beside.

        Returns:
            Whether both looked the same; true if an environment fails meanwhile, which the run will tell.

        Raises:
            UserError: an observation is not what its space says.
        """
        with kept_global_random():
            try:
                probe = GymnasiumEnvs(self._config, self._game, num_envs=2)
            except UserError:
                return True
            try:
                first, second = _played(probe, 0), _played(probe, 1)
                self.gives_masks = probe.action_masks is not None
            finally:
                probe.close()
        return all(a == b for a, b in zip(first, second, strict=False))

    def render(self) -> np.ndarray:
        """Return a picture of the first environment, uint8 `(height, width, 3)`, always of the same size.

        Raises:
            UserError: a package for drawing is missing, or the environment cannot draw (with its own reason).
        """
        try:
            drawn: Any = self._envs[0].render()
        except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
            raise missing_package(self._game, error) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise UserError(
                f"game {self._game.id} cannot be drawn: its render() failed ({type(error).__name__}: {error})"
            ) from None
        return self._pictures(drawn)

    @property
    def first(self) -> gymnasium.Env[Any, Any]:
        """The first environment, to read its names and rates; the caller must not step it."""
        return self._envs[0]

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            close_environment(env)

    def _made(self) -> gymnasium.Env[Any, Any]:
        return make_environment(self._game, self._render_mode, self._config.env_kwargs, self._config.wrappers)

    def _play(self, env: gymnasium.Env[Any, Any], action: int) -> tuple[Any, float, bool, bool, Any]:
        total = 0.0
        for _ in range(self._skip):
            shown, reward, terminated, truncated, info = _parts(env.step(self.actions.given(action)), STEP)
            total += _number(reward)
            over = _truth(terminated, "terminated"), _truth(truncated, "truncated")
            if any(over):
                break
        return shown, total, *over, info


def _parts(returned: Any, names: tuple[str, ...]) -> Any:
    """What a call returned, if it has the parts that Gymnasium gives it.

    Args:
        returned: by the call.
        names: of the call, and of its parts.

    Raises:
        UserError: it has others.
    """
    call, *parts = names
    if isinstance(returned, tuple | list) and len(returned) == len(parts):
        return returned
    seen = f"{len(returned)} values" if isinstance(returned, tuple | list) else f"a {type(returned).__name__}"
    raise UserError(f"its {call} returned {seen}; Gymnasium's returns ({', '.join(parts)})")


def _number(reward: Any) -> float:
    """A reward as a number; it may stand in an array of one.

    Raises:
        UserError: it is no number.
    """
    if type(reward) is float:
        return reward
    with contextlib.suppress(TypeError, ValueError, OverflowError):  # texts, rows, endless whole numbers
        given = np.asarray(reward)
        if given.size == 1 and given.dtype.kind != "U":
            return float(given.item())
    raise UserError(f"its reward is {reward!r:.60}, which is no number")


def _truth(value: Any, name: str) -> bool:
    """Whether an episode is over; None counts as no.

    Raises:
        UserError: it is neither true nor false.
    """
    with contextlib.suppress(ValueError, TypeError):  # rows
        return bool(value)
    raise UserError(f"its {name} is {value!r:.60}, which is neither true nor false")


def _played(probe: GymnasiumEnvs, which: int) -> list[bytes]:
    """What environment `which` of two shows and pays in a fixed play; the other one plays something else beside it."""
    mine, other = np.random.default_rng(0), np.random.default_rng(1 + which)
    seeds = np.array([1, 1])
    seeds[1 - which] = 1_000 + which
    seen: list[bytes] = []
    started = time.monotonic()
    try:
        observations, _ = probe.reset_some(seeds, np.ones(2, np.bool_))
        seen.append(observations[which].tobytes())
        for _ in range(LOOK_STEPS):
            if time.monotonic() - started > LOOK_SECONDS:
                break
            masks = probe.action_masks
            actions = random_actions(other, 2, probe.actions.count, masks)
            mask = None if masks is None else masks[which : which + 1]
            actions[which] = random_actions(mine, 1, probe.actions.count, mask)[0]
            parts = probe.step(actions)
            seen.append(b"".join(part[which].tobytes() for part in parts))
            if (masks := probe.action_masks) is not None:
                seen.append(masks[which].tobytes())
            done = parts[2] | parts[3]
            if done.any():
                seeds += done
                observations, _ = probe.reset_some(seeds[done], done)
                if done[which]:
                    seen.append(observations[which].tobytes())
    except MisreadError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException:  # of a stranger's code; the run will meet it again and tell
        return seen
    return seen


def _check_no_atari_options(config: Config, game: GymnasiumGame) -> None:
    """Check that no option is set that only Atari's emulator has and that would change the game."""
    for name, nothing in (("sticky_actions", 0.0), ("opening_fire_max", 0), ("full_action_set", False)):
        if getattr(config, name) != nothing:
            flag = name.replace("_", "-")
            fix = f"--no-{flag}" if nothing is False else f"--{flag} {nothing:g}"
            raise UserError(f"{name} = {getattr(config, name)}: {game.id} is not an Atari game; use {fix}")
