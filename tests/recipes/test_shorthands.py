"""Short names for variants: what they stand for, how they combine, and what they refuse."""

import dataclasses

import pytest

from own_variants import as_it_was, nothing
from pixelq.cli import main
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.shorthands import SHORTHANDS
from pixelq.recipes.validation import validate
from pixelq.variants import register

__all__ = ["as_it_was"]


def chosen(recipe="dopamine", **overrides):
    return configure("breakout", recipe, overrides)


def test_each_short_name_is_what_it_stands_for_named_one_by_one():
    assert chosen(double=True) == chosen(loss="double", error="squared")
    assert chosen(dueling=True) == chosen(streams="dueling")
    assert chosen(prioritized=True) == chosen(sampler="prioritized")
    silent = {"epsilon_schedule": "constant", "epsilon_start": 0.0, "epsilon_begin": 0}
    assert chosen(noisy=True) == chosen(linear="noisy", **silent)
    assert chosen(munchausen=True) == chosen(loss="munchausen", error="squared")


def test_false_is_as_if_it_were_not_named():
    assert chosen(**dict.fromkeys(SHORTHANDS, False)) == chosen()


def test_they_combine_into_a_configuration_that_is_allowed():
    config = chosen(double=True, dueling=True, n_step=3, prioritized=True, noisy=True)
    validate(config)
    names = (config.loss, config.streams, config.sampler, config.linear, config.n_step)
    assert names == ("double", "dueling", "prioritized", "noisy", 3)


def test_a_distributional_loss_takes_double_as_its_option_and_its_own_head():
    config = chosen(loss="c51", double=True)
    assert (config.loss, config.head, config.loss_options["double"]) == ("c51", "categorical", True)
    assert chosen(loss="iqn", munchausen=True).loss == "m_iqn"
    assert chosen(loss="c51", v_min=-100.0).head_options["v_min"] == -100.0  # of the head that it brings


def test_hl_gauss_brings_the_edges_of_its_bins_unless_a_person_or_its_own_recipe_says_otherwise(tmp_path):
    for recipe in ("dopamine", "dopamine-c51", "minatar-dqn"):  # another head, C51's atoms, a small network
        assert chosen(recipe, loss="hl_gauss").head_options["ends"] == "edges"
        assert chosen(recipe, loss="hl_gauss", ends="atoms").head_options["ends"] == "atoms"
    many = chosen(loss="hl_gauss", head="categorical", head_options={"atoms": 101})
    assert (many.head_options["atoms"], many.head_options["ends"]) == (101, "edges")
    assert chosen(loss="hl_gauss", head_options={"ends": "atoms"}).head_options["ends"] == "atoms"
    assert chosen(loss="c51").head_options["ends"] == "atoms"
    own = tmp_path / "own.toml"
    own.write_text('base = "hl-gauss"\nends = "atoms"\n')
    assert chosen(str(own), loss="hl_gauss").head_options["ends"] == "atoms"


def test_what_was_said_of_the_loss_stays_said():
    assert chosen("cleanrl", double=True).loss_options["error"] == "squared"


def test_a_head_that_is_named_is_not_replaced():
    with pytest.raises(UserError, match="use --head categorical"):
        validate(chosen(loss="c51", head="linear"))


def test_an_epsilon_that_is_named_stays_with_noisy_layers():
    config = chosen(noisy=True, epsilon_start=0.5)
    assert (config.epsilon_schedule, config.epsilon_start) == ("linear", 0.5)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"double": True, "munchausen": True}, "chooses no next action"),
        ({"loss": "double", "munchausen": True}, "takes them all"),
        ({"loss": "c51", "munchausen": True}, "no form with the Munchausen term"),
        ({"recipe": "default", "double": True}, "needs a target network"),
        ({"recipe": "default", "prioritized": True}, "needs a replay memory"),
        ({"streams": "plain", "dueling": True}, "leave one of them out"),
        ({"double": 3}, "must be true or false"),
    ],
)
def test_a_nonsense_combination_is_refused_with_the_reason(overrides, reason):
    recipe = overrides.get("recipe", "dopamine")
    with pytest.raises(UserError, match=reason):
        chosen(recipe, **{name: value for name, value in overrides.items() if name != "recipe"})


def test_the_command_line_takes_them_in_any_order_and_beside_a_named_loss(tmp_path, capsys):
    words = ["--recipe", "minatar-dqn", "--dueling", "--loss=dqn", "--error", "squared", "--double", "--n-step", "3"]
    short = ["--steps", "300", "--replay-start", "200", "--eval-every", "0", "--threads", "1"]
    run = tmp_path / "run"
    assert main(["train", "MinAtar/Breakout-v1", *words, *short, "--run-dir", str(run)]) == 0
    config = read_recipe(str(run / "config.toml"))
    assert (config.loss, config.streams, config.n_step) == ("double", "dueling", 3)
    assert config.loss_options == {"error": "squared"}


def test_losses_of_ones_own_name_their_forms_with_double_and_munchausen(as_it_was):
    register("loss", "my_double", loss=nothing, NEEDS_TARGET=True, DOUBLE="my_double")
    register("loss", "mine", loss=nothing, DOUBLE="my_double", MUNCHAUSEN="munchausen")
    assert chosen(loss="mine", double=True).loss == "my_double"
    assert chosen(loss="my_double", double=True).loss == "my_double"
    assert chosen(loss="mine", munchausen=True).loss == "munchausen"
    with pytest.raises(UserError, match="takes them all; it goes with --loss dqn or iqn or mine"):
        chosen(loss="my_double", munchausen=True)


def test_an_option_that_the_other_loss_lacks_is_not_dropped_in_silence():
    assert chosen(loss="iqn", kappa=0.5, munchausen=True).loss_options["kappa"] == 0.5
    with pytest.raises(UserError, match="double = True does not go with --loss m_iqn, which has no such option"):
        chosen("iqn", loss_options={"double": True}, munchausen=True)


@pytest.mark.parametrize("needs", [True, "twice"])
def test_a_loss_that_needs_a_target_network_is_refused_in_every_loop_without_one(as_it_was, needs):
    options = dataclasses.make_dataclass("Options", [("twice", bool, True)], frozen=True)
    register("loss", "mine", loss=nothing, NEEDS_TARGET=needs, Options=options)
    for recipe in ("nips2013", "default", "cleanrl-pqn"):
        config = chosen(recipe, loss="mine")
        with pytest.raises(UserError, match="target network"):
            validate(config)
    validate(chosen("dopamine", loss="mine"))
    if needs == "twice":
        validate(chosen("default", loss="mine", twice=False))


def test_no_short_name_is_a_field():
    assert not set(SHORTHANDS) & {f.name for f in dataclasses.fields(read_recipe("dopamine"))}
