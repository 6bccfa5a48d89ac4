"""Variants and their options in files: read back as they were written, old runs, resumed ones."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pixelq
from own_variants import Many, as_it_was, mine, nothing, refused
from pixelq.config import Config
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_config, read_recipe, recipe_names, write_config
from pixelq.recipes.values import FIELDS, OPTIONS, config_from_values, with_all_options
from pixelq.variants import KINDS, register

__all__ = ["as_it_was", "mine"]
pytestmark = pytest.mark.usefixtures("as_it_was")

RESULTS = Path(__file__).parents[2] / "results"
OLD_RUNS = sorted(file for file in RESULTS.rglob("config.toml") if "network" in tomllib.loads(file.read_text()))


@pytest.mark.parametrize("recipe", recipe_names())
def test_a_shipped_recipe_reads_back_as_it_was_written_with_every_option(recipe: str, tmp_path: Path) -> None:
    config = with_all_options(read_recipe(recipe))
    for table, kind in OPTIONS.items():
        of_variant = kind.options_class(getattr(config, kind.name))
        assert set(getattr(config, table)) == {f.name for f in dataclasses.fields(of_variant)}, table
    write_config(config, tmp_path / "config.toml")
    again = read_config(tmp_path / "config.toml")
    assert again == config
    assert repr(again) == repr(config)
    assert with_all_options(again) == again
    written = tomllib.loads((tmp_path / "config.toml").read_text())
    assert written.get("loss_options", {}) == config.loss_options
    sizes = {name: list(one) if isinstance(one, tuple) else one for name, one in config.torso_options.items()}
    assert written["torso_options"] == sizes


@settings(max_examples=50, deadline=None)
@given(
    options=st.builds(
        Many,
        count=st.integers(-(2**63), 2**63 - 1),
        kappa=st.floats(min_value=0, exclude_min=True),
        greedy=st.booleans(),
        label=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        shape=st.sampled_from(["round", "flat"]),
        sizes=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4).map(tuple),
        weights=st.lists(st.floats(allow_nan=False), max_size=4).map(tuple),
        bound=st.none() | st.floats(allow_nan=False),
    )
)
def test_options_of_every_type_read_back_as_they_were_written(
    options: Many, tmp_path_factory: pytest.TempPathFactory
) -> None:
    register("loss", "mine", loss=nothing, Options=Many)
    config = configure("pong", "cleanrl", {"loss": "mine", "loss_options": vars(options)})
    file = tmp_path_factory.getbasetemp() / "options.toml"
    write_config(config, file)
    again = read_config(file)
    assert repr(again) == repr(config)
    assert KINDS["loss"].read_options("mine", again.loss_options) == options


def test_a_run_of_a_variant_that_is_not_there_is_refused_naming_it(tmp_path: Path, mine: None) -> None:
    file = tmp_path / "config.toml"
    write_config(configure("pong", "cleanrl", {"loss": "mine"}), file)
    assert read_config(file).loss == "mine"
    KINDS["loss"]._registered.clear()
    assert "unknown loss 'mine'" in refused(read_config, file)


def test_there_are_old_runs_to_read() -> None:
    assert len(OLD_RUNS) >= 24


@pytest.mark.parametrize("file", OLD_RUNS, ids=lambda file: str(file.parent.relative_to(RESULTS)))
def test_an_old_run_reads_as_what_it_was(file: Path) -> None:
    old = tomllib.loads(file.read_text())
    config = read_config(file)
    assert with_all_options(config).torso_options == configure("pong", "pqn", {"torso": old["network"]}).torso_options
    moved = {"network": config.torso, "error": config.loss_options["error"]}
    if config.loss == "lambda_returns":
        moved["trace_lambda"] = config.loss_options["trace_lambda"]
    if "average_tau" in old:
        moved["average_tau"] = config.averaged_network_tau
    for name, value in old.items():
        if name == "trace_lambda" and config.loss != "lambda_returns":
            assert name not in config.loss_options  # it had no effect
        else:
            assert moved.get(name, getattr(config, name, None)) == value, name
    before = {"padding": "valid", "linear": "plain", "head": "linear", "sampler": "uniform", "epsilon_begin": 0}
    for name in set(FIELDS) - set(old) - set(OPTIONS) - {"torso", "averaged_network_tau"}:
        default = getattr(Config(), name) if "None" not in str(FIELDS[name].type) else None
        assert getattr(config, name) == before.get(name, default), name


def test_an_old_configuration_is_refused_where_it_was_wrong(tmp_path: Path) -> None:
    text = (RESULTS / "pong-default" / "config.toml").read_text()
    file = tmp_path / "config.toml"
    for before, after, part in (
        ('network = "2013"', 'network = "2014"', "unknown torso '2014'"),
        ('network = "2013"', 'network = "2013"\ntorso = "2013"', "'network' is called 'torso' now"),
        ('error = "squared"', 'error = "cubed"', "choose one of squared, huber"),
        ("trace_lambda = 0.9", "trace_lambda = 9.0", "trace_lambda = 9.0 must be between 0 and 1"),
        ('loss = "lambda_returns"', 'loss = "lambda"', "unknown"),
        ('loss = "lambda_returns"', "loss = 3", "loss"),
    ):
        assert before in text
        file.write_text(text.replace(before, after))
        assert part in refused(read_config, file)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        *(({name: "plain"}, f"{name} may not change within a run") for name in KINDS),
        *(({table: {"error": "huber"}}, f"{table} may not change within a run") for table in OPTIONS),
        ({"steps": 5, "seed": 2}, "seed may not change within a run"),
        ({"error": "huber"}, "error"),
        ({"nonsense": 1}, "nonsense"),
    ],
    ids=str,
)
def test_a_resumed_run_keeps_its_variants_and_their_options(changes: dict[str, Any], part: str, tmp_path: Path) -> None:
    write_config(configure("pong", "cleanrl"), tmp_path / "config.toml")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    assert part in refused(lambda: pixelq.resume(tmp_path, **changes))
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_values_that_are_given_are_not_changed() -> None:
    values: dict[str, Any] = {"loss": "dqn", "loss_options": {"error": "huber"}, "torso_options": {"hidden": [1]}}
    config = config_from_values(values, where="recipe x")
    assert config.torso_options == {"hidden": (1,)}
    config.loss_options["error"] = "squared"
    assert values == {"loss": "dqn", "loss_options": {"error": "huber"}, "torso_options": {"hidden": [1]}}
