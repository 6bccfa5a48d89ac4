"""A policy that plays environments as `gymnasium.make` gives them: it does the preprocessing itself."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate

from pixelq.action_masks import checked_mask
from pixelq.config import Config
from pixelq.envs import Game
from pixelq.envs.combined_actions import actions_of
from pixelq.envs.given_masks import KEY, asked_mask, has_mask_method
from pixelq.envs.minigrid import made_of_cells
from pixelq.envs.opening import Opening
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import UserError
from pixelq.image_and_numbers import described
from pixelq.policy.acting import Acting, beginnings
from pixelq.policy.raw_frames import RawFrames, game_of, raw_frames

Act = Callable[..., np.ndarray]
"""`Agent.act`, with the memory of an `Acting`."""

SKIPPED_IN = "AtariPreprocessing"
"""Gymnasium's wrapper that repeats actions itself."""


class Player:
    """Plays one plain environment, or the N of a vector environment, action by action.

        player = agent.player(env)
        observation, info = env.reset()
        player.reset()
        action = player.act(observation, info)

    It makes frames of raw observations (gray, smaller, the brighter of two screens, one row of numbers), stacks them,
    asks the policy once every `frame_skip` observations and repeats its action in between. What begins a game in
    training begins it here: no-ops and FIRE in Atari.

    Args:
        act: the policy's.
        acting: what it remembers by.
        config: of the policy.
        trained_on: the space of its states.
        num_actions: A.
        env: the environment, to read its spaces; it is never stepped.
        frame_skip: observations to one action; None: the policy's, for an environment that plays one frame a step.
        epsilon: probability of a random action.
        seed: of the no-ops and other openings; random actions are drawn by `act`, from a generator of its own.

    Raises:
        UserError: the environment does not show what the policy was trained on, or does not take its actions.
    """

    def __init__(
        self, act: Act, acting: Acting, config: Config, trained_on: gymnasium.Space[Any], num_actions: int,
        env: gymnasium.Env[Any, Any] | VectorEnv, *, frame_skip: int | None = None, epsilon: float = 0.0, seed: int = 0,
    ) -> None:  # fmt: skip
        if not isinstance(env, gymnasium.Env | VectorEnv):
            raise UserError(f"player: {env!r:.80} is no environment; give it what gymnasium.make or make_vec returned")
        if frame_skip is not None and not (type(frame_skip) is int and frame_skip >= 1):
            raise UserError(f"player: frame_skip = {frame_skip!r:.80} must be a whole number, at least 1")
        self._several = isinstance(env, VectorEnv)
        self._space = env.single_observation_space if isinstance(env, VectorEnv) else env.observation_space
        self._action_space = env.single_action_space if isinstance(env, VectorEnv) else env.action_space
        self._batched = env.observation_space
        self._act, self._acting, self._epsilon = act, acting, epsilon
        self._check_raw(env, trained_on)
        game = game_of(config)
        atari = game if isinstance(game, Game) else None
        skip = frame_skip if frame_skip is not None else _frame_skip(env, config, atari)
        frames = raw_frames(self._space, config, cells=made_of_cells(env))
        if described(frames.space) != described(trained_on):
            raise UserError(
                f"this environment gives {described(frames.space)}, and the policy was trained on "
                f"{described(trained_on)} of {config.game}; make the environment as it was then"
            )
        if config.game.startswith("CarRacing") and isinstance(self._action_space, gymnasium.spaces.Box):
            raise UserError(
                "this environment steers continuously; make it with gymnasium.make('CarRacing-v3', continuous=False)"
            )
        self._actions = actions_of(self._action_space, config.game)
        if self._actions.count != num_actions:
            more = f"; make it with full_action_space={config.full_action_set}" if atari else ""
            raise UserError(
                f"this environment has {self._actions.count} actions, and the policy was trained with {num_actions}"
                f"{more}"
            )
        beginning = _Beginning(config, atari, num_actions) if atari is not None else None
        self._forgets_lives = beginning is not None and acting.remembers and config.life_loss_ends_target
        self._needs_lives = self._forgets_lives or (beginning is not None and bool(beginning.opening.after_lost_life))
        seeds = np.random.SeedSequence(seed).spawn(env.num_envs if isinstance(env, VectorEnv) else 1)
        self._games = [_PlayedGame(frames, skip, beginning, np.random.default_rng(one)) for one in seeds]
        self._ends_late = self._several and _ends_late(env)
        alone = [env] if isinstance(env, gymnasium.Env) else list(getattr(env.unwrapped, "envs", []))
        asked = [one if has_mask_method(one) else None for one in alone]
        self._asked: list[Any] = asked or [None] * len(self._games)
        """The environments that are asked for their action masks where `info` has none; None: it has no method."""

    def reset(self, where: Any = True) -> None:
        """Say that the next observations are the first ones of new episodes.

        Args:
            where: bool, in a vector environment `(N,)`: of which environments.

        Raises:
            UserError: it is something else.
        """
        for game in self._those(where):
            game.reset()

    def ended(self, over: Any) -> None:
        """Say where the last step ended an episode: `terminated | truncated`, after each step of a vector environment.

        Whether it begins the next one at once or a step later (Gymnasium's `AutoresetMode`) makes no difference here.

        Args:
            over: bool, in a vector environment `(N,)`.

        Raises:
            UserError: it is something else.
        """
        for game in self._those(over):
            game.reset(before=1 if self._ends_late else 0)

    def act(self, observation: Any, info: Mapping[str, Any] | None = None) -> Any:
        """The action to take now, an element of `env.action_space`.

        Args:
            observation: as `reset` or `step` of the environment returned it; every one must be shown, in order.
            info: what they returned beside it: lives, for policies that press FIRE after one is lost, and action masks.
                Masks that it lacks are asked of the environments (`action_masks()`), if they are in this process.

        Raises:
            UserError: an observation is not as its space says, or the lives are missing.
        """
        info = info or {}
        shown = self._one_by_one(observation)
        lives = self._lives(info)
        changed = [i for i, game in enumerate(self._games) if game.observe(shown[i], lives[i])]
        if self._acting.remembers:
            begins = [game.game_begins or (self._forgets_lives and game.life_begins) for game in self._games]
            self._acting.forget(np.array([i in changed and begin for i, begin in enumerate(begins)]))
        # A policy with a memory sees the states, too, in which an opening decides.
        deciding = [i for i in changed if self._games[i].forced is None or self._acting.remembers]
        if deciding:
            states = np.stack([self._games[i].state for i in deciding])
            masks = self._masks(info, deciding)
            chosen = self._act(states, self._epsilon, masks, np.array(deciding))
            for i, action in zip(deciding, chosen.tolist(), strict=True):
                self._games[i].action = action
        for i in changed:
            if (forced := self._games[i].forced) is not None:
                self._games[i].action = forced
        given = [self._actions.given(game.action) for game in self._games]
        if not self._several:
            return given[0]
        together: Any = create_empty_array(self._action_space, len(given))
        return concatenate(self._action_space, given, together)

    def _masks(self, info: Mapping[str, Any], deciding: list[int]) -> np.ndarray | None:
        """What is allowed in these games, bool `(n, A)`, in `info` or by a method of the environments; None: all is.

        Raises:
            UserError: one is no mask, or of some games there is one and of others none.
        """
        given = info.get(KEY)
        if given is None:
            masks = [self._asked_mask(i) for i in deciding]
        elif not self._several:
            masks = [given]
        elif not hasattr(given, "__len__") or len(given) != len(self._games):
            raise UserError(f"player: {KEY} must be a mask for each of {len(self._games)} environments")
        else:
            # Gymnasium fills up what some environments do not give, and says so beside it.
            there = np.asarray(info.get(f"_{KEY}", np.ones(len(self._games), np.bool_)))
            masks = [given[i] if there[i] else self._asked_mask(i) for i in deciding]
        if all(mask is None for mask in masks):
            return None
        return np.stack([self._checked_mask(mask, i) for mask, i in zip(masks, deciding, strict=True)])

    def _asked_mask(self, number: int) -> Any:
        asked = self._asked[number]
        return None if asked is None else asked_mask(asked)

    def _checked_mask(self, mask: Any, number: int) -> np.ndarray:
        of = f"the action mask of environment {number}" if self._several else "the action mask"
        if mask is None:
            raise UserError(f"player: {of} is missing, and others have one")
        try:
            return checked_mask(mask, self._actions.count)
        except UserError as error:
            raise UserError(f"player: {of} {error}") from None

    def _those(self, where: Any) -> list[_PlayedGame]:
        """The games in which episodes begin."""
        begins = beginnings(where)
        if begins.shape not in ((), (1,), (len(self._games),)):
            raise UserError(f"player: where is of {begins.size} environments, and it plays {len(self._games)}")
        return [game for game, one in zip(self._games, np.broadcast_to(begins, len(self._games)), strict=True) if one]

    def _one_by_one(self, observation: Any) -> list[Any]:
        """What each environment shows."""
        if not self._several:
            return [observation]
        try:
            shown = list(iterate(self._batched, observation))
        except Exception:  # of whatever is no batch of this space
            shown = []
        if len(shown) != len(self._games):
            given = " ".join(repr(observation).split())[:80]
            raise UserError(
                f"player: {given} is not what {len(self._games)} environments show; give it what reset() or step() of "
                "the vector environment returned"
            )
        return shown

    def _lives(self, info: Mapping[str, Any]) -> list[int]:
        if not self._needs_lives:
            return [0] * len(self._games)
        if "lives" not in info:
            why = "begins anew" if self._forgets_lives else "presses FIRE"
            raise UserError(f"this policy {why} after a lost life: call player.act(observation, info)")
        return [int(one) for one in np.broadcast_to(np.asarray(info["lives"]), len(self._games))]

    def _check_raw(self, env: Any, trained_on: gymnasium.Space[Any]) -> None:
        """Refuse environments that preprocess already: their frames would be stacked once more."""
        same = self._space.shape == trained_on.shape and self._space.dtype == trained_on.dtype == np.uint8
        if isinstance(env, SeededEpisodes) or same:
            raise UserError(
                "this environment's observations are already those of the policy: act on them by "
                "agent.act(observations), without a player"
            )


