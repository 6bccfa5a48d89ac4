"""The protocol of training scores: every setting that decides what is learned is compared and, if it differs, named."""

import csv
import dataclasses
import typing
from typing import Any

import pytest

from pixelq.config import Config
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.recipes.values import FIELDS, OPTIONS, TYPES
from pixelq.viewing.protocol import ASPECTS, PUBLISHED, UNIMPORTANT, described, protocol, published_protocol

JAX_DQN = "DQN (Adam + MSE in JAX)"
DOPAMINE = read_recipe("dopamine")


def differing(config: Config, agent: str = JAX_DQN, seeds: int | None = 5) -> dict[str, str]:
    """Aspects in which a run differs from a published curve, and the run's words."""
    reference = published_protocol(agent)
    assert reference is not None
    return {aspect.name: aspect.run for aspect in protocol(config, reference, seeds=seeds) if aspect.differs}


def test_the_recipe_dopamine_differs_from_dopamine_in_nothing() -> None:
    assert differing(DOPAMINE) == {}


def test_every_published_agent_has_a_protocol_and_another_has_none() -> None:
    with (PUBLISHED / "dopamine_curves.csv").open(newline="", encoding="utf-8") as file:
        agents = {row["agent"] for row in csv.DictReader(file)}
    assert {agent for agent in agents if published_protocol(agent) is None} == set()
    assert published_protocol("DQN of our own") is None


@pytest.mark.parametrize(
    ("agent", "aspects"),
    [
        ("DQN", {"loss", "optimizer"}),
        ("C51", {"network", "initial weights", "loss", "optimizer"}),
        ("Rainbow", {"network", "initial weights", "loss", "learned from"}),
        ("IQN", {"network", "initial weights", "loss", "optimizer"}),
        ("Quantile (JAX)", {"network", "initial weights", "loss", "optimizer", "learned from"}),
    ],
)
def test_dopamines_dqn_is_not_taken_for_its_other_agents(agent: str, aspects: set[str]) -> None:
    assert set(differing(DOPAMINE, agent)) == aspects


@pytest.mark.parametrize(
    ("recipe", "agent", "aspects"),
    [
        ("dopamine-c51", "C51", set()),
        ("dopamine-iqn", "IQN", set()),
        ("dopamine-quantile", "Quantile (JAX)", set()),
        ("dopamine-rainbow", "Rainbow", {"learned from"}),  # the curve is of TensorFlow's, which samples in strata
    ],
)
def test_the_recipes_of_dopamines_other_agents_are_their_protocols(recipe: str, agent: str, aspects: set[str]) -> None:
    assert set(differing(read_recipe(recipe), agent)) == aspects


@pytest.mark.parametrize("name", [name for name in recipe_names() if name != "dopamine"])
def test_no_other_recipe_is_taken_for_dopamines_dqn(name: str) -> None:
    assert differing(read_recipe(name), seeds=None)


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"sticky_actions": 0.0}, "sticky actions", "0"),
        ({"epsilon_end": 0.1}, "epsilon while training", "1 to 0.1 over 250,000 agent steps, after 20,000 at 1"),
        ({"epsilon_begin": 0}, "epsilon while training", "1 to 0.01 over 250,000 agent steps"),
        ({"epsilon_schedule": "constant", "epsilon_start": 0.04}, "epsilon while training", "0.04 throughout"),
        ({"life_loss_ends_target": True}, "a lost life", "ends the target"),
        ({"fire_on_life_loss": True}, "a lost life", "no signal, then FIRE"),
        ({"noop_max": 30}, "start of a game", "up to 30 no-op frames"),
        ({"opening_fire_max": 30}, "start of a game", "FIRE held for 1 to 30 agent steps"),
        ({"frame_skip": 3, "max_pool": False}, "frames per agent step", "3"),
        ({"grayscale": False}, "observation", "4 colour frames of 84x84"),
        ({"full_action_set": True}, "actions", "all 18"),
        ({"max_frames_per_episode": 18_000}, "longest game", "18,000 frames"),
        ({"env_kwargs": {"difficulty": 1}}, "settings of the game", "difficulty 1"),
        ({"clip_reward": False}, "rewards learned from", "as the game gives them"),
        ({"padding": "valid"}, "network", "torso 2015, padding valid, norm none, head linear"),
        ({"norm": "layer"}, "network", "torso 2015, padding same, norm layer, head linear"),
        (
            {"torso_options": {"hidden": (256,)}},
            "network",
            "torso 2015 (hidden (256,)), padding same, norm none, head linear",
        ),
        ({"initialisation": "torch"}, "initial weights", "torch"),
        ({"initialisation": "he"}, "initial weights", "he, output gain 1"),
        ({"precision": "bf16"}, "precision", "bf16"),
        ({"num_envs": 4}, "environments", "4"),
        ({"n_step": 3}, "loss", "dqn (error squared), mean over a minibatch, gamma 0.99, 3-step"),
        ({"loss_options": {"error": "huber"}}, "loss", "dqn (error huber), mean over a minibatch, gamma 0.99, 1-step"),
        ({"learning_rate_end": 0.0}, "optimizer", "adam 6.25e-05 to 0 over 50,000,000 agent steps, eps 0.00015"),
        ({"optimizer_eps": 1e-8}, "optimizer", "adam 6.25e-05, eps 1e-08"),
        ({"gradient_clip": "norm"}, "optimizer", "adam 6.25e-05, eps 0.00015, gradient's norm clipped at 10"),
        ({"train_every": 8}, "learned from", "uniform replay of 1,000,000, from 20,000 on 32 every 8 agent steps"),
        ({"target_every": 10_000}, "target network", "copied every 10,000 agent steps"),
    ],
)
def test_each_difference_in_protocol_is_named(change: dict[str, Any], name: str, words: str) -> None:
    assert differing(dataclasses.replace(DOPAMINE, **change)) == {name: words}


