"""Atari games on ale-py's C++ vector environment, whose preprocessing runs in its worker threads.

In a mode or difficulty that is not the game's own, which that lacks, they are played by `atari_modes`.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from ale_py import Action
from gymnasium.spaces import Discrete

from pixelq.config import Config
from pixelq.envs.atari_modes import atari_emulators
from pixelq.envs.games import Game
from pixelq.envs.opening import Opening
from pixelq.errors import UserError

# At its cap the emulator stops before it has read the last frame, so the state from which a truncated episode
# bootstraps would contain an older one. The frames are therefore counted here, and the emulator's cap is set so high
# that it is never reached.
_NO_CAP = 2**30


class AtariGames:
    """N copies of one game, each restarted from a given seed (satisfies `seeded_episodes.SeededStarts`).

    An observation is uint8 `(stack, H, W)` (`(stack, H, W, 3)` in colour), newest frame last, zeros before the start.
    Rewards are the game's own. Where a game ended, the newest frame repeats the last one read before the end.
    """

    def __init__(self, config: Config, game: Game, *, num_envs: int, threads: int = 0) -> None:
        """Start the emulators.

        Args:
            config: its preprocessing fields (`configure` has put the sticky actions of the game's id into it), and
                `mode` and `difficulty` among `env_kwargs`.
            game: from `games.resolve_game`.
            num_envs: N.
            threads: worker threads; 0: as many as cores, at most N.

        Raises:
            UserError: the ROM is missing or damaged, or the game does not have such a mode or difficulty.
        """
        self._games = atari_emulators(
            game,
            config.env_kwargs,
            num_envs,
            num_threads=threads,
            max_num_frames_per_episode=_NO_CAP,
            repeat_action_probability=config.sticky_actions,
            full_action_space=config.full_action_set,
            img_height=config.screen_size,
            img_width=config.screen_size,
            grayscale=config.grayscale,
            stack_num=config.frame_stack,
            frameskip=config.frame_skip,
            maxpool=config.max_pool,
            noop_max=config.noop_max + 1,  # ale-py draws from 0..noop_max-1.
            episodic_life=False,
            life_loss_info=False,
            reward_clipping=False,
            use_fire_reset=config.fire_on_reset,
        )
        self.num_envs = num_envs
        self.single_observation_space = self._games.single_observation_space
        self.single_action_space = cast(Discrete, self._games.single_action_space)
        self._last_step = -(-config.max_frames_per_episode // config.frame_skip)
        self._steps = np.zeros(num_envs, np.int64)

    def fire_action(self) -> int | None:
        """Return the index of FIRE in the action set; None where the game has no such action."""
        actions = list(self._games.ale.get_action_set())
        return actions.index(Action.FIRE) if Action.FIRE in actions else None

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Restart the masked games; see `SeededStarts.reset_some`."""
        self._steps[mask] = 0
        observations, info = self._games.reset(seed=seeds, options={"reset_mask": mask})
        return observations, info["lives"]

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Play one agent step in every game; see `SeededStarts.step`.

        An episode is truncated after `max_frames_per_episode` frames, rounded up to whole agent steps.
        """
        observations, rewards, terminated, _, info = self._games.step(actions)
        self._steps += 1
        truncated = (self._steps >= self._last_step) & ~terminated
        return observations, rewards, terminated, truncated, info["lives"]

    def close(self) -> None:
        """Stop the worker threads and free the emulators."""
        del self._games


def opening_fire(games: AtariGames, config: Config, game: Game) -> Opening | None:
    """Return which actions begin episodes and lives of `games`; see `opening_with`."""
    return opening_with(games.fire_action(), int(games.single_action_space.n), config, game)


def opening_with(fire: int | None, num_actions: int, config: Config, game: Game) -> Opening | None:
    """Return which actions begin episodes and lives; None if the recipe forces none.

    A game without FIRE begins its lives without it, as in EnvPool. `wrapper_openings` are those of stable_baselines3's
    `atari_wrappers.py`: `EpisodicLifeEnv` plays action 0 to leave a lost life behind, and `FireResetEnv` around it
    plays actions 1 (FIRE) and 2 whenever that has reset; each is repeated for `frame_skip` frames.

    Args:
        fire: number of FIRE; None: the game has no such action.
        num_actions: A.
        config: `opening_fire_max`, `fire_on_life_loss`, `wrapper_openings`.
        game: for the message.

    Raises:
        UserError: the recipe holds FIRE at the start of an episode and the game has no such action.
    """
    if not (config.opening_fire_max or config.fire_on_life_loss or config.wrapper_openings):
        return None
    if config.wrapper_openings:
        presses = () if fire is None else (fire, 2)
        return Opening(presses, (0, *presses))
    if fire is None and config.opening_fire_max:
        raise UserError(
            f"opening_fire_max = {config.opening_fire_max}: {game.title} has no FIRE among its "
            f"{num_actions} actions; use --opening-fire-max 0 or --full-action-set"
        )
    if fire is None:
        return None
    return Opening((fire,) * config.opening_fire_max, (fire,) * config.fire_on_life_loss, drawn=True)


def reseed_after(num_envs: int) -> int:
    """Return how many agent steps each of `num_envs` games plays between seeds.

    ale-py takes a seed only by loading the ROM again, which takes as long as about 250 agent steps (it searches a
    palette for 64^3 colours); starting an episode without a new seed takes as long as 10. Rare seeds make play faster
    and a resume slower, because it replays everything since the last seed: with up to 128 games at most 131,072 agent
    steps plus each game's last episode.
    """
    return int(np.clip(131_072 // num_envs, 1024, 16_384))
