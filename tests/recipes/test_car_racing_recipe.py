"""The recipe car-racing is held to a table of settings given to this project, written out by hand."""

import pytest

from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.validation import validate
from pixelq.schedules import epsilon_schedule

GIVEN = {
    "game": "CarRacing-v3",
    "grayscale": True,
    "screen_size": 84,
    "frame_stack": 4,
    "torso": "2015",
    "optimizer": "adamw",
    "learning_rate": 1e-4,
    "learning_rate_end": None,
    "amsgrad": True,
    "error": "huber",
    "batch_size": 128,
    "train_every": 4,
    "replay_capacity": 50_000,
    "gamma": 0.99,
    "target": "soft",
    "target_tau": 0.005,
    "epsilon_schedule": "exponential",
    "epsilon_start": 1.0,
    "epsilon_end": 0.05,
    "epsilon_steps": 50_000,
    "gradient_clip": "value",
    "gradient_clip_at": 100.0,
    "episodes": -1,  # 500 with a GPU, 30 without: tests/runs/test_episode_limit.py
    "max_frames_per_episode": 1_000,
    "baseline_episodes": 50,
    "loop": "replay",
    "loss": "dqn",
    "backend": "gymnasium",
}


@pytest.mark.parametrize("field", GIVEN)
def test_it_says_what_the_table_says(field: str) -> None:
    config = read_recipe("car-racing")
    assert (config.loss_options | vars(config))[field] == GIVEN[field]


def test_rewards_are_learned_from_as_they_are_and_steps_never_end_a_run_of_500_games() -> None:
    recipe = read_recipe("car-racing")
    validate(recipe)
    assert not recipe.clip_reward
    assert recipe.steps >= 500 * recipe.max_frames_per_episode


def test_epsilon_is_a_third_of_the_way_from_its_end_after_one_time_constant() -> None:
    epsilon = epsilon_schedule(read_recipe("car-racing"))
    assert epsilon(0).tolist() == [1.0]
    assert epsilon(50_000) == pytest.approx(0.05 + 0.95 * 0.36788, abs=1e-5)
    assert epsilon(500_000) == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize("name", ["car-racing", "CarRacing-v3"])
def test_the_game_takes_it_without_being_told(name: str) -> None:
    assert configure(name).recipe == "car-racing"
