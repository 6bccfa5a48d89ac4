"""Every range of a configuration, and every agreement between its fields, checked once at the door."""

from __future__ import annotations

import math
import re

from pixelq import loops
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes import partners
from pixelq.recipes.values import TYPES, with_all_options
from pixelq.recipes.variant_fields import used_fields
from pixelq.variants import KINDS

_AT_LEAST_ONE = (
    "steps",
    "num_envs",
    "frame_skip",
    "frame_stack",
    "n_step",
    "batch_size",
    "train_every",
    "target_every",
    "replay_capacity",
    "rollout_length",
    "epochs",
    "log_every",
    "eval_episodes",
    "max_frames_per_episode",
)
_AT_LEAST_ZERO = (
    "seed",
    "noop_max",
    "opening_fire_max",
    "replay_start",
    "epsilon_steps",
    "epsilon_begin",
    "learning_rate_steps",
    "eval_every",
    "eval_max_steps",
    "checkpoint_every",
    "keep_policies",
    "threads",
    "baseline_episodes",
)
_PROBABILITIES = (
    "epsilon_start",
    "epsilon_end",
    "eval_epsilon",
    "sticky_actions",
    "gamma",
    "target_tau",
    "averaged_network_tau",
    "rmsprop_decay",
)
_BELOW_ONE = ("adam_beta1", "adam_beta2")
"""Decays by which Adam corrects its means: it divides by 1 - decay."""
AT_MOST = {
    # Far more than any run has; what is beyond keeps a machine busy where no signal is heard, or its memory.
    "num_envs": 65_536,
    "frame_skip": 1_000,
    "frame_stack": 256,
    "noop_max": 10_000,
    "opening_fire_max": 10_000,
    "epochs": 1_000,
    "rollout_length": 1_000_000,
    "eval_episodes": 100_000,
    "baseline_episodes": 100_000,
    "threads": 1_024,
}


def validate(config: Config) -> None:
    """Check every range and every agreement between fields. The device and the memory are the machine's to check.

    Raises:
        UserError: naming the first field that is out of range, its value, and what would do.
    """
    validate_ranges(config)
    _validate_variants(config, _requiring(config))


def validate_ranges(config: Config) -> None:
    """Check what can be checked without the variants that it names, which may be a stranger's.

    Raises:
        UserError: as `validate`.
    """
    require = _requiring(config)
    require(
        re.fullmatch(r"[\w.-]{1,64}", config.recipe) is not None, "recipe", "letters, digits, '.', '_' or '-' alone"
    )
    for name, kind in TYPES.items():
        value = getattr(config, name)
        if kind in (float, float | None) and value is not None:
            require(math.isfinite(value), name, "a finite number")
    for name in _AT_LEAST_ONE:
        require(getattr(config, name) >= 1, name, "at least 1")
    for name in _AT_LEAST_ZERO:
        require(getattr(config, name) >= 0, name, "at least 0")
    for name in _PROBABILITIES:
        require(0 <= getattr(config, name) <= 1, name, "between 0 and 1")
    for name in _BELOW_ONE:
        require(0 <= getattr(config, name) < 1, name, "at least 0 and below 1")
    require(config.episodes >= -1, "episodes", "at least 0, or -1 (by the device)")
    require(config.learning_rate > 0, "learning_rate", "above 0")
    end = config.learning_rate_end
    require(end is None or 0 <= end <= config.learning_rate, "learning_rate_end", "between 0 and learning_rate")
    require(config.optimizer_eps > 0, "optimizer_eps", "above 0")
    require(config.weight_decay >= 0, "weight_decay", "at least 0")
    require(config.gradient_clip_at > 0, "gradient_clip_at", "above 0")
    require(
        config.screen_size == 0 or 36 <= config.screen_size <= 512,
        "screen_size",
        "between 36 and 512 pixels, or 0 (images as the game gives them)",
    )
    require(config.seed < 2**31, "seed", "below 2^31")
    for name, most in AT_MOST.items():
        require(getattr(config, name) <= most, name, f"at most {most:,}")
    if config.wrapper_openings:
        for name in ("fire_on_reset", "opening_fire_max", "fire_on_life_loss"):
            if value := getattr(config, name):
                raise UserError(
                    f"{name} = {value} and wrapper_openings both press FIRE; leave it out, or use --no-wrapper-openings"
                )


