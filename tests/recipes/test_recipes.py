"""Recipes held to a table of settings given to this project, written out by hand; each names its numbers' sources."""

import re
import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

import pixelq
from pixelq.config import Config
from pixelq.loops import has_replay
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.recipes.validation import validate
from pixelq.variants import KINDS

FOLDER = Path(pixelq.__file__).parent / "recipes"


FILES = sorted(FOLDER.glob("*.toml"))


RMSPROP_2015 = {"optimizer": "rmsprop", "learning_rate": 0.00025, "rmsprop_decay": 0.95, "optimizer_eps": 0.01}


NO_TARGET = {"loss": "dqn", "target": "none"}


PAPERS_100_LINES = {
    "game": "breakout",
    "load": "auto",
    "torso": "2013",
    "optimizer": "adam",
    "learning_rate": 0.0001,
    "learning_rate_end": None,
    "error": "huber",
    "replay_capacity": 160_000,
    "replay_start": 80_000,
    "batch_size": 32,
    "train_every": 4,
    **NO_TARGET,
    "epsilon_schedule": "constant",
    "epsilon_start": 0.03888,
    "steps": 160_000,
    "life_loss_ends_target": True,
    "opening_fire_max": 30,
    "noop_max": 0,
}


def said(config: Config, name: str) -> Any:
    """A field of a configuration, or an option of its loss."""
    return config.loss_options[name] if name in config.loss_options else getattr(config, name)


def linear_epsilon(start: float, end: float, steps: int) -> dict[str, Any]:
    return {"epsilon_schedule": "linear", "epsilon_start": start, "epsilon_end": end, "epsilon_steps": steps}


TABLE: dict[str, dict[str, Any]] = {
    "nips2013": {
        "torso": "2013",
        **RMSPROP_2015,
        "error": "squared",
        "replay_capacity": 1_000_000,
        "replay_start": 50_000,
        "batch_size": 32,
        "train_every": 4,
        **NO_TARGET,
        **linear_epsilon(1.0, 0.1, 1_000_000),
        "steps": 10_000_000,
        "clip_reward": True,
    },
    "nature2015": {
        "torso": "2015",
        **RMSPROP_2015,
        "reduction": "sum",  # what 0.01 inside the root is made for
        "error": "huber",
        "replay_capacity": 1_000_000,
        "replay_start": 50_000,
        "batch_size": 32,
        "train_every": 4,
        "loss": "dqn",
        "target": "hard",
        "target_every": 10_000,  # agent steps, as in the authors' code
        **linear_epsilon(1.0, 0.1, 1_000_000),
        "epsilon_begin": 50_000,
        "steps": 50_000_000,
        "life_loss_ends_target": True,
        "noop_max": 30,
    },
    "double2015": {
        "torso": "2015",
        **RMSPROP_2015,
        "reduction": "sum",
        "error": "huber",
        "replay_capacity": 1_000_000,
        "replay_start": 50_000,
        "batch_size": 32,
        "train_every": 4,
        "loss": "double",
        "target": "hard",
        "target_every": 30_000,
        **linear_epsilon(1.0, 0.01, 1_000_000),
        "epsilon_begin": 50_000,
        "eval_epsilon": 0.001,
        "steps": 50_000_000,
    },
    "papers-100-lines": PAPERS_100_LINES,
    "papers-100-lines-rmsprop": PAPERS_100_LINES | RMSPROP_2015 | {"reduction": "sum"},
    "papers-100-lines-decay": PAPERS_100_LINES | {"learning_rate_end": 0.00001, "learning_rate_steps": 300_000},
    "papers-100-lines-long": PAPERS_100_LINES | {"steps": 6_400_000},
    "papers-100-lines-original": {
        "game": "breakout",
        "load": "",
        "torso": "2013",
        "optimizer": "adam",
        "learning_rate": 0.000125,
        "error": "huber",
        "replay_capacity": 1_000_000,
        "replay_start": 80_000,
        "batch_size": 32,
        "train_every": 4,
        **NO_TARGET,
        **linear_epsilon(1.0, 0.01, 1_000_000),
        "steps": 30_000_000,
        "life_loss_ends_target": True,
        "opening_fire_max": 30,
        "noop_max": 0,
    },
    "cleanrl": {
        "torso": "2015",
        "optimizer": "adam",
        "learning_rate": 0.0001,
        "error": "squared",
        "reduction": "mean",
        "replay_capacity": 1_000_000,
        "replay_start": 80_000,
        "batch_size": 32,
        "train_every": 4,
        "loss": "dqn",
        "target": "hard",
        "target_every": 1_000,
        **linear_epsilon(1.0, 0.01, 1_000_000),
        "steps": 10_000_000,
        "life_loss_ends_target": True,
        "wrapper_openings": True,
        "noop_max": 30,
        "clip_reward": True,
        "sticky_actions": 0.0,
    },
    "double-notebook": {
        "game": "breakout",
        "torso": "2015",
        "optimizer": "adam",
        "learning_rate": 0.0002,
        "error": "huber",
        "replay_capacity": 150_000,
        "replay_start": 75_000,
        "batch_size": 32,
        "train_every": 4,
        "loss": "double",
        "target": "hard",
        "target_every": 1_200,
        **linear_epsilon(1.0, 0.1, 250_000),
        "steps": 2_500_000,
        "checkpoint_every": 500_000,
        "seed": 42,
    },
    "lapan-pong": {
        "game": "pong",
        "torso": "2015",
        "optimizer": "adam",
        "learning_rate": 0.0001,
        "error": "squared",
        "replay_capacity": 10_000,
        "replay_start": 10_000,
        "batch_size": 32,
        "train_every": 1,
        "loss": "dqn",
        "target": "hard",
        "target_every": 1_000,
        **linear_epsilon(1.0, 0.01, 148_500),  # 1 - t / 150,000 down to 0.01
        "stop_score": 19.0,
        "eval_every": 0,  # so that the best model is the best mean of 100 games
    },
}