class _Beginning:
    """How a game of Atari begins: frames before the first state, agent steps in place of the policy's."""

    def __init__(self, config: Config, game: Game, num_actions: int) -> None:
        from pixelq.envs.atari import opening_with
        from pixelq.envs.atari_modes import fire_of

        fire = fire_of(game, full_action_set=config.full_action_set)
        self.opening = opening_with(fire, num_actions, config, game) or Opening()
        self._presses = [fire] if config.fire_on_reset and fire is not None else []
        self._noop_max = config.noop_max

    def frames(self, generator: np.random.Generator) -> list[int]:
        """Actions of one frame each: FIRE, and a number of no-ops, of which it counts as one."""
        no_ops = int(generator.integers(self._noop_max + 1))
        return self._presses + [0] * (no_ops - len(self._presses))

    def steps(self, generator: np.random.Generator) -> list[int]:
        """Actions of one agent step each."""
        actions = [*self.opening.at_start]
        if actions and self.opening.drawn:
            actions = actions[len(actions) - int(generator.integers(1, len(actions), endpoint=True)) :]
        return actions


class _PlayedGame:
    """One environment: its stack of frames, and where in an agent step it is."""

    def __init__(
        self, frames: RawFrames, frame_skip: int, beginning: _Beginning | None, generator: np.random.Generator
    ) -> None:
        self._frames, self._skip, self._beginning, self._generator = frames, frame_skip, beginning, generator
        self.state = np.zeros(frames.space.shape, frames.space.dtype)
        """The frames that the policy sees, newest last."""
        self.action = 0
        """What is done now."""
        self.forced: int | None = None
        """What an opening does in the state as it is now; None: the policy chooses."""
        self.game_begins = self.life_begins = False
        """Whether that state is the first of a game, or the first after a life was lost."""
        self._is_first = True
        """Whether the next state is an episode's first."""
        self._fresh, self._before = True, 0
        """Whether an episode is to begin, and how many observations of the one before come first."""
        self._left, self._read = 0, 1
        """Observations until a frame is made, and how many of the last ones it is made of."""
        self._kept: list[Any] = []
        self._single: deque[int] = deque()
        self._forced: deque[int] = deque()
        self._lives = 0

    def reset(self, before: int = 0) -> None:
        """Another episode begins, after so many more observations of this one."""
        self._fresh, self._before = True, before

    def observe(self, shown: Any, lives: int) -> bool:
        """Take in an observation; return whether it makes another state, in which an action is to be chosen."""
        if self._before:
            self._before -= 1
            return False
        if self._fresh:
            self._begin(lives)
        self._left -= 1
        if self._left < self._read:
            self._kept.append(copy.deepcopy(shown))  # an environment may write to the same array again
        if self._left:
            if self._single:
                self.action = self._single.popleft()
            return False
        self.state = np.concatenate([self.state[1:], self._frames.make(self._kept)[None]])
        self._kept, self._left, self._read = [], self._skip, min(self._frames.read, self._skip)
        self.game_begins, self._is_first = self._is_first, False
        self.life_begins = lives < self._lives and not self.game_begins
        if lives < self._lives and self._beginning is not None:
            self._forced = deque(self._beginning.opening.after_lost_life)
        self._lives = lives
        self.forced = self._forced.popleft() if self._forced else None
        return True

    def _begin(self, lives: int) -> None:
        self._fresh, self._is_first, self._lives = False, True, lives
        self.state = np.zeros_like(self.state)
        self._kept, self._read = [], 1
        if self._beginning is not None:
            self._single = deque(self._beginning.frames(self._generator))
            self._forced = deque(self._beginning.steps(self._generator))
        self._left = 1 + len(self._single)


