"""Recipes and configurations as TOML files."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.files.atomic import write_bytes
from pixelq.recipes.validation import validate, validate_ranges
from pixelq.recipes.values import (
    FIELDS,
    RENAMED,
    config_from_values,
    in_tables,
    merged,
    plain_values,
    with_all_options,
)
from pixelq.typed_values import nearest
from pixelq.variants import KINDS

FIRST = frozenset({
    "game", "recipe", "seed", "steps", "loop", "num_envs",
    "frame_skip", "max_pool", "grayscale", "screen_size", "frame_stack", "noop_max", "fire_on_reset",
    "opening_fire_max", "life_loss_ends_target", "clip_reward", "sticky_actions", "full_action_set",
    "max_frames_per_episode", "torso", "norm", "initialisation", "precision", "loss", "reduction", "gamma", "n_step",
    "optimizer", "learning_rate", "learning_rate_steps", "optimizer_eps", "rmsprop_decay", "adam_beta1", "adam_beta2",
    "weight_decay", "amsgrad", "gradient_clip", "gradient_clip_at",
    "replay_capacity", "replay_start", "batch_size", "train_every", "target", "target_every", "target_tau",
    "epsilon_schedule", "epsilon_start", "epsilon_end", "epsilon_steps", "rollout_length", "epochs",
    "load", "eval_every", "eval_episodes", "eval_epsilon", "checkpoint_every", "log_every",
    "device", "threads", "deterministic", "track",
})  # fmt: skip
"""Fields that every configuration ever written has, in today's names: a run's file that lacks one is damaged.

It stays as it is. Any other field came later, and a file without it is of an older run: the field's default must say
what those runs did."""
_LOSS_OPTIONS = ("error", "trace_lambda")
"""Fields of older configurations that are options of some losses now."""


def recipe_names() -> list[str]:
    """Names of the recipes that ship with pixelq, sorted, `default` first."""
    names = {p.name.removesuffix(".toml") for p in _recipe_folder().iterdir() if p.name.endswith(".toml")}
    return sorted(names, key=lambda name: (name != "default", name))


def read_recipe(name: str) -> Config:
    """Read a shipped recipe by name, or a TOML file by path (it ends in `.toml`).

    A recipe may name another as its `base`; its own values then override the base's. A path counts from the folder of
    the file that names it, or else from the current one.

    Raises:
        UserError: no such recipe or file, unreadable TOML, unknown field or wrong type.
    """
    if not isinstance(name, str):
        raise UserError(f"recipe {name!r:.80} is no name; give one as text, see `pixelq list recipes`")
    values = _recipe_values(name, depth=0)
    values.setdefault("recipe", Path(name).stem)
    return config_from_values(values, where=f"recipe {name}")


def game_of_recipe(name: str) -> str | None:
    """The game that a recipe (or its base) names; None if it is for any game.

    Raises:
        UserError: as `read_recipe`.
    """
    return read_recipe(name).game if "game" in _recipe_values(name, depth=0) else None


def read_config(path: Path, *, known: Collection[str] = tuple(KINDS)) -> Config:
    """Read a run's `config.toml`.

    Args:
        path: of the file.
        known: kinds of variants of which those that it names must be known here: to train all of them, to play the
            network's (`pixelq.networks.PARTS`), to look at the run none.

    Raises:
        UserError: the file is missing, not TOML, or not a complete and valid configuration.
    """
    values = _migrated(_read_toml(path, what="config"))
    missing = [name for name in FIELDS if name in FIRST and name not in values]
    if missing:
        raise UserError(f"{path}: field {missing[0]!r} is missing; restore the file or start a new run")
    config = config_from_values(values, where=str(path))
    try:
        if known and all(kind.name in known or kind.knows(getattr(config, kind.name)) for kind in KINDS.values()):
            validate(config)
        else:
            validate_ranges(config)
            with_all_options(config, known)  # which reads and refuses what is known
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return config


def write_config(config: Config, path: Path) -> None:
    """Write every field as TOML, atomically. `None` has no TOML form: it is left out, which reads back as `None`."""
    values = plain_values(config)
    tables = {name: values.pop(name) for name in list(values) if isinstance(values[name], dict)}  # TOML has them last
    write_bytes(path, tomli_w.dumps(values | {name: table for name, table in tables.items() if table}).encode())


def _recipe_folder() -> Any:
    return resources.files("pixelq") / "recipes"


def _recipe_values(name: str, depth: int) -> dict[str, Any]:
    if name.endswith(".toml"):
        values = _read_toml(Path(name), what="recipe")
    else:
        if name not in recipe_names():
            raise UserError(f"unknown recipe {name!r}{nearest(name, recipe_names())}; see `pixelq list recipes`")
        values = tomllib.loads((_recipe_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    base = values.pop("base", None)
    if base is None:
        return in_tables(values, {}, f"recipe {name}")
    if not isinstance(base, str) or depth > 8:
        raise UserError(f"recipe {name}: base must name another recipe, without a circle")
    inherited = _recipe_values(_base_of(name, base), depth + 1)
    return merged(inherited, {"recipe": Path(name).stem} | values, f"recipe {name}")


def _base_of(name: str, base: str) -> str:
    """The recipe's base as it is found from here: a file beside the one that names it, else one in the current folder.

    Raises:
        UserError: it is a file and in neither.
    """
    if not base.endswith(".toml"):
        return base
    beside = str(Path(name).parent / base)
    found = next((path for path in (beside, base) if os.path.exists(path)), None)
    if found is None:
        raise UserError(f"recipe {name}: there is no base {beside!r}, nor {base!r} in this folder; write where it is")
    return found


def _read_toml(path: Path, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{what} {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} {path}: cannot be read ({error})") from None
    except (ValueError, RecursionError) as error:  # tomllib lets through those of endless numbers and nestings
        raise UserError(f"{what} {path}: not valid TOML ({error})") from None


def _migrated(values: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration as pixelq 0.1 wrote it, in today's names; one of today is as it was."""
    if not RENAMED.keys() & values.keys() or set(RENAMED.values()) & values.keys():
        return values
    values = {RENAMED.get(name, name): value for name, value in values.items()}
    before = {name: values.pop(name) for name in _LOSS_OPTIONS if name in values}
    loss = values.get("loss")
    if isinstance(loss, str) and loss in KINDS["loss"].names():
        known = KINDS["loss"].options_class(loss).__dataclass_fields__  # type: ignore[attr-defined]
        values["loss_options"] = {name: value for name, value in before.items() if name in known}
    return values