TASK = """steps loop num_envs frame_skip max_pool grayscale screen_size frame_stack noop_max fire_on_reset
    opening_fire_max life_loss_ends_target clip_reward sticky_actions full_action_set max_frames_per_episode"""


LEARNER = """torso norm initialisation precision loss gamma optimizer learning_rate batch_size target
    epsilon_schedule epsilon_start epsilon_end eval_epsilon"""


def deciding_fields(config: Config) -> set[str]:
    """Fields that decide what this configuration learns; the others have no effect on it."""
    names = set((TASK + " " + LEARNER).split())
    names |= {"error"} & {f.name for f in fields(KINDS["loss"].options_class(config.loss))}
    names |= {"replay_capacity", "replay_start", "train_every", "n_step"} if has_replay(config) else set()
    names |= {"rollout_length", "epochs", "trace_lambda"} if config.loop.endswith("parallel") else set()
    names |= {"memory", "memory_options"} if config.memory != "none" else set()
    names |= {"trace_lambda", "kappa"} if config.loop == "stream" else {"reduction", "gradient_clip", "optimizer_eps"}
    names |= {"target_every"} if config.target == "hard" else set()
    names |= {"target_tau"} if config.target == "soft" else set()
    names |= {"epsilon_steps"} if config.epsilon_schedule != "constant" else set()
    names |= {"rmsprop_decay"} if config.optimizer == "rmsprop" else set()
    names |= {f.name for f in fields(KINDS["optimizer"].options_class(config.optimizer))}
    names |= {"adam_beta1", "adam_beta2"} if config.optimizer in ("adam", "adamw", "radam") else set()
    names |= {"amsgrad"} if config.optimizer in ("adam", "adamw") else set()
    names |= {"weight_decay"} if config.optimizer == "adamw" else set()
    names |= {"gradient_clip_at"} if config.gradient_clip != "none" and config.loop != "stream" else set()
    names |= {"learning_rate_steps"} if config.learning_rate_end is not None else set()
    return names


def stated(path: Path) -> dict[str, Any]:
    """What a recipe's file says, its base's file and the options of its loss, optimizer and loop included."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    base = values.pop("base", None)
    tables = (values.pop(name, {}) for name in ("loss_options", "optimizer_options", "loop_options"))
    options = {option: value for table in tables for option, value in table.items()}
    return (stated(FOLDER / f"{base}.toml") if base else {}) | values | options


def test_every_recipe_of_the_table_ships_and_default_comes_first() -> None:
    assert set(recipe_names()) == {path.stem for path in FILES} >= {*TABLE, "default"}
    assert recipe_names()[0] == "default"


@pytest.mark.parametrize(("name", "field", "value"), [(n, f, v) for n, row in TABLE.items() for f, v in row.items()])
def test_a_recipe_says_what_the_table_says(name: str, field: str, value: Any) -> None:
    assert said(read_recipe(name), field) == value


@pytest.mark.parametrize("name", TABLE)
def test_the_papers_and_codes_train_with_replay_in_float32(name: str) -> None:
    config = read_recipe(name)
    assert (config.loop, config.precision, config.num_envs, config.n_step) == ("replay", "float32", 1, 1)
    assert (config.frame_skip, config.frame_stack, config.screen_size, config.grayscale) == (4, 4, 84, True)
    assert (config.gamma, config.gradient_clip, config.sticky_actions) == (0.99, "none", 0.0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recipe_validates_and_knows_its_name(path: Path) -> None:
    config = read_recipe(path.stem)
    validate(config)
    assert config.recipe == path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recipe_states_everything_that_decides_what_is_learned(path: Path) -> None:
    missing = deciding_fields(read_recipe(path.stem)) - set(stated(path))
    assert not missing, f"{path.name} leaves to the defaults: {sorted(missing)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_number_has_its_source_beside_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"\w+\s*=", line)]
    sources = set(re.findall(r"\[(\w[\w.]*)\]", "".join(x for x in text.splitlines() if x.startswith("#"))))
    unnamed = [
        "torch's",
        "Torch7",
        "Gym",
        "arXiv",
        "left open",
        "none in",
        "chosen by",
        "the emulator of",
        "equation",
        "dqn_eval",
    ]
    one_source = "# Source of every number:" in text
    numbers = 0
    for line in lines:
        name, value = line.split("=", 1)
        value, _, comment = value.partition("#")
        if not isinstance(tomllib.loads(f"x = {value}")["x"], int | float):  # bool is an int: switches count too
            continue
        numbers += 1
        cited = set(re.findall(r"\[(\w[\w.]*)\]", comment))
        assert cited <= sources, f"{path.name}: {name.strip()} cites {cited - sources}, not named at the top"
        named = cited or (one_source and comment.strip()) or any(word in comment for word in unnamed)
        assert named, f"{path.name}: {name.strip()} has no source"
    assert numbers


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recipe_begins_with_a_sentence_that_says_what_it_is(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r"# .{20,130}\.", first)


@pytest.mark.parametrize("name", ["rmsprop", "decay", "long"])
def test_a_small_form_differs_from_its_base_only_where_it_says_so(name: str) -> None:
    own = tomllib.loads((FOLDER / f"papers-100-lines-{name}.toml").read_text(encoding="utf-8"))
    base, small = asdict(read_recipe("papers-100-lines")), asdict(read_recipe(f"papers-100-lines-{name}"))
    assert {field for field in base if base[field] != small[field]} <= set(own) | {"recipe"}
