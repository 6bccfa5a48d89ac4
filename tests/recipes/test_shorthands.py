"""Short names for variants: what they stand for, how they combine, and what they refuse."""

import dataclasses

import pytest

from pixelq.cli import main
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.shorthands import SHORTHANDS
from pixelq.recipes.validation import validate


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


def test_no_short_name_is_a_field():
    assert not set(SHORTHANDS) & {f.name for f in dataclasses.fields(read_recipe("dopamine"))}
