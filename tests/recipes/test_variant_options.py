"""Options of variants, read from tables, flags and Python; refused in one line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from own_variants import as_it_was, mine, refused
from pixelq.cli import main
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_config, read_recipe, write_config
from pixelq.recipes.values import merged, overridden, with_all_options
from pixelq.variants import register

__all__ = ["as_it_was", "mine"]
pytestmark = pytest.mark.usefixtures("as_it_was")


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("count", 1.0, "a whole number"),
        ("count", True, "a whole number"),
        ("count", "3", "a whole number"),
        ("count", 2**63, "beyond 64 bits"),
        ("kappa", "big", "a number"),
        ("kappa", False, "a number"),
        ("greedy", 1, "true or false"),
        ("label", 1, "text"),
        ("shape", "square", "choose one of round, flat"),
        ("sizes", 3, "a list, each a whole number"),
        ("sizes", [1, 2.5], "a whole number"),
        ("sizes", ["1"], "a whole number"),
        ("weights", [True], "a number"),
        ("weights", "12", "a list, each a number"),
        ("bound", "none", "a number"),
    ],
)
def test_an_option_of_the_wrong_type_is_one_line(option: str, value: Any, wanted: str, mine: None) -> None:
    for overrides in ({option: value}, {"loss_options": {option: value}}):
        line = refused(lambda given: configure("pong", "cleanrl", {"loss": "mine"} | given), overrides)
        assert option in line
        assert wanted in line


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), 0])
def test_an_option_out_of_its_range_is_one_line(value: float, mine: None) -> None:
    line = refused(lambda: configure("pong", "cleanrl", {"loss": "mine", "kappa": value}))
    assert line == f"loss_options: kappa = {float(value)} must be above 0"


def test_the_lambda_of_a_trace_lies_between_0_and_1() -> None:
    for value in (-0.1, 1.1, float("nan"), float("inf")):
        line = refused(lambda given: configure("pong", "pqn", {"trace_lambda": given}), value)
        assert line == f"loss_options: trace_lambda = {value} must be between 0 and 1"
    assert configure("pong", "pqn", {"trace_lambda": 1}).loss_options["trace_lambda"] == 1.0


@pytest.mark.parametrize("values", [{"channels": [4]}, {"hidden": [0]}, {"channels": [-4, 4, 4]}, {"strides": []}])
def test_sizes_that_make_no_torso_are_one_line(values: dict[str, Any]) -> None:
    assert refused(lambda: configure("pong", "pqn", {"torso_options": values})).startswith("torso_options: ")


def test_options_may_have_slots(mine: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True, slots=True)
    class Slotted:
        width: int = 3
        bound: float | None = None

    register("loss", "slotted", loss=lambda *given: None, Options=Slotted)
    config = with_all_options(overridden(read_recipe("cleanrl"), {"loss": "slotted", "width": 4}))
    assert config.loss_options == {"width": 4}
    write_config(config, tmp_path / "config.toml")
    assert read_config(tmp_path / "config.toml").loss_options == {"width": 4}
    assert main(["list", "variants"]) == 0
    assert "--width 3" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["train", "pong", "--recipe", "cleanrl", "--loss", "slotted", "--width", "5", "--help"])
    assert "(default: 3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"loss_options": {"traec_lambda": 1.0}}, "did you mean trace_lambda? (it has error, trace_lambda)"),
        ({"loss_options": {"zzz": 1.0}}, "loss 'lambda_returns' has no option 'zzz' (it has error, trace_lambda)"),
        ({"head_options": {"atoms": 51}}, "head 'linear' has no option 'atoms' (it has none)"),
        ({"loss": "dqn", "loss_options": {"trace_lambda": 1.0}}, "loss 'dqn' has no option 'trace_lambda'"),
        ({"loss_options": {"loss_options": {}}}, "loss_options.loss_options = {} must be a number, text"),
        ({"loss_options": {"error": {"x": 1}}}, "must be a number, text, true or false, or a list of them"),
        ({"loss_options": {"error": [["huber", {}]]}}, "must be a number, text, true or false, or a list of them"),
        ({"loss_options": {3: 1}}, "must be a table of options"),
        ({"loss_options": 3}, "must be a table of options"),
        ({"loss_options": None}, "must be a table of options"),
        ({"traec_lambda": 1.0}, "unknown field 'traec_lambda'; did you mean trace_lambda"),
        ({"network": "2015"}, "'network' is called 'torso' now"),
        ({"average_tau": 0.1}, "'average_tau' is called 'averaged_network_tau' now"),
    ],
)
def test_an_option_that_is_not_there_is_one_line(given: dict[str, Any], part: str) -> None:
    assert part in refused(lambda: configure("pong", "pqn", given))


def test_an_option_is_given_bare_or_in_its_table_which_says_the_same(mine: None) -> None:
    options = {"count": 7, "kappa": 2, "greedy": True, "label": "b", "shape": "flat", "sizes": [4], "bound": 0.5}
    bare = configure("pong", "cleanrl", {"loss": "mine"} | options)
    assert configure("pong", "cleanrl", {"loss": "mine", "loss_options": options}) == bare
    assert bare.loss_options == {
        "count": 7,
        "kappa": 2.0,
        "greedy": True,
        "label": "b",
        "shape": "flat",
        "sizes": (4,),
        "weights": (),
        "bound": 0.5,
    }
    assert type(bare.loss_options["kappa"]) is float
    half = configure("pong", "cleanrl", {"loss": "mine", "count": 7, "loss_options": {"kappa": 2.0}})
    assert (half.loss_options["count"], half.loss_options["kappa"]) == (7, 2.0)
    twice = {"loss": "mine", "count": 7, "loss_options": {"count": 1}}
    assert "count is said twice, alone and in loss_options" in refused(lambda: configure("pong", "cleanrl", twice))


def test_a_derived_recipe_overrides_its_base_however_each_says_it(mine: None, tmp_path: Path) -> None:
    base, derived = tmp_path / "base.toml", tmp_path / "derived.toml"
    said = ("count = 5\n", "[loss_options]\ncount = 5\n"), ("count = 9\n", "[loss_options]\ncount = 9\n")
    for below in said[0]:
        for above in said[1]:
            base.write_text('base = "cleanrl"\nloss = "mine"\n' + below)
            derived.write_text(f'base = "{base}"\n{above}')
            assert read_recipe(str(derived)).loss_options == {"count": 9}
            derived.write_text(f'base = "{base}"\nloss = "double"\n')
            assert read_recipe(str(derived)).loss_options == {}
    base.write_text('base = "cleanrl"\ntorso = "plain"\nchannels = [8]\nkernels = [8]\nstrides = [4]\n')
    derived.write_text(f'base = "{base}"\ntorso = "2013"\n')
    assert with_all_options(read_recipe(str(derived))).torso_options["channels"] == (16, 32)


def test_a_bare_option_of_two_variants_is_refused_naming_both_tables(mine: None) -> None:
    both = {"head": "mine", "error": "huber"}
    line = refused(lambda: configure("pong", "cleanrl", both))
    assert line == "override: 'error' is an option in head_options and in loss_options; say which"
    config = configure("pong", "cleanrl", {"head": "mine", "loss_options": {"error": "huber"}, "margin": 0.2})
    assert config.loss_options == {"error": "huber"}
    assert config.head_options == {"error": 0.5, "margin": 0.2}


def test_another_variant_begins_with_its_own_defaults() -> None:
    """What was said of the one before says nothing of it, even where an option has the same name."""
    pqn = configure("pong", "pqn")
    assert pqn.loss_options == {"error": "squared", "trace_lambda": 0.65}
    assert overridden(pqn, {"loss": "lambda_returns"}) == pqn
    assert with_all_options(overridden(pqn, {"loss": "dqn"})).loss_options == {"error": "huber"}
    assert configure("pong", "pqn", {"loss": "dqn", "error": "squared"}).loss_options == {"error": "squared"}
    small = configure("pong", "pqn", {"torso": "2013", "hidden": [32]})
    assert small.torso_options["hidden"] == (32,)
    assert configure("pong", "pqn", {"torso": "2013"}).torso_options["hidden"] == (256,)
    assert with_all_options(overridden(small, {"torso": "2015"})).torso_options["hidden"] == (512,)
    assert overridden(small, {"torso": "2013"}).torso_options["hidden"] == (32,)


def test_a_recipe_of_ones_own_takes_over_the_options_of_its_base_unless_it_names_another_variant(
    tmp_path: Path,
) -> None:
    def options(text: str) -> dict[str, Any]:
        (tmp_path / "mine.toml").write_text(f'base = "pong"\n{text}\n')
        return with_all_options(read_recipe(str(tmp_path / "mine.toml"))).loss_options

    assert options("") == {"error": "squared", "trace_lambda": 0.95}
    assert options("trace_lambda = 0.5") == {"error": "squared", "trace_lambda": 0.5}
    assert options("[loss_options]\ntrace_lambda = 0.5") == {"error": "squared", "trace_lambda": 0.5}
    assert options('loss = "lambda_returns"\n[loss_options]\nerror = "huber"') == {
        "error": "huber",
        "trace_lambda": 0.95,
    }
    assert options('loss = "dqn"') == {"error": "huber"}


def test_merging_changes_neither_side() -> None:
    values = {"loss": "dqn", "loss_options": {"error": "huber"}, "gamma": 0.9}
    over = {"loss_options": {"error": "squared"}}
    assert merged(values, over, "test") == {"loss": "dqn", "loss_options": {"error": "squared"}, "gamma": 0.9}
    assert merged(values, {"loss": "double"}, "test") == {"loss": "double", "loss_options": {}, "gamma": 0.9}
    assert values["loss_options"] == {"error": "huber"}
    assert over == {"loss_options": {"error": "squared"}}
