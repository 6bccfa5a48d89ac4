"""What training scores were made with: a run's settings and a reference's, in words, aspect by aspect.

Every field of `Config` that decides what is played or learned is in one aspect. A field that is in none counts too,
under its own name, so that "same protocol" is said only where nothing differs.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pixelq import loops
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.length import LEARNING_RATE, decided_by_length
from pixelq.recipes.values import FIELDS, config_from_values, merged
from pixelq.recipes.variant_fields import EPSILON_FIELDS, OPTIMIZER_FIELDS, used_fields
from pixelq.schedules import epsilon_schedule, final_epsilon
from pixelq.short_numbers import short
from pixelq.variants import KINDS, option_values

PUBLISHED = Path(__file__).parent / "published"
"""Published curves, scores and their protocols, with their sources in README.md."""
DOPAMINES_RUNS = 5
"""Runs of each of Dopamine's published curves."""

UNIMPORTANT = frozenset(
    {
        *("game", "recipe", "seed", "steps", "episodes", "stop_score", "averaged_network_tau"),
        *("eval_every", "eval_episodes", "eval_max_steps", "eval_epsilon", "baseline_episodes", "checkpoint_every"),
        *("log_every", "device", "threads", "compile", "deterministic", "track", "keep_policies"),
    }
)
"""Fields that change no training game: how long a run is, what it tests, what it reports, where it computes.

Where something that is learned goes by the run's length (`decided_by_length`), `steps` are told with it."""


@dataclass(frozen=True)
class Aspect:
    """One item of the protocol that scores are measured with: that of a run and that of the reference, in words."""

    name: str
    run: str
    reference: str

    @property
    def differs(self) -> bool:
        """Whether run and reference differ in it."""
        return self.run != self.reference


def protocol(
    config: Config, reference: Config, *, seeds: int | None = None, reference_seeds: int = DOPAMINES_RUNS
) -> list[Aspect]:
    """Every aspect of a run's protocol beside that of a reference, and the fields without words that differ.

    Args:
        config: the run's.
        reference: the reference's.
        seeds: how many runs there are; None: not compared.
        reference_seeds: how many runs the reference has.
    """
    run, other = described(config), described(reference)
    aspects = [Aspect("score", "training games", "training games")]
    aspects += [
        Aspect(name, run.get(name, "-"), other.get(name, "-"))
        for name in {**run, **other}
        if name in ASPECTS or run.get(name) != other.get(name)  # a field without words only where it differs
    ]
    return aspects if seeds is None else [*aspects, Aspect("runs", str(seeds), str(reference_seeds))]


def described(config: Config) -> dict[str, str]:
    """What decides a run's training scores, in words: aspect -> words."""
    words = {name: say(config) for name, (_, say) in ASPECTS.items()}
    told = UNIMPORTANT.union(*(fields for fields, _ in ASPECTS.values()))
    return words | {name: str(getattr(config, name)) for name in FIELDS if name not in told}


@cache
def published_protocol(agent: str) -> Config | None:
    """What one of Dopamine's published curves was made with; None of another agent."""
    return _read_protocol(agent, tomllib.loads((PUBLISHED / "dopamine_protocols.toml").read_text(encoding="utf-8")))


def _read_protocol(agent: str, tables: Mapping[str, Mapping[str, Any]]) -> Config | None:
    if agent not in tables:
        return None
    return config_from_values(_with_base(agent, tables), where=f"protocol of {agent}")


