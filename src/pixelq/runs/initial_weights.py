"""Weights that a run begins with instead of fresh ones (`load`): found, read, and handed to the learner."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from pixelq.checkpoints.policy_file import FILE, config_beside, find_policy, read_weights
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks import PARTS
from pixelq.recipes.reading import read_config
from pixelq.recipes.values import with_all_options
from pixelq.runs.run import Run
from pixelq.sharing.place import lasting, opened

SAME_WEIGHTS = (
    *("game", "torso", "torso_options", "padding", "norm", "linear", "linear_options", "head", "head_options"),
    *("memory", "memory_options", "streams", "streams_options"),
    *("frame_stack", "screen_size", "grayscale", "full_action_set", "env_kwargs", "wrappers"),
    *("activation", "normalise_observations"),
)
"""Fields that decide which weights a network has, and what they mean."""


class InitialWeights(NamedTuple):
    """A trained network's."""

    weights: dict[str, Tensor]
    made_with: Config | None
    """The configuration that it was trained with, if that can be read."""


def found_weights(config: Config) -> Path | None:
    """Where the weights are that `config.load` names; `auto`: those of the newest run here that has such a network."""
    if not config.load:
        return None
    if config.load != "auto":
        return lasting(config.load)
    own = with_all_options(config)
    runs = sorted(Path("runs").glob("*/config.toml"), key=lambda p: p.stat().st_mtime, reverse=True)
    for file in runs:
        other = _config_or_none(file)
        if other and all(getattr(other, name) == getattr(own, name) for name in SAME_WEIGHTS):
            for candidate in (file.parent / "best" / FILE, file.parent / "final" / FILE):
                if candidate.is_file():
                    return candidate
    return None


def read_initial_weights(config: Config) -> InitialWeights | None:
    """The weights that `config.load` names; None: the run begins with fresh ones.

    Raises:
        UserError: there is no policy, or it is damaged.
    """
    if not config.load:
        return None
    with opened(config.load) as place:
        file, made_with = find_policy(place.path), None
        with contextlib.suppress(UserError):  # an export may have none
            made_with = _config_or_none(config_beside(file))
        return InitialWeights(read_weights(file), made_with)


def begin_with(run: Run, initial: InitialWeights | None) -> None:
    """Look at what the environments show, and let the learner take over weights.

    Raises:
        UserError: the environments are not what they say, or the weights are of another network.
    """
    run.parts.examine()
    if initial is None:
        return
    if not hasattr(run.parts.learner, "start_from"):
        raise UserError(
            f"load = {run.config.load}: the Learner of the loop {run.config.loop} has no start_from, so it cannot "
            "begin with a policy's weights; leave out --load"
        )
    try:
        run.parts.learner.start_from(initial.weights, where=run.config.load)
    except UserError as error:
        raise UserError(f"{error}{_difference(initial.made_with, with_all_options(run.config))}") from None


def _difference(theirs: Config | None, own: Config) -> str:
    """The first choice in which two networks differ, as the end of a message; empty if none is known."""
    for name in SAME_WEIGHTS if theirs is not None else ():
        if name in ("game", "env_kwargs", "wrappers"):  # which the message tells itself: other actions, other shapes
            continue
        before, now = getattr(theirs, name), getattr(own, name)
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                name, before, now = _first_option(before, now)
            flag = name.replace("_", "-")
            return f"; it was trained with --{flag} {_said(before)}, and this run has {_said(now)}"
    return ""


def _first_option(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, Any, Any]:
    name = next(name for name in [*before, *now] if before.get(name) != now.get(name))
    return name, before.get(name), now.get(name)


def _said(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _config_or_none(file: Path) -> Config | None:
    try:
        return with_all_options(read_config(file, known=PARTS), PARTS)
    except UserError:
        return None
