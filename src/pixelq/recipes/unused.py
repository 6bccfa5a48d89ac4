"""Options that a run would not use: where each has an effect. What a person names is never taken silently.

A recipe may hold any field: one file serves several loops and games. What is named on the command line, or as an
override in Python, must have an effect, or say what is so anyway (`noop_max = 0` in a game without no-op frames).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.loops import fields_of, own_fields
from pixelq.recipes.variant_fields import FIELDS_OF, used_fields
from pixelq.variants import KINDS


@dataclass(frozen=True)
class Use:
    """Where options have an effect."""

    who: str
    """Who uses them, as a subject: `the replay loop`."""
    holds: Callable[[Config], bool]
    """Whether they have an effect in a run."""
    instead: Callable[[Config], str]
    """What the run has instead, in words."""
    fields: dict[str, Any]
    """Option -> the value that says what is so without it; None: there is none."""


def _chooser(field: str, *values: str, who: str, fields: dict[str, Any]) -> Use:
    """Options for certain values of another field."""
    return Use(who, lambda c: getattr(c, field) in values, _instead(field), fields)


def _instead(field: str) -> Callable[[Config], str]:
    return lambda c: f"this run has --{_flag(field)} {getattr(c, field)}"


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _is_atari(config: Config) -> bool:
    from pixelq.envs.games import Game, resolve_game

    return isinstance(resolve_game(config.game), Game)


def _is_car_racing(config: Config) -> bool:
    from pixelq.envs.games import resolve_game

    return resolve_game(config.game).name == "CarRacing-v3"


def _pads(config: Config) -> bool:
    return bool(getattr(KINDS["torso"].find(config.torso), "USES_PADDING", True))


def _shows_images(config: Config) -> bool:
    from pixelq.envs.games import Game, resolve_game
    from pixelq.envs.gymnasium_games import opened_environment

    game = resolve_game(config.game)
    if isinstance(game, Game) or game.name == "CarRacing-v3":
        return True
    from pixelq.envs.observation_frames import parts_of

    with opened_environment(game, config.env_kwargs, config.wrappers) as env:
        parts = parts_of(env.observation_space)
    # More than `frames.picture_of` takes: whoever reads an array of numbers as an image decides that elsewhere.
    return any(len(part.space.shape or ()) >= 2 for part in parts)


USES = (
    _chooser("initialisation", "orthogonal", "he", who="orthogonal and he weights", fields={"output_gain": 1.0}),
    _chooser("target", "hard", who="a hard target network (--target hard)", fields={"target_every": None}),
    _chooser("target", "soft", who="a soft target network (--target soft)", fields={"target_tau": None}),
    Use(
        "a learning rate that falls (--learning-rate-end)", lambda c: c.learning_rate_end is not None,
        lambda c: "this run has a constant one", {"learning_rate_steps": 0},
    ),
    _chooser(
        *("gradient_clip", "value", "norm"), who="--gradient-clip value or norm", fields={"gradient_clip_at": None}
    ),
    Use(
        "an evaluation during training (--eval-every above 0)", lambda c: c.eval_every > 0,
        lambda c: "this run has none (--eval-every 0)", {"eval_episodes": None},
    ),
    Use(
        "an Atari game", _is_atari, lambda c: f"{c.game} is not an Atari game",
        {
            "max_pool": False, "noop_max": 0, "fire_on_reset": False, "opening_fire_max": 0,
            "fire_on_life_loss": False, "wrapper_openings": False, "life_loss_ends_target": False,
            "sticky_actions": 0.0, "full_action_set": False,
        },
    ),
    Use(
        "a game that shows images", _shows_images, lambda c: f"{c.game} shows numbers",
        {"grayscale": False, "screen_size": 0},
    ),
    Use(
        "a torso that pads images as the recipe says", lambda c: _shows_images(c) and _pads(c),
        lambda c: f"{c.game} shows {'images' if _shows_images(c) else 'numbers'} to --torso {c.torso}",
        {"padding": "valid"},
    ),
    Use("CarRacing-v3", _is_car_racing, lambda c: f"this is {c.game}", {"backend": "gymnasium"}),
)  # fmt: skip
"""With `variant_uses` the table. An option in none of its rows and not in `ALWAYS` is a mistake; a test finds it."""


_WITHOUT: dict[str, Any] = {"epsilon_begin": 0, "weight_decay": 0.0, "amsgrad": False}
"""The values that say what is so where schedule or optimizer does not use the field."""


def variant_uses() -> list[Use]:
    """The rows of loops, schedules and optimizers: fields that some of them use and others do not."""
    rows = [
        Use(
            f"the {_any_of(names)} loop",
            _by_loop(field),
            lambda c: f"this run has --loop {c.loop}",
            {field: nothing},
        )
        for field, (names, nothing) in own_fields().items()
    ]
    return rows + [
        Use(
            f"--{_flag(kind)} {_any_of(_using(kind, field))}",
            _by_variant(kind, field),
            _instead(kind),
            {field: _WITHOUT.get(field)},
        )
        for kind, fields in FIELDS_OF.items()
        for field in fields
    ]


def _by_loop(field: str) -> Callable[[Config], bool]:
    return lambda c: field in fields_of(c.loop)


def _by_variant(kind: str, field: str) -> Callable[[Config], bool]:
    return lambda c: field in used_fields(kind, getattr(c, kind))


def _using(kind: str, field: str) -> list[str]:
    found = []
    for name in KINDS[kind].names():
        with contextlib.suppress(UserError):  # of an installed one that cannot be imported, and is not chosen here
            if field in used_fields(kind, name):
                found.append(name)
    return found


ALWAYS = frozenset(kind.options for kind in KINDS.values()) | {
    "game", "recipe", "seed", "steps", "episodes", "stop_score", "loop", "num_envs", "frame_skip", "frame_stack",
    "clip_reward", "scale_reward", "normalise_observations", "max_frames_per_episode", "torso", "norm",
    "activation", "linear", "memory", "streams", "head", "initialisation", "precision", "loss", "gamma",
    "optimizer", "learning_rate", "learning_rate_end", "target", "epsilon_schedule", "load",
    "eval_every", "eval_epsilon", "eval_max_steps", "baseline_episodes", "checkpoint_every", "keep_policies",
    "log_every", "device", "threads", "deterministic", "track", "env_kwargs", "wrappers",
}  # fmt: skip
"""Options that every run uses. The options of variants are theirs: one that is not chosen has none; an environment
refuses the keywords (`env_kwargs`) that it does not have."""

MOST_THREADS_PER_CORE = 4


def check_used(config: Config, named: Iterable[str]) -> None:
    """Refuse what a person has named and the run would not use.

    Args:
        config: with what was named.
        named: fields of `Config`; others are passed over.

    Raises:
        UserError: naming the first one, its value, who uses it, and what this run has instead.
    """
    named = set(named)
    for use in (*USES, *variant_uses()):
        for name, nothing in use.fields.items():
            if name not in named or (value := getattr(config, name)) == nothing or use.holds(config):
                continue
            out = f"leave out --{'no-' if value is False else ''}{_flag(name)}"
            if nothing is False:
                out += f", or say --no-{_flag(name)}"
            elif nothing is not None:
                out += f", or say --{_flag(name)} {nothing}"
            raise UserError(
                f"{name} = {value} would have no effect: {use.who} uses it, and {use.instead(config)}; {out}"
            )
    if "threads" in named:
        check_threads(config.threads)


def check_threads(threads: int) -> None:
    """Hold a number of threads that a person names to the machine's cores.

    Raises:
        UserError: negative, or many more than cores.
    """
    most = max(64, MOST_THREADS_PER_CORE * (os.cpu_count() or 1))
    if not 0 <= threads <= most:
        raise UserError(
            f"--threads {threads} is out of range: it must be between 0 (one per core) and {most} on this machine, "
            f"which has {os.cpu_count() or 1} cores"
        )


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def whose_option(name: str, config: Config) -> str:
    """Which variants have an option of this name, as a sentence for a message; empty if none has."""
    for kind in KINDS.values():
        owners = [variant for variant in kind.names() if _has(kind.name, variant, name)]
        if owners:
            having = _any_of([f"--{_flag(kind.name)} {owner}" for owner in owners])
            return f"it is an option of {having}, and this run has --{_flag(kind.name)} {getattr(config, kind.name)}"
    return ""


def _has(kind: str, variant: str, option: str) -> bool:
    try:
        return option in {f.name for f in fields(KINDS[kind].options_class(variant))}
    except UserError:  # of an installed variant that cannot be imported
        return False