def _with_base(agent: str, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    values = dict(tables[agent])
    base = values.pop("base", None)
    return values if base is None else merged(_with_base(base, tables), values, f"protocol of {agent}")


# --- words ----------------------------------------------------------------------------------------------------------


def _variant(config: Config, kind: str, *, defaults: bool = False) -> str:
    """A chosen variant and its options, without those that are its defaults if not asked: `categorical (atoms 101)`."""
    return getattr(config, kind) + _options(config, kind, defaults=defaults)


def _options(config: Config, kind: str, *, defaults: bool) -> str:
    """What `_variant` says behind the name: ` (atoms 101)`."""
    name, given = getattr(config, kind), getattr(config, KINDS[kind].options)
    try:
        usual = option_values(KINDS[kind].read_options(name, {}))
        now = option_values(KINDS[kind].read_options(name, given))
    except UserError:  # of a run whose variant is not installed here
        usual, now = {}, dict(given)
    told = [f"{option} {value}" for option, value in now.items() if defaults or usual.get(option, usual) != value]
    return f" ({', '.join(told)})" if told else ""


def _epsilon(config: Config) -> str:
    name, kind = _variant(config, "epsilon_schedule"), KINDS["epsilon_schedule"]
    uses: tuple[str, ...] = EPSILON_FIELDS
    with contextlib.suppress(UserError):  # of a run whose schedule is not known here
        uses = used_fields("epsilon_schedule", config.epsilon_schedule)
        if say := getattr(kind.find(config.epsilon_schedule), "in_words", None):
            later = "epsilon_begin" in uses and config.epsilon_begin
            begin = f", after {config.epsilon_begin:,} at {short(config.epsilon_start)}" if later else ""
            said, options = str(say(config, name)), _options(config, "epsilon_schedule", defaults=False)
            return said + begin + (options if options not in said else "")
    values = ""
    with contextlib.suppress(Exception):  # of a person's own schedule: the loop asks it the same and tells of it
        first, last = _span(epsilon_schedule(config)(0)), _span(final_epsilon(config))
        values = f"{first} to {last} " if first != last else f"{first} at first and at the end, "
    fields = {field: getattr(config, field) for field in uses}
    by = [f"{field} {f'{value:,}' if isinstance(value, int) else short(value)}" for field, value in fields.items()]
    return f"{values}by {name}" + (f", which goes by {', '.join(by)}" if by else "")


def _span(epsilon: np.ndarray) -> str:
    """Epsilon of one or several environments, in three digits."""
    least, most = (f"{value:.3g}" for value in (epsilon.min(), epsilon.max()))
    return most if least == most else f"{least}...{most}"


def _start(config: Config) -> str:
    parts = []
    if config.noop_max:
        parts.append(f"up to {config.noop_max} no-op frames")
    if config.fire_on_reset:
        parts.append("FIRE where the game waits for it")
    if config.opening_fire_max:
        parts.append(f"FIRE held for 1 to {config.opening_fire_max} agent steps")
    if config.wrapper_openings:
        parts.append("FIRE and action 2")
    return ", ".join(parts) or "as the emulator starts it"


def _lost_life(config: Config) -> str:
    signal = "ends the target" if config.life_loss_ends_target else "no signal"
    if config.wrapper_openings:
        return f"{signal}, then a no-op, FIRE and action 2"
    return f"{signal}, then FIRE" if config.fire_on_life_loss else signal


def _skip(config: Config) -> str:
    return f"{config.frame_skip}{', maximum of the last two' if config.max_pool else ''}"


def _observation(config: Config) -> str:
    colour = "gray" if config.grayscale else "colour"
    return f"{config.frame_stack} {colour} frames of {config.screen_size}x{config.screen_size}"


def _game(config: Config) -> str:
    told = [f"{name} {value}" for name, value in sorted(config.env_kwargs.items())]
    return ", ".join(told if config.backend == "gymnasium" else [*told, f"backend {config.backend}"]) or "its own"


def _network(config: Config) -> str:
    parts = {kind: _variant(config, kind) for kind in ("torso", "linear", "memory", "streams", "head")}
    told = [
        f"torso {parts['torso']}, padding {config.padding}, norm {config.norm}",
        *(f"{kind} {parts[kind]}" for kind in ("linear", "memory", "streams") if parts[kind] not in ("plain", "none")),
        f"head {parts['head']}",
    ]
    return ", ".join(told)


def _initial_weights(config: Config) -> str:
    own = f"of the policy {config.load}" if config.load else config.initialisation
    scaled = config.initialisation in ("orthogonal", "he") and not config.load
    return f"{own}, output gain {short(config.output_gain)}" if scaled else own


def _loss(config: Config) -> str:
    told = config.n_step > 1  # of a run whose loop is not known here
    with contextlib.suppress(UserError):
        told = loops.has_replay(config)
    steps = f", {config.n_step}-step" if told else ""
    loss, gamma = _variant(config, "loss", defaults=True), short(config.gamma)
    return f"{loss}, {config.reduction} over a minibatch, gamma {gamma}{steps}"


def _optimizer(config: Config) -> str:
    told = f"{_variant(config, 'optimizer')} {short(config.learning_rate)}"
    if config.learning_rate_end is not None:
        steps = config.learning_rate_steps or config.steps
        told += f" to {short(config.learning_rate_end)} over {steps:,} agent steps"
    uses: tuple[str, ...] = OPTIMIZER_FIELDS
    with contextlib.suppress(UserError):  # of a run whose optimizer is not known here
        uses = used_fields("optimizer", config.optimizer)
    for field in uses:
        value = getattr(config, field)
        if field == "optimizer_eps" or value != FIELDS[field].default:
            told += f", {field.removeprefix('optimizer_').replace('_', ' ')}"
            told += "" if value is True else f" {short(value)}"
    if config.gradient_clip != "none":
        told += f", gradient's {config.gradient_clip} clipped at {short(config.gradient_clip_at)}"
    return told


def _data(config: Config) -> str:
    told = f"as the loop {config.loop}"  # which may not be known here
    with contextlib.suppress(UserError):
        told = loops.learns_from(config, _variant(config, "sampler"))
    told += _options(config, "loop", defaults=True)
    by_length = [part for part in decided_by_length(config) if part != LEARNING_RATE]  # which the optimizer tells of
    return f"{told}; the run's {config.steps:,} agent steps decide {', '.join(by_length)}" if by_length else told


def _target(config: Config) -> str:
    if config.target == "hard":
        return f"copied every {config.target_every:,} agent steps"
    return f"averaged by {short(config.target_tau)}" if config.target == "soft" else "none"


ASPECTS: dict[str, tuple[tuple[str, ...], Callable[[Config], str]]] = {
    "sticky actions": (("sticky_actions",), lambda c: short(c.sticky_actions)),
    "epsilon while training": (
        ("epsilon_schedule", "epsilon_options", "epsilon_start", "epsilon_begin", "epsilon_end", "epsilon_steps"),
        _epsilon,
    ),
    "a lost life": (("life_loss_ends_target", "fire_on_life_loss", "wrapper_openings"), _lost_life),
    "start of a game": (("noop_max", "fire_on_reset", "opening_fire_max"), _start),
    "frames per agent step": (("frame_skip", "max_pool"), _skip),
    "observation": (("grayscale", "screen_size", "frame_stack"), _observation),
    "actions": (("full_action_set",), lambda c: "all 18" if c.full_action_set else "the game's minimal set"),
    "longest game": (("max_frames_per_episode",), lambda c: f"{c.max_frames_per_episode:,} frames"),
    "settings of the game": (("env_kwargs", "backend"), _game),
    "rewards learned from": (("clip_reward",), lambda c: "their sign" if c.clip_reward else "as the game gives them"),
    "network": (
        (
            *("torso", "torso_options", "padding", "norm", "linear", "linear_options", "streams", "streams_options"),
            *("head", "head_options", "memory", "memory_options"),
        ),
        _network,
    ),
    "initial weights": (("initialisation", "output_gain", "load"), _initial_weights),
    "precision": (("precision",), lambda c: c.precision),
    "environments": (("num_envs",), lambda c: str(c.num_envs)),
    "loss": (("loss", "loss_options", "reduction", "gamma", "n_step"), _loss),
    "optimizer": (
        (
            *("optimizer", "learning_rate", "learning_rate_end", "learning_rate_steps", "optimizer_options"),
            *OPTIMIZER_FIELDS,
            *("gradient_clip", "gradient_clip_at"),
        ),
        _optimizer,
    ),
    "learned from": (
        (
            *("loop", "loop_options", "replay_capacity", "replay_start", "batch_size", "train_every", "sampler"),
            *("sampler_options", "rollout_length", "epochs"),
        ),
        _data,
    ),
    "target network": (("target", "target_every", "target_tau"), _target),
}
"""Aspect -> the fields that it tells, and what says them."""
PLAYED_WITH = (
    *("sticky actions", "epsilon while training", "a lost life", "start of a game", "frames per agent step"),
    *("observation", "actions", "longest game", "settings of the game"),
)
"""Aspects of the games that were played; the others are of what learned from them."""
