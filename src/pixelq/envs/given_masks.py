"""The action masks that Gymnasium environments give with their observations, one state's after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from pixelq.action_masks import checked_mask
from pixelq.envs.misread import MisreadError
from pixelq.errors import UserError

KEY = "action_mask"
"""In `info`, as Gymnasium's Taxi has it: int8 or bool `(A,)`, 1 where an action is allowed."""
METHOD = "action_masks"
"""Of the environment or a wrapper, as sb3-contrib's MaskablePPO asks for it; where `info` has none."""


class GivenMasks:
    """The masks of N environments: those of all states, or none of any.

    A terminal state's mask is not asked for: nothing follows, and every action counts as allowed.

    Args:
        game: its name, for messages.
        num_envs: N.
        num_actions: A.
        frame_skip: how often an action is repeated; with masks only 1, for none is known in between.
    """

    def __init__(self, game: str, num_envs: int, num_actions: int, frame_skip: int) -> None:
        self._game, self._num_actions, self._frame_skip = game, num_actions, frame_skip
        self._gives: bool | None = None
        """Whether the environments give masks: what the first reset says. None before it."""
        self._masks = np.ones((num_envs, num_actions), np.bool_)

    @property
    def now(self) -> np.ndarray | None:
        """The masks of the current states, bool `(N, A)`, a copy; None if these environments give none."""
        return self._masks.copy() if self._gives else None

    def first(self, env: gymnasium.Env[Any, Any], number: int, info: Any) -> None:
        """Take in the mask of an episode's first state, of environment `number`, after a reset.

        Raises:
            MisreadError: it is no mask, or missing where others were not, or the other way round.
        """
        given = _given(env, info)
        if self._gives is None:
            self._gives = given is not None
            if self._gives and self._frame_skip > 1:
                raise MisreadError(
                    f"game {self._game}: it gives action masks, and frame_skip = {self._frame_skip} would repeat an "
                    "action that may not be allowed any more; use --frame-skip 1"
                )
        self._take(given, number, "at the start of its game")

    def next(self, env: gymnasium.Env[Any, Any], number: int, info: Any, *, terminated: bool, agent_step: int) -> None:
        """Take in the mask of the state of environment `number` after agent step `agent_step` of its game.

        Raises:
            MisreadError: as `first`; not where the game is over.
        """
        if terminated:
            self._masks[number] = True
        elif self._gives:
            self._take(_given(env, info), number, f"after agent step {agent_step} of its game")
        elif _in_info(info) is not None:  # asked at every agent step of games without masks, so no more than this
            self._take(_in_info(info), number, f"after agent step {agent_step} of its game")

    def _take(self, given: Any, number: int, when: str) -> None:
        if (given is not None) != self._gives:
            which = "no" if given is None else "an"
            raise MisreadError(
                f"game {self._game}: it gives {which} action mask {when}, unlike before; let it give one in the info "
                "of reset() and of every step(), or never"
            )
        if given is None:
            return
        try:
            self._masks[number] = checked_mask(given, self._num_actions)
        except UserError as error:
            raise MisreadError(f"game {self._game}: its action mask {when} {error}") from None


def _given(env: gymnasium.Env[Any, Any], info: Any) -> Any:
    """What an environment says is allowed: in `info`, or by its method; None if it says nothing."""
    if (given := _in_info(info)) is not None:
        return given
    return asked_mask(env) if has_mask_method(env) else None


def has_mask_method(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment or a wrapper of it can be asked for masks."""
    return env.has_wrapper_attr(METHOD) and callable(env.get_wrapper_attr(METHOD))


def asked_mask(env: gymnasium.Env[Any, Any]) -> Any:
    """What such an environment says is allowed now."""
    return env.get_wrapper_attr(METHOD)()


def _in_info(info: Any) -> Any:
    return info.get(KEY) if isinstance(info, Mapping) else None