def _frame_skip(env: Any, config: Config, game: Game | None) -> int:
    """How many observations the policy's action is held for.

    Raises:
        UserError: an Atari environment that skips frames which the policy is to see.
    """
    if game is None:
        return config.frame_skip
    own = next((skip for layer in _layers(env) if (skip := _skips(layer)) is not None), 1)
    if own == 1:
        return config.frame_skip
    if own == config.frame_skip and not config.max_pool:
        return 1
    raise UserError(
        f"this environment plays {own} frames in a step and shows the last; the policy is to see the brighter of the "
        f"last two of {config.frame_skip}: make it with gymnasium.make('ALE/{game.title}-v5', frameskip=1), or say "
        "agent.player(env, frame_skip=1), and what flickers may be missing"
    )


def _skips(layer: Any) -> Any:
    """Frames of one step that an Atari environment or the wrapper `SKIPPED_IN` names; None: it names none."""
    if type(layer).__name__ == SKIPPED_IN:
        return layer.frame_skip
    return getattr(layer, "_frameskip", None)


def _layers(env: Any) -> Iterator[Any]:
    """An environment, or the first of several, with all that is inside it, from the outside."""
    while env is not None:
        yield env
        inner = getattr(env, "envs", None)
        env = inner[0] if isinstance(inner, list | tuple) and inner else vars(env).get("env")


def _ends_late(env: Any) -> bool:
    """Whether a vector environment shows an ended episode's last observation and begins the next at another step."""
    return bool(AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)) == AutoresetMode.NEXT_STEP)
