"""Opening a Gymnasium game whose states and actions are both finite."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from pixelq.errors import UserError
from pixelq.tabular.maps import GameMap, map_of
from pixelq.tabular.model import TransitionModel, transition_model

EXAMPLES = "FrozenLake-v1, Taxi-v3 or CliffWalking-v1"

RENAMED = {"Taxi-v3": "Taxi-v4"}
"""Gymnasium 1.3 replaced Taxi-v3. Only its options `is_rainy` and `fickle_passenger` changed, which are off here."""

NO_LIMIT = 200
"""Limit in agent steps for a game without one of its own (CliffWalking), where a policy could go in circles forever."""


@dataclass(frozen=True)
class TabularGame:
    """A game with S numbered states and A numbered actions."""

    name: str
    """Gymnasium id."""
    slippery: bool | None
    """Gymnasium's `is_slippery`; None: the game's own choice."""
    limit: int
    """An episode is truncated after this many agent steps."""
    model: TransitionModel
    map: GameMap

    @property
    def states(self) -> int:
        """S."""
        return len(self.model.start)

    @property
    def actions(self) -> int:
        """A."""
        return self.model.probability.shape[1]

    def make(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """A new environment, truncated at `limit`."""
        return _make(self.name, self.slippery, max_episode_steps=self.limit, render_mode=render_mode)


def open_game(name: str, slippery: bool | None = None, limit: int | None = None) -> TabularGame:
    """Open a game by its Gymnasium id.

    Args:
        name: Gymnasium id (FrozenLake-v1), or `module:id` of your own.
        slippery: whether a step may slide sideways, where the game has that option; None: the game's own choice.
        limit: truncate episodes after this many agent steps; None: the game's own limit, else 200.

    Raises:
        UserError: unknown environment, one that is not finite, one without a transition table, or a missing package.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--max-episode-steps {limit} is out of range: an episode has at least 1 agent step")
    env = _make(_current_name(name), slippery)
    try:
        name = env.spec.id if env.spec else name
        _check_spaces(env, name)
        plain: Any = env.unwrapped
        if not hasattr(plain, "P") or not hasattr(plain, "initial_state_distrib"):
            raise UserError(f"{name}: it has no transition table (env.unwrapped.P); use {EXAMPLES}")
        states, actions = int(plain.observation_space.n), int(plain.action_space.n)
        model = transition_model(plain.P, plain.initial_state_distrib, states, actions, name)
        own = env.spec.max_episode_steps if env.spec else None
        return TabularGame(name, slippery, limit or own or NO_LIMIT, model, map_of(plain, states, actions))
    finally:
        env.close()


def _current_name(name: str) -> str:
    """`name`, or its name in the installed Gymnasium."""
    return RENAMED[name] if name in RENAMED and name not in gymnasium.registry else name


def _make(name: str, slippery: bool | None, **options: Any) -> gymnasium.Env[Any, Any]:
    if slippery is not None:
        options["is_slippery"] = slippery
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old or missing versions; what matters is raised as an error
            return gymnasium.make(name, disable_env_checker=True, **options)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"{name}: a package that it needs is missing ({error})") from None
    except gymnasium.error.UnregisteredEnv:
        raise UserError(f"unknown environment {name!r}; {_nearest(name)}") from None
    except (gymnasium.error.Error, ImportError) as error:
        raise UserError(f"environment {name!r} cannot be made ({error}); for example {EXAMPLES}") from None
    except TypeError as error:
        if slippery is None or "is_slippery" not in str(error):
            raise
        raise UserError(f"{name} has no slippery form; leave --no-slippery out") from None


def _nearest(name: str) -> str:
    known = {known.lower(): known for known in gymnasium.registry}
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(known[word] for word in close)}?" if close else f"for example {EXAMPLES}"


def _check_spaces(env: gymnasium.Env[Any, Any], name: str) -> None:
    for what, space in (("actions", env.action_space), ("observations", env.observation_space)):
        if not isinstance(space, Discrete):
            continuous = isinstance(space, Box) and np.issubdtype(space.dtype, np.floating)
            kind = "continuous (Box)" if continuous else f"of a {type(space).__name__} space"
            raise UserError(f"{name}: its {what} are {kind}; a table needs Discrete ones, as in {EXAMPLES}")
        if space.start != 0:
            raise UserError(f"{name}: its {what} are numbered from {space.start}; a table needs them to start at 0")
