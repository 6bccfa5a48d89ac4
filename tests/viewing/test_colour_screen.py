import dataclasses

import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv

from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.envs.atari import AtariGames
from pixelq.viewing.colour_screen import ColourAtari, ColourScreen

ONE = np.array([True])


def config(game, **fields):
    return dataclasses.replace(Config(), game=game, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"game": "pong", "sticky_actions": 0.25},
        {"game": "breakout", "sticky_actions": 0.0, "noop_max": 5},
        {"game": "seaquest", "sticky_actions": 0.25, "frame_skip": 3, "full_action_set": True},
        {"game": "ms_pacman", "sticky_actions": 0.5, "fire_on_reset": False},
        {"game": "air_raid", "sticky_actions": 0.25},
    ],
    ids=lambda fields: fields["game"],
)
def test_the_maximum_of_the_last_two_screens_is_what_the_emulator_observes_in_colour(fields):
    chosen = dataclasses.replace(Config(), **fields)
    screen = ColourScreen(chosen)
    emulator = AtariVectorEnv(
        chosen.game, 1, repeat_action_probability=chosen.sticky_actions, full_action_space=chosen.full_action_set,
        img_height=screen.height, img_width=screen.width, grayscale=False, stack_num=1, frameskip=chosen.frame_skip,
        noop_max=chosen.noop_max + 1, reward_clipping=False, use_fire_reset=chosen.fire_on_reset,
    )  # fmt: skip
    generator = np.random.default_rng(0)
    observations, _ = emulator.reset(seed=np.array([11]))
    np.testing.assert_array_equal(screen.start(11), observations[0, 0])
    for _ in range(250):
        action = int(generator.integers(len(screen.action_names)))
        observations, rewards, terminated, _, _ = emulator.step(np.array([action]))
        screens, reward, ended = screen.play(action)
        assert (reward, ended) == (rewards[0], terminated[0])
        if ended:
            break
        assert len(screens) == chosen.frame_skip
        np.testing.assert_array_equal(np.maximum(screens[-1], screens[-2]), observations[0, 0])


def test_screens_are_of_the_games_own_size():
    pong, air_raid = ColourScreen(config("pong")), ColourScreen(config("air_raid"))
    assert pong.start(1).shape == (pong.height, pong.width, 3) == (210, 160, 3)
    assert air_raid.start(1).shape == (250, 160, 3)


def test_actions_have_their_ale_names():
    assert ColourScreen(config("breakout")).action_names == ["NOOP", "FIRE", "RIGHT", "LEFT"]
    assert len(ColourScreen(config("breakout", full_action_set=True)).action_names) == 18


def both_emulators(of_game, of_screen):
    games = AtariGames(of_game, resolve_game(of_game.game), num_envs=1, threads=1)
    game = ColourAtari(games, ColourScreen(of_screen))
    game.reset_some(np.array([5]), ONE)
    return game


def play_to_the_end(game, steps=3000):
    generator = np.random.default_rng(1)
    for step in range(steps):
        _, _, terminated, _, _ = game.step(generator.integers(0, 4, 1))
        if terminated[0]:
            return step
    return steps


def test_a_whole_game_is_the_same_on_both_emulators():
    chosen = config("breakout", sticky_actions=0.25)
    assert play_to_the_end(both_emulators(chosen, chosen)) < 3000


def test_a_screen_that_plays_another_game_is_noticed():
    with pytest.raises(RuntimeError, match="plays another game than the agent"):
        play_to_the_end(both_emulators(config("breakout", sticky_actions=0.25), config("breakout", sticky_actions=0.0)))
