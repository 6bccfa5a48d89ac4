"""The actions that recipes force in a new game and after a lost life, seen in real games played through `make_envs`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ale_py
import numpy as np
import pytest
from ale_py.roms import get_rom_path

from pixelq.envs import make_envs
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.validation import validate

CHOSEN = 3
"""What the agent would play: LEFT in Breakout, which no recipe forces."""
BREAKOUT = ("NOOP", "FIRE", "RIGHT", "LEFT")


def forced(recipe: str, game: str, agent_steps: int, **fields: Any) -> tuple[list[int], list[list[int]]]:
    """What is played in place of the agent's actions: at the first game's start, and after each life it loses.

    Forced actions that do not follow a start or a lost life fail the test.
    """
    config = replace(read_recipe(recipe), game=game, sticky_actions=0.0, **fields)
    envs = make_envs(config, num_envs=1, seed=5, threads=1)
    envs.reset()
    at_start: list[int] = []
    after_lives: list[list[int]] = []
    current, running = at_start, True
    for _ in range(agent_steps):
        _, _, terminated, truncated, info = envs.step(np.array([CHOSEN]))
        if int(info["action"][0]) == CHOSEN:
            running = False
        else:
            assert running, "an action is forced in the middle of a life"
            current.append(int(info["action"][0]))
        if terminated[0] or truncated[0]:
            break
        if info["life_lost"][0]:
            if len(after_lives) == 3:
                break
            current, running = [], True
            after_lives.append(current)
    envs.close()
    return at_start, after_lives


@pytest.mark.parametrize(
    ("recipes", "start", "life"),
    [
        (("nips2013", "nature2015", "double2015", "dopamine"), [], []),  # the agent presses FIRE itself
        (("cleanrl", "double-notebook", "lapan-pong"), [1, 2], [0, 1, 2]),  # FireResetEnv around EpisodicLifeEnv
        (("pqn", "cleanrl-pqn", "default"), [], [1]),  # EnvPool, which presses FIRE for a frame before the start
    ],
)
def test_what_a_recipe_forces_in_breakout(recipes: tuple[str, ...], start: list[int], life: list[int]) -> None:
    for recipe in recipes:
        fields = {} if start or life else {"fire_on_reset": True}  # or no ball ever comes, and no life is lost
        at_start, after_lives = forced(recipe, "breakout", 400, **fields)
        assert at_start == start, recipe
        assert len(after_lives) >= (2 if life else 1), recipe  # without FIRE the next ball does not come
        assert after_lives == [life] * len(after_lives), recipe


@pytest.mark.parametrize("recipe", ["papers-100-lines", "papers-100-lines-original"])
def test_an_opening_of_1_to_30_agent_steps_of_fire_and_nothing_after_a_lost_life(recipe: str) -> None:
    at_start, after_lives = forced(recipe, "breakout", 60)
    assert at_start == [1] * len(at_start)
    assert 1 <= len(at_start) <= 30
    assert after_lives
    assert not any(after_lives)


def test_games_without_lives_or_without_fire_have_the_part_of_the_wrappers_that_applies() -> None:
    assert forced("lapan-pong", "pong", 60) == ([1, 2], [])
    at_start, after_lives = forced("cleanrl", "ms_pacman", 400)
    assert at_start == []
    assert after_lives
    assert after_lives == [[0]] * len(after_lives)


class Emulator:
    """Breakout, frame by frame; writes down every action."""

    def __init__(self) -> None:
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.loadROM(get_rom_path("breakout"))
        self.ale.reset_game()
        self.actions = [getattr(ale_py.Action, name) for name in BREAKOUT]
        self.played: list[int] = []

    def agent_step(self, action: int) -> None:
        """The action, for four frames (`MaxAndSkipEnv`)."""
        for _ in range(4):
            self.ale.act(self.actions[action])
            self.played.append(action)


def wrapped_game(emulator: Emulator) -> Iterator[None]:
    """Lives of a game under CleanRL's wrappers, without no-op frames, as they are played: one `next` is one life.

    A game starts at once; a lost life is left with a no-op (`EpisodicLifeEnv.reset`); then FIRE and action 2 are played
    (`FireResetEnv.reset`), and the agent has the game until the lives are fewer.
    """
    first = True
    while emulator.ale.lives() > 0:
        if not first:
            emulator.agent_step(0)
        emulator.agent_step(1)
        emulator.agent_step(2)
        lives, first = emulator.ale.lives(), False
        while emulator.ale.lives() == lives and not emulator.ale.game_over():
            emulator.agent_step(CHOSEN)
        yield


def test_a_game_of_cleanrl_is_frame_by_frame_the_one_under_the_wrappers() -> None:
    emulator = Emulator()
    lives = wrapped_game(emulator)
    for _ in range(3):
        next(lives)
    config = configure("breakout", "cleanrl", {"noop_max": 0})
    envs = make_envs(config, num_envs=1, seed=1, threads=1)
    envs.reset()
    played, lost = [], 0
    while lost < 3:
        *_, info = envs.step(np.array([CHOSEN]))
        played += [int(info["action"][0])] * 4
        lost += int(info["life_lost"][0])
    envs.close()
    assert played == emulator.played


def test_a_resume_in_the_middle_of_an_opening_goes_on_with_it() -> None:
    config = configure("breakout", "cleanrl", {"noop_max": 0})
    envs, resumed = (make_envs(config, num_envs=2, seed=seed, threads=1) for seed in (1, 2))
    envs.reset()
    lost, step = np.zeros(2, bool), 0
    while not lost.any():
        step += 1
        lost = envs.step(np.array([CHOSEN, step % 4]))[-1]["life_lost"]
    envs.step(np.full(2, CHOSEN))  # the no-op of the opening
    resumed.load_state_dict(envs.state_dict())
    for expected in (1, 2, CHOSEN):
        first, second = envs.step(np.full(2, CHOSEN)), resumed.step(np.full(2, CHOSEN))
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[-1]["action"], second[-1]["action"])
        assert (first[-1]["action"][lost] == expected).all()
    envs.close()
    resumed.close()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fire_on_reset": True}, "fire_on_reset = True and wrapper_openings both press FIRE"),
        ({"fire_on_life_loss": True}, "fire_on_life_loss = True and wrapper_openings both press FIRE"),
        ({"opening_fire_max": 3}, "opening_fire_max = 3 and wrapper_openings both press FIRE"),
    ],
)
def test_two_ways_of_pressing_fire_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(replace(read_recipe("cleanrl"), **fields))
