"""Vector environments that depend only on seeds and actions, and can therefore be resumed exactly."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pixelq.envs.action_record import ActionRecord
from pixelq.envs.opening import Opening, aligned
from pixelq.envs.saved_episodes import SavedEpisodes, crcs, read_episodes
from pixelq.errors import RunError, UserError
from pixelq.image_and_numbers import ImageAndNumbers

NO_SEED = -1


class EnvironmentFailedError(RunError):
    """An environment raised an exception, which is the cause (`__cause__`) of this one.

    Args:
        message: says which environment, if the exception has an attribute `environment`.
        state_is_whole: `SeededEpisodes.state_dict` still returns the state before the step that failed.
        environments: whose step that was; None: it is not known.
    """

    def __init__(self, message: str, state_is_whole: bool, environments: SeededEpisodes | None = None) -> None:
        super().__init__(message)
        self.state_is_whole, self.environments = state_is_whole, environments


class NotReproducedError(UserError):
    """The saved actions, played again, give another result than they did: the open episodes cannot go on.

    Args:
        reason: what is different, and where.
        last_frames: the newest frame of each environment as it was saved, (N, ...); None in states without such.
        last_masks: the action mask of each as it was saved, bool (N, A); None in games without.
    """

    def __init__(self, reason: str, last_frames: np.ndarray | None, last_masks: np.ndarray | None = None) -> None:
        super().__init__(
            f"saved environments: {reason}; resume with the emulator version and the game settings of the run"
        )
        self.reason = reason
        self.last_frames, self.last_masks = last_frames, last_masks


class SeededStarts(Protocol):
    """N environments that step together, as `SeededEpisodes` needs them.

    A seed and the actions after it, over any number of episodes, must decide the observations, whatever the environment
    did before the seed. Neither side writes to a returned array afterwards.
    """

    num_envs: int
    single_observation_space: gymnasium.Space[Any]
    single_action_space: Discrete

    # Some have more. Games with masks: `gives_masks`, and `action_masks`, the actions allowed in the states that the
    # last call returned, bool (N, A), at least one in each, all of them in a terminal one, or None. Texts for a person:
    # `reads`, how observations are read, and `action_names`. And `look_whether_decided() -> bool`: do seeds and actions
    # decide the observations? It may refuse an observation that is not as its space says.

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Start an episode where `mask` (N,) bool is true.

        Args:
            seeds: int64, one per true entry; `NO_SEED`: continue the environment's own random stream.
            mask: which environments.

        Returns:
            observations (N, ...) of all environments (unchanged where not restarted) and lives (N,) int.
        """
        ...

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Take `actions` (N,) int64; a finished environment is always restarted before the next call.

        Returns:
            observations (N, ...), raw rewards (N,), terminated and truncated (N,) bool, never both, lives (N,) int.
        """
        ...

    def close(self) -> None:
        """Free what the environments hold."""
        ...


class SeededEpisodes(VectorEnv):
    """A `VectorEnv` (autoreset SAME_STEP) that seeds its environments itself and records their actions.

    `state_dict` and `load_state_dict` restore it bit for bit in another process, by playing the recorded actions again.
    An environment gets a new seed at the end of the first episode after `reseed_after` agent steps, which limits what a
    resume has to play. The j-th seed of environment i depends only on (seed, i, j).
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 (Gymnasium's own pattern)
    single_action_space: Discrete
    reads: str
    """How observations are read, in a sentence for a person; empty where only one way is possible."""
    action_names: list[str]
    """Of each action by its number, for a person; empty where the environments name none."""

    def __init__(
        self,
        inner: SeededStarts,
        seed: int | np.random.SeedSequence,
        *,
        reseed_after: int = 0,
        opening: Opening | None = None,
    ) -> None:
        """Wrap `inner`; call `reset` or `load_state_dict` before `step`.

        Args:
            inner: the environments.
            seed: root of all seeds.
            reseed_after: agent steps of one environment between seeds, rounded up to whole episodes; 0: every episode
                has its own seed. Above 0 where setting a seed is slower than starting an episode.
            opening: the actions that begin episodes and lives; None: the caller's.
        """
        self._inner = inner
        self.reads = str(getattr(inner, "reads", ""))
        self.action_names = list(getattr(inner, "action_names", ()))
        self.num_envs = inner.num_envs
        self.single_observation_space = inner.single_observation_space
        self.single_action_space = inner.single_action_space
        self.observation_space = batch_space(inner.single_observation_space, self.num_envs)
        self.action_space = batch_space(inner.single_action_space, self.num_envs)
        self._num_actions = int(inner.single_action_space.n)
        self._reseed_after = reseed_after
        self._opening = opening or Opening()
        self._record = ActionRecord(self.num_envs, self._num_actions, seed)
        self._observations: np.ndarray | None = None
        self._action_masks: np.ndarray | None = None
        self._lives = np.zeros(self.num_envs, np.int64)
        self._forced, self._lengths = aligned(self._opening.at_start, self._opening.after_lost_life)
        """The actions of both openings, ending together: int64 (2, longest), and how many they are: (2,)."""
        self._forced_by = np.zeros(self.num_envs, np.int64)
        """Which opening each environment is in: 0 an episode's, 1 a life's."""
        self._opening_left = np.zeros(self.num_envs, np.int64)
        """Agent steps until it is over."""
        self._opening_draws = [np.random.default_rng(0) for _ in range(self.num_envs)]
        self._played = np.zeros(self.num_envs, np.int64)
        """Agent steps of each environment's episode."""
        self.decided = True
        """Whether seeds and actions decide the episodes, as far as is known: `examine` and `load_state_dict` set it."""
        self.masked_actions = 0
        """Actions that an action mask tells of, once `examine` has looked; 0 in games without."""

    def examine(self) -> None:
        """Look, on environments made for it, whether observations are as their space says and episodes repeat.

        Raises:
            UserError: an observation is not what its space says, or an action mask is none.
        """
        look = getattr(self._inner, "look_whether_decided", None)
        self.decided = True if look is None else look()
        self.masked_actions = self._num_actions if getattr(self._inner, "gives_masks", False) else 0

    @property
    def observations(self) -> np.ndarray:
        """The current observations (N, ...): the last from `reset`, `step` or `load_state_dict`."""
        if self._observations is None:
            raise gymnasium.error.ResetNeeded("call reset() or load_state_dict() first")
        return self._observations

    @property
    def action_masks(self) -> np.ndarray | None:
        """Which actions are allowed at the current observations, bool (N, A); None in games without action masks."""
        return self._action_masks

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in every environment, from its stream's next seed; with an int `seed`, from new streams.

        Returns:
            observations (N, ...), and an info that is empty, or has `action_mask` as that of `step`.

        Raises:
            ValueError: a list of seeds, or options (seeds come only from the streams).
        """
        if options or not (seed is None or isinstance(seed, int)):
            raise ValueError("reset takes one int seed or none, and no options")
        if seed is not None:
            self._record = ActionRecord(self.num_envs, self._num_actions, seed)
        everywhere = np.ones(self.num_envs, np.bool_)
        self._record.begin(everywhere)
        self._observations = self._start(everywhere, self._record.seeds)
        return self._observations, {} if self._action_masks is None else {"action_mask": self._action_masks}

    def begin_again(self, mask: np.ndarray) -> np.ndarray:
        """Leave the episode where `mask` (N,) bool is true and start one from the stream's next seed.

        Returns:
            observations (N, ...) of all environments.
        """
        self._record.begin(mask)
        self._observations = self._start(mask, np.where(mask, self._record.seeds, NO_SEED))
        return self._observations

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Take one agent step in every environment; where an episode ends, the next one begins at once.

        Args:
            actions: (N,) integers in 0..num_actions-1.

        Returns:
            observations (N, ...), where an episode ended the first of the next one; rewards float32 (N,), raw;
            terminated and truncated (N,) bool, never both; info with `final_obs` (N, ...), the ended episode's last
            observation (in other rows without meaning), `life_lost` (N,) bool, a life was lost and the game goes on,
            and `action` int64 (N,), the actions really taken; in games with action masks also `action_mask` bool
            (N, A), the actions allowed at the observations, and `final_action_mask`, those at `final_obs`. The caller
            may keep the arrays but not write to them.

        Raises:
            ValueError: actions of the wrong shape, type or range (ale-py would hang on them), or not allowed.
        """
        taken = self._checked(actions)
        if self._lengths.any():
            forced = self._forced[self._forced_by, -np.maximum(self._opening_left, 1)]
            taken = np.where(self._opening_left > 0, forced, taken)
        lives_before = self._lives
        last, rewards, terminated, truncated = self._advance(taken)
        life_lost = (self._lives < lives_before) & ~terminated
        self._record.append(taken)
        self._observations, last_masks = last, self._action_masks
        done = terminated | truncated
        if done.any():
            fresh = done & (self._record.lengths >= self._reseed_after)
            self._record.begin(fresh)
            self._observations = self._start(done, np.where(fresh, self._record.seeds, NO_SEED))
        info = {"final_obs": last, "life_lost": life_lost, "action": taken}
        if self._action_masks is not None and last_masks is not None:
            info |= {"action_mask": self._action_masks, "final_action_mask": last_masks}
        return self._observations, _as_learned(rewards), terminated, truncated, info

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the future, as numpy arrays: the streams and the recorded actions.

        Also lives (N,) and the CRC-32 of each current observation (N,), with which `load_state_dict` checks its result,
        and the newest frame of each (N, ...), for replays that must end an episode there if it does not come out.
        Where seeds and actions do not decide the episodes, the current observations (N, stack, ...) themselves. In
        games with action masks these, uint8 (N, A).
        """
        state = self._record.state_dict() | {"lives": self._lives.astype(np.int64), "crc32": crcs(self.observations)}
        if self._action_masks is not None:
            state["action_masks"] = self._action_masks.astype(np.uint8)
        state["last_frames"] = self.observations[:, -1].copy()
        return state if self.decided else state | {"undecided": self.observations.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Play the recorded actions again; takes as many steps as the longest record. After an error call `reset`.

        Where seeds and actions do not decide the episodes (`decided` is false afterwards), nothing is played: the
        observations are the saved ones, of episodes that cannot go on, and `reset` must begin new ones before `step`.

        Raises:
            UserError: the state is damaged.
            NotReproducedError: the same actions give another result: with another emulator or other settings, or in a
                game that repeats itself only for a while. `reset` begins new episodes.
        """
        saved = read_episodes(state, self.num_envs, self._num_actions, self.single_observation_space)
        self._record.load_state_dict(state)
        self._observations = None
        self.decided = saved.undecided is None
        if not self.decided:
            self._observations, self._action_masks = saved.undecided, saved.action_masks
            return
        try:
            observations = self._replay()
        except EnvironmentFailedError as error:
            raise _not_reproduced(f"{error} while its saved actions were played again", saved) from error
        wrong = np.flatnonzero((crcs(observations) != saved.crc32) | (self._lives != saved.lives))
        if wrong.size:
            raise _not_reproduced(f"the saved actions of environment {wrong[0]} do not lead to its saved screen", saved)
        given = self._action_masks
        if saved.action_masks is not None and (given is None or not np.array_equal(saved.action_masks, given)):
            raise _not_reproduced("the saved actions do not lead to the saved action masks", saved)
        self._observations = observations

    def close_extras(self, **kwargs: Any) -> None:
        """Free the environments."""
        self._inner.close()

    def _start(self, mask: np.ndarray, seeds: np.ndarray, *, learned_from: bool = True) -> np.ndarray:
        """Start an episode where `mask` is true, from `seeds` (N,); return all observations."""
        try:
            observations, self._lives = self._inner.reset_some(seeds[mask], mask)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit or a panic in a game does not end the run unsaid
            raise self._failure(error, state_is_whole=False) from error
        self._action_masks = getattr(self._inner, "action_masks", None)
        self._played[mask] = 0
        if learned_from:
            self._check_finite(mask, observations, np.zeros(self.num_envs, np.float32), state_is_whole=False)
        longest = self._lengths[0]
        self._forced_by[mask], self._opening_left[mask] = 0, longest
        if longest and self._opening.drawn:
            for i in np.flatnonzero(mask):
                if seeds[i] != NO_SEED:
                    self._opening_draws[i] = np.random.default_rng(int(seeds[i]))
                self._opening_left[i] = self._opening_draws[i].integers(1, longest, endpoint=True)
        return observations

    def _advance(
        self, taken: np.ndarray, *, learned_from: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        try:
            observations, rewards, terminated, truncated, lives = self._inner.step(taken)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit or a panic in a game does not end the run unsaid
            raise self._failure(error, state_is_whole=True) from error
        if learned_from:
            everywhere = np.ones(self.num_envs, np.bool_)
            self._check_finite(everywhere, observations, _as_learned(rewards), state_is_whole=True)
        self._played += 1
        self._opening_left -= 1
        if self._lengths[1]:
            lost = lives < self._lives
            self._forced_by[lost], self._opening_left[lost] = 1, self._lengths[1]
        self._lives, self._action_masks = lives, getattr(self._inner, "action_masks", None)
        return observations, rewards, terminated, truncated

    def _failure(self, error: BaseException, *, state_is_whole: bool) -> EnvironmentFailedError:
        some = f"one of environments 0 to {self.num_envs - 1}" if self.num_envs > 1 else "environment 0"
        which = f"environment {error.environment}" if hasattr(error, "environment") else some
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return EnvironmentFailedError(f"{which} failed ({reason})", state_is_whole, self)

    def _check_finite(
        self, mask: np.ndarray, observations: np.ndarray, rewards: np.ndarray, *, state_is_whole: bool
    ) -> None:
        """Check, where `mask` is true, what a network would learn from: one NaN spoils every weight.

        Raises:
            EnvironmentFailedError: a reward or a number of the newest frame is NaN or infinite (as float32).
        """
        numbers = np.isfinite(rewards)
        newest, space = observations[:, -1], self.single_observation_space
        if isinstance(space, ImageAndNumbers):
            newest = space.numbers_in(newest)
        wrong = mask & ~numbers
        if newest.dtype.kind == "f":
            wrong |= mask & ~np.isfinite(newest).reshape(self.num_envs, -1).all(axis=1)
        if not wrong.any():
            return
        i = int(np.flatnonzero(wrong)[0])
        what = "a number of its observation" if numbers[i] else "its reward"
        value = rewards[i] if not numbers[i] else newest[i][~np.isfinite(newest[i])][0]
        when = f"at agent step {self._played[i] + 1} of its game" if state_is_whole else "at the start of a game"
        raise EnvironmentFailedError(f"environment {i} failed ({what} is {value} {when})", state_is_whole, self)

    def _replay(self) -> np.ndarray:
        """Play the records so that all end at the same step: the environments can only step together."""
        record = self._record
        observations = self._start(np.ones(self.num_envs, np.bool_), record.seeds, learned_from=False)
        for remaining in range(int(record.lengths.max()), 0, -1):
            actions = record.actions_before_end(remaining)
            if self._action_masks is not None:
                actions = np.where(remaining > record.lengths, self._action_masks.argmax(axis=1), actions)
            observations, _, terminated, truncated = self._advance(actions, learned_from=False)
            # An environment whose record has not begun takes steps without meaning; its seed then undoes them.
            turn = record.lengths == remaining - 1
            start = terminated | truncated | turn
            if start.any():
                observations = self._start(start, np.where(turn, record.seeds, NO_SEED), learned_from=False)
        return observations

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        if self._observations is None:
            raise gymnasium.error.ResetNeeded("call reset() or load_state_dict() before step()")
        given = np.asarray(actions)
        if given.shape != (self.num_envs,) or given.dtype.kind not in "iu":
            raise ValueError(f"actions must be ({self.num_envs},) integers, got {given.shape} {given.dtype}")
        if given.min() < 0 or given.max() >= self._num_actions:
            raise ValueError(f"actions must lie in 0..{self._num_actions - 1}, got {given}")
        if self._action_masks is not None and not self._action_masks[np.arange(self.num_envs), given].all():
            raise ValueError(f"actions must be allowed by the action masks, got {given}")
        return given.astype(np.int64)


def _not_reproduced(reason: str, saved: SavedEpisodes) -> NotReproducedError:
    return NotReproducedError(reason, saved.last_frames, saved.action_masks)


def _as_learned(rewards: np.ndarray) -> np.ndarray:
    """Rewards as float32; those beyond its range become infinite, which `_check_finite` finds."""
    with np.errstate(over="ignore"):
        return rewards.astype(np.float32)