def _requiring(config: Config) -> loops.Require:
    """Refuses a field's value with a rule, where it is not good."""

    def require(good: bool, name: str, rule: str) -> None:
        if not good:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{name} = {getattr(config, name)} is out of range: it must be {rule}; fix it with {flag}")

    return require


def _validate_variants(config: Config, require: loops.Require) -> None:
    with_all_options(config)  # which reads and refuses as this does
    uses = used_fields("epsilon_schedule", config.epsilon_schedule)
    schedule = f"a schedule that does not use it ({config.epsilon_schedule})"
    require("epsilon_begin" in uses or config.epsilon_begin == 0, "epsilon_begin", f"0 for {schedule}")
    require("epsilon_steps" not in uses or config.epsilon_steps >= 1, "epsilon_steps", "at least 1 for this schedule")
    require(
        partners.learns_in(config.loss, config.loop),
        "loss",
        f"one for the {config.loop} loop, {_given(config)} ({config.loss} takes "
        f"{' or '.join(partners.takes(config.loss)) or 'another'})",
    )
    if not partners.learns_head(config.loss, config.head):
        heads = KINDS["loss"].find(config.loss).HEADS
        raise UserError(
            f"loss = {config.loss} learns a head {' or '.join(heads)}, not {config.head}; use --head {heads[0]}"
        )
    loops.check(config, require)
    own = [name for name in KINDS["optimizer"].names() if KINDS["optimizer"].is_own(name)]
    others = [name for name in own if partners.steps_in(name, config.loop)]
    require(
        partners.steps_in(config.optimizer, config.loop),
        "optimizer",
        f"one for the {config.loop} loop ({', '.join(others)})",
    )
    _validate_target(config, require)
    if config.compile:
        _validate_compile(config)


def _validate_target(config: Config, require: loops.Require) -> None:
    """A loss that is another one without a target network has one."""
    needs: bool | str = getattr(KINDS["loss"].find(config.loss), "NEEDS_TARGET", False)
    if config.target != "none":
        return
    require(needs is not True, "target", f"hard or soft for the {config.loss} loss, which needs a target network")
    if isinstance(needs, str) and config.loss_options.get(needs):
        flag = needs.replace("_", "-")
        raise UserError(
            f"{needs} = True needs a target network, which values what the network chooses; use --target hard or soft "
            f"in a loop that has one, else --no-{flag}"
        )


def _given(config: Config) -> str:
    """What the recipe's loop gives its loss, as the end of a sentence."""
    given = loops.gives(config.loop)
    return f"which gives {given}" if given else "whose file does not say what it GIVES"


def _validate_compile(config: Config) -> None:
    kind = KINDS["optimizer"]
    without: tuple[str, ...] | None = getattr(kind.find(config.optimizer), "COMPILES_WITHOUT", None)
    if unknown := [field for field in without or () if field not in TYPES]:
        raise UserError(
            f"optimizer {config.optimizer!r}: its COMPILES_WITHOUT names {unknown[0]!r}, no field of the recipe"
        )
    if config.deterministic or without is None or any(getattr(config, field) for field in without):
        own = {name: getattr(kind.find(name), "COMPILES_WITHOUT", None) for name in kind.names() if kind.is_own(name)}
        names = [
            f"{name} (without {' and '.join(fields)})" if fields else name
            for name, fields in own.items()
            if fields is not None
        ]
        raise UserError(
            f"compile = True goes with the optimizers {' and '.join([', '.join(names[:-1]), names[-1]])}, not with "
            "deterministic; use --no-compile"
        )
