"""Atari games on ale-py's C++ vector environment, whose preprocessing runs in its worker threads.

In a mode or difficulty that is not the game's own, which that lacks, they are played by `atari_modes`.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from ale_py import Action
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode

from pixelq.config import Config
from pixelq.envs.atari_modes import atari_emulators
from pixelq.envs.games import Game
from pixelq.envs.opening import Opening
from pixelq.envs.seeded_episodes import NO_SEED
from pixelq.errors import UserError

# At its cap the emulator stops before it has read the last frame, so the state from which a truncated episode
# bootstraps would contain an older one. The frames are therefore counted here, and the emulator's cap is set so high
# that it is never reached.
_NO_CAP = 2**30


class AtariGames:
    """N copies of one game, each restarted from a given seed (satisfies `seeded_episodes.SeededStarts`).

    An observation is uint8 `(stack, H, W)` (`(stack, H, W, 3)` in colour), newest frame last, zeros before the start.
    Rewards are the game's own. Where a game ended, the newest frame repeats the last one read before the end.

    A worker thread that plays a game's last step begins the next episode at once, while the others still play:
    `reset_some` hands that episode out, and resets a game only for a seed or where an episode is left unfinished.
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
            autoreset_mode=AutoresetMode.SAME_STEP,
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
        self._now: tuple[np.ndarray, np.ndarray]
        """Observations and lives as the emulators last gave them, of the next episode where one has begun."""
        self._begun = np.zeros(num_envs, np.bool_)
        """Where an episode has begun that `reset_some` has not handed out."""
        self._final_obs: np.ndarray
        """There, the last observation of the episode before; other rows may be memory that nothing was written to."""
        # Of the game that is over ale-py no longer gives the lives: 0, but in Adventure it calls them 1 throughout.
        self._final_lives = int(game.rom == "adventure")

    def fire_action(self) -> int | None:
        """Return the index of FIRE in the action set; None where the game has no such action."""
        actions = list(self._games.ale.get_action_set())
        return actions.index(Action.FIRE) if Action.FIRE in actions else None

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Restart the masked games; see `SeededStarts.reset_some`."""
        self._steps[mask] = 0
        everywhere = np.full(self.num_envs, NO_SEED)
        everywhere[mask] = seeds
        anew = mask & ~(self._begun & (everywhere == NO_SEED))
        if anew.any():
            observations, info = self._games.reset(seed=everywhere[anew], options={"reset_mask": anew})
            self._now = observations, info["lives"]
        self._begun = self._begun & ~mask
        return self._shown()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Play one agent step in every game; see `SeededStarts.step`.

        An episode is truncated after `max_frames_per_episode` frames, rounded up to whole agent steps.
        """
        observations, rewards, terminated, _, info = self._games.step(actions)
        self._now = observations, info["lives"]
        # `ModeEmulators` begin no episode themselves and have no `final_obs`.
        self._begun = terminated & ("final_obs" in info)
        self._final_obs = info.get("final_obs", observations)
        self._steps += 1
        truncated = (self._steps >= self._last_step) & ~terminated
        observations, lives = self._shown()
        return observations, rewards, terminated, truncated, lives

    def _shown(self) -> tuple[np.ndarray, np.ndarray]:
        """Observations (N, ...) and lives (N,): of the end where the next episode is not handed out yet."""
        observations, lives = self._now
        if self._begun.any():
            observations, lives = observations.copy(), lives.copy()
            observations[self._begun], lives[self._begun] = self._final_obs[self._begun], self._final_lives
        return observations, lives

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
    palette for 64^3 colours), while all other games wait. Rare seeds make play faster and a resume slower, because it
    replays everything since the last seed: up to 32 games 131,072 agent steps at most, beside each game's last episode.
    More games are for more cores, of which a loading game keeps more waiting: 64 replay up to half a million, 128 and
    more 2 million.
    """
    return int(np.clip(max(131_072 // num_envs, min(128 * num_envs, 2_097_152 // num_envs)), 1024, 16_384))
