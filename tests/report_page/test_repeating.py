"""The command that trains a run again, parsed by `pixelq train`, is the run's configuration."""

import dataclasses
import shlex
from pathlib import Path

import pytest

from pixelq.cli.train import configured
from pixelq.config import Config
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import write_config
from pixelq.recipes.values import with_all_options
from pixelq.report_page.repeating import repeating_command

CHANGES = [
    ("pong", "default", {"seed": 7, "steps": 1000, "eval_every": 0, "precision": "float32", "threads": 1}),
    ("CartPole-v1", "cartpole", {"learning_rate": 3e-5, "gamma": 0.9}),
    ("breakout", "nature2015", {"double": True}),
    ("pong", "dopamine", {"max_pool": False, "epsilon_begin": 0}),
]


@pytest.mark.parametrize(("game", "recipe", "changes"), CHANGES)
def test_the_command_makes_the_same_configuration(tmp_path: Path, game: str, recipe: str, changes: dict) -> None:
    double = changes.get("double")
    config = configure(game, recipe, {k: v for k, v in changes.items() if k != "double"})
    if double:
        config, _ = configured([game, "--recipe", recipe, "--double"])
    write_config(config, tmp_path / "config.toml")
    program, command, *argv = shlex.split(repeating_command(config, tmp_path))
    assert (program, command) == ("pixelq", "train")
    again, _ = configured(argv)
    assert dataclasses.replace(again, recipe=recipe) == with_all_options(config)
    assert ("config.toml" in " ".join(argv)) == bool(double)  # a variant cannot be said in an option or two


def test_a_recipe_that_does_not_ship_is_the_runs_own_file(tmp_path: Path) -> None:
    config = Config(recipe="mine")
    assert repeating_command(config, tmp_path / "my run").endswith(f"--recipe '{tmp_path}/my run/config.toml'")