@pytest.mark.parametrize("recipe", ["cleanrl-rainbow", "prioritized"])
def test_the_length_of_a_run_counts_where_its_sampler_goes_by_it(recipe: str) -> None:
    whole = read_recipe(recipe)
    short = dataclasses.replace(whole, steps=1_000_000)
    (differs,) = (aspect for aspect in protocol(short, whole) if aspect.differs)
    assert differs.name == "learned from"
    assert differs.run.endswith("; the run's 1,000,000 agent steps decide how sampler prioritized draws")
    assert f"{whole.steps:,} agent steps decide" in differs.reference


def test_the_length_of_a_run_is_no_difference_where_nothing_goes_by_it() -> None:
    steady = read_recipe("dopamine-rainbow")  # prioritized, with a constant beta
    for whole in (DOPAMINE, steady):
        assert not any(aspect.differs for aspect in protocol(dataclasses.replace(whole, steps=1_000_000), whole))


def test_the_wrappers_openings_differ_at_the_start_and_after_a_lost_life() -> None:
    assert differing(dataclasses.replace(DOPAMINE, wrapper_openings=True)) == {
        "a lost life": "no signal, then a no-op, FIRE and action 2",
        "start of a game": "FIRE and action 2",
    }


def test_the_options_of_a_loop_are_told_with_what_is_learned_from() -> None:
    changed = {"memory": "lstm", "loop": "recurrent_replay", "loop_options": {"burn_in": 3}}
    told = differing(dataclasses.replace(DOPAMINE, **changed))
    assert set(told) == {"network", "learned from"}
    assert told["learned from"] == (
        "uniform replay of 1,000,000, from 20,000 on 32 every 4 agent steps, in whole sequences (sequence_length 8, "
        "burn_in 3, sequence_every 8, sequence_start stored, priority_max_share 0.9)"
    )


def test_fewer_runs_are_named() -> None:
    assert differing(DOPAMINE, seeds=2) == {"runs": "2"}


USED_WITH: dict[str, dict[str, Any]] = {
    "rollout_length": {"loop": "parallel"},
    "epochs": {"loop": "parallel"},
    "output_gain": {"initialisation": "he"},
    "target_tau": {"target": "soft"},
    "rmsprop_decay": {"optimizer": "rmsprop"},
    "weight_decay": {"optimizer": "adamw"},
    "learning_rate_steps": {"learning_rate_end": 0.0},
    "gradient_clip_at": {"gradient_clip": "norm"},
}
"""Fields that have an effect only with values of others."""
ANOTHER = {
    "torso": "2013", "linear": "own", "memory": "own", "streams": "own", "head": "own", "loss": "double",
    "optimizer": "radam", "sampler": "own", "epsilon_schedule": "exponential", "load": "runs/other", "loop": "parallel",
    "wrappers": ("my_module:Wrapper",),
}  # fmt: skip


def another(name: str, value: Any) -> Any:
    """A value of a field that is not this one; of a number, one that is as near as nothing."""
    if name in OPTIONS or name == "env_kwargs":
        return {**value, "an_option": 7}
    if name in ANOTHER:
        return ANOTHER[name]
    choices = [choice for choice in typing.get_args(TYPES[name]) if isinstance(choice, str)]
    if choices:
        return next(choice for choice in choices if choice != value)
    if TYPES[name] is bool:
        return not value
    return 1e-9 if value is None else value + (1 if TYPES[name] is int else 1e-9)


@pytest.mark.parametrize("name", sorted(set(FIELDS) - UNIMPORTANT))
def test_whatever_decides_what_is_learned_makes_a_difference_however_small_it_is(name: str) -> None:
    before = dataclasses.replace(DOPAMINE, **USED_WITH.get(name, {}))
    after = dataclasses.replace(before, **{name: another(name, getattr(before, name))})
    assert described(after) != described(before)


def test_a_field_has_one_place_and_one_without_a_place_counts_under_its_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = [field for fields, _ in ASPECTS.values() for field in fields]
    assert len(told) == len(set(told))
    assert not set(told) & UNIMPORTANT
    assert set(told) | UNIMPORTANT <= set(FIELDS)
    monkeypatch.delitem(ASPECTS, "longest game")
    assert described(DOPAMINE)["max_frames_per_episode"] == "108000"
