import io

import numpy as np
import pytest
from rich.console import Console

from pixelq.tabular.episodes import Step, evaluate, play
from pixelq.tabular.optimality import measure_optimality
from pixelq.tabular.planning import value_iteration
from pixelq.tabular.policies import TableAgent
from pixelq.tabular.terminal import print_evaluation, print_map, print_optimality, print_trace


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=80, highlight=False)


def text(console):
    return console.file.getvalue()


def best_episode(game, seed=1):
    agent = TableAgent(value_iteration(game.model, 0.9), np.random.default_rng(0))
    return list(play(agent, game.make(), seed))


def test_the_lake_is_printed_with_arrows_values_and_stars(console, lake):
    table = value_iteration(lake.model, 0.9)
    table[14] = [9.5, 0, 0, 0]
    print_map(console, table, lake, 0.9, best_episode(lake))
    lines = text(console).splitlines()
    assert [line.split() for line in lines[:8]] == [
        ["S", "↓", "F", "→", "F", "↓", "F", "←"],
        ["0.590", "0.656", "0.729", "0.656"],
        ["F", "↓", "H", "F", "↓", "H"],
        ["0.656", "0.810"],
        ["F", "→", "F", "↓", "F", "↓", "H"],
        ["0.729", "0.810", "0.900"],
        ["H", "F", "→", "F", "←*", "G"],
        ["0.900", "9.500"],
    ]


@pytest.mark.parametrize("name", ["lake", "cliff", "taxi"])
def test_every_map_fits_into_eighty_columns(console, name, request):
    game = request.getfixturevalue(name)
    print_map(console, value_iteration(game.model, 0.9) * 1.23456789, game, 0.9, best_episode(game))
    assert max(len(line) for line in text(console).splitlines()) <= 80
    arrows = sum(text(console).count(game.map.sign(a)) for a in game.map.directions)
    assert arrows >= 11


def test_of_the_taxis_maps_those_of_the_episode_are_printed_with_walls(console, taxi):
    print_map(console, value_iteration(taxi.model, 0.9), taxi, 0.9, best_episode(taxi))
    lines = text(console).splitlines()
    titles = [line for line in lines if line.startswith("passenger")]
    assert len(titles) == 2
    assert titles[1].startswith("passenger in the taxi, to ")
    assert titles[0].split(", ")[1] == titles[1].split(", ")[1]
    assert "2 of 16 maps" in text(console)
    assert text(console).count("┃") == 2 * 2 * 6  # six walls, two lines each, two maps


def steps(count, terminated=True):
    last = Step(0, 1, 0.0, 4, terminated, not terminated)
    return [Step(0, 0, -1.0, 0, False, False)] * (count - 1) + [last]


def test_a_trace_says_state_action_reward_and_total(console, lake):
    print_trace(console, best_episode(lake), lake, 30)
    lines = text(console).splitlines()
    assert lines[0] == "    1  row 0, column 0 S: down, reward 0"
    assert lines[5] == "    6  row 3, column 2 F: right, reward 1"
    assert lines[6] == "total 1 points in 6 agent steps; the game ended at row 3, column 3 G"


@pytest.mark.parametrize(("count", "most", "shown"), [(9, 9, 9), (10, 9, 9), (200, 30, 30), (5, 1, 1), (5, 2, 2)])
def test_of_a_long_trace_the_middle_is_left_out_and_counted(console, lake, count, most, shown):
    print_trace(console, steps(count, terminated=False), lake, most)
    lines = text(console).splitlines()
    assert sum(": left, reward" in line or ": down, reward" in line for line in lines) == shown
    gap = [line for line in lines if "more agent steps" in line]
    assert gap == ([f"   ... {count - shown} more agent steps ..."] if count > shown else [])
    assert lines[-1].startswith(
        f"total {-count + 1} points in {count} agent steps; cut at the limit of 100 agent steps"
    )


def test_the_comparison_says_every_rate_and_share(console, slippery_lake):
    table = value_iteration(slippery_lake.model, 0.9)
    print_optimality(console, measure_optimality(table, slippery_lake, 0.9), slippery_lake, 0.9)
    for words in (
        "0.7298",
        "0.7442",
        "0.0139",
        "optimal at gamma 0.9",
        "in 11 of 11 states (100.0%)",
        "largest 0.0000",
    ):
        assert words in text(console)


def test_measured_episodes_are_summed_up(console, lake):
    agent = TableAgent(value_iteration(lake.model, 0.9), np.random.default_rng(0))
    print_evaluation(console, evaluate(agent, lake, episodes=5, seed=0))
    assert text(console) == ("5 episodes: mean 1.0000 (95% interval 1.0000 to 1.0000), std 0.0000, min 1, max 1\n")
