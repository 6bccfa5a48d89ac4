"""What stands beside a suite's runs: published agents and scores, and in what they differ."""

import dataclasses
import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe
from pixelq.series.suite_figure import PUBLISHED, Drawn, Mark, draw_suite
from pixelq.series.suite_published import (
    PublishedAgent,
    agents_at,
    protocol_differences,
    score_table,
    where_read,
)
from pixelq.series.suite_scores import Row
from pixelq.viewing import reference
from pixelq.viewing.comparison import GameComparison
from pixelq.viewing.curves import RunCurves
from pixelq.viewing.equal_steps import at_equal_steps
from pixelq.viewing.protocol import ASPECTS, PLAYED_WITH

DOPAMINE = read_recipe("dopamine")


def one_agent(label="Dopamine's DQN", protocol=DOPAMINE):
    return PublishedAgent(label, {}, protocol)


def test_agents_stand_beside_a_suite_at_the_frames_of_its_games_if_each_has_a_curve():
    agents, left_out = agents_at({"pong": 500_000, "breakout": 500_000}, [DOPAMINE])
    assert left_out == []
    assert {agent.label for agent in agents} >= {"Dopamine's Rainbow", "Dopamine's DQN (Adam + MSE in JAX)"}
    rainbow = next(agent for agent in agents if agent.label == "Dopamine's Rainbow")
    curve = reference.read_curves(reference.DOPAMINES_CURVES, "breakout")["Rainbow"]
    assert rainbow.means["breakout"] == curve.at(2)
    assert rainbow.means.keys() == {"pong", "breakout"}


def test_beyond_twenty_million_frames_suite_and_compare_read_the_same_published_value(tmp_path):
    default = read_recipe("default")
    assert default.steps * default.frame_skip == 26_000_000  # Dopamine's points are 20 and 30 there
    agents, _ = agents_at({"qbert": default.steps}, [default])
    agent = next(one for one in agents if "Adam" in one.label)
    curve = reference.read_curves(reference.DOPAMINES_CURVES, "qbert")["DQN (Adam + MSE in JAX)"]
    at = dict(zip(curve.million_frames.tolist(), curve.mean.tolist(), strict=True))
    assert agent.means["qbert"] == pytest.approx(0.4 * at[20] + 0.6 * at[30])
    assert agent.between["qbert"] == (20, 30)
    assert where_read([agent]).endswith("in a straight line between its points at 20 and 30 million frames.")
    steps = np.array([default.steps], np.float64)
    games = {"agent_step": steps, "score": np.array([4000.0])}
    run = RunCurves(tmp_path, dataclasses.replace(default, game="qbert"), games, {"agent_steps": steps}, {})
    table = at_equal_steps([GameComparison("qbert", {"qbert default": [run]}, [curve])])
    (published,) = (row for row in table.rows if row.published)
    assert published.score.value == agent.means["qbert"]


@pytest.mark.parametrize(
    ("at", "skips", "words"),
    [
        ({"pong": 200_000}, (4,), "of pong its points go from 1 to 190 million frames, these are 0.8"),
        ({"pong": 49_000_000}, (4,), "of pong its points go from 1 to 190 million frames, these are 196"),
        ({"pong": 500_000, "surround": 500_000}, (4,), "there is no curve of surround"),
        ({"pong": 500_000}, (4, 1), "an agent step here has 1, 4 frames"),
    ],
)
def test_where_no_published_agent_stands_beside_a_suite_it_is_said_why(at, skips, words):
    configs = [dataclasses.replace(DOPAMINE, frame_skip=skip) for skip in skips]
    agents, (said,) = agents_at(at, configs)
    assert agents == []
    assert said.startswith("published, but not beside these runs: Dopamine's ")
    assert words in said


def test_of_play_both_sides_are_said_and_of_learning_the_names():
    runs = dataclasses.replace(DOPAMINE, sticky_actions=0.0, learning_rate=1e-3)
    (line,) = protocol_differences([one_agent()], {"mine": [runs]})
    assert line == (
        "protocol: Dopamine's DQN: differ from these runs in sticky actions 0.25 (here 0); and in optimizer "
        "(pixelq compare says how)"
    )
    (line,) = protocol_differences([one_agent()], {"mine": [runs], "like it": [DOPAMINE]})
    assert "sticky actions 0.25 (mine: 0); and" in line
    (line,) = protocol_differences([one_agent()], {"mine": [dataclasses.replace(DOPAMINE, learning_rate=1e-3)]})
    assert line.endswith("played as these runs; they differ in optimizer (pixelq compare says how)")


def test_agents_of_one_kind_share_a_line_and_one_of_an_unknown_kind_has_its_own():
    agents = [one_agent("A"), one_agent("B", dataclasses.replace(DOPAMINE, loss="double")), one_agent("C", None)]
    runs = {"mine": [dataclasses.replace(DOPAMINE, noop_max=30)]}
    both, unknown = protocol_differences(agents, runs)
    assert both.startswith("protocol: A, B: differ from these runs in start of a game as the emulator starts it (here")
    assert "and in loss" in both
    assert unknown == "protocol: C: not known here"
    assert protocol_differences([one_agent()], {"mine": [DOPAMINE]}) == [
        "protocol: Dopamine's DQN: the same as these runs'"
    ]


def test_what_is_said_of_play_are_aspects():
    assert set(PLAYED_WITH) < set(ASPECTS)


def test_scores_in_points_have_their_agent_steps_and_protocol_and_name_the_differences(tmp_path, monkeypatch):
    (tmp_path / "my_scores.csv").write_text(
        "source,algorithm,game,agent_steps,score,spread,protocol\n"
        'a paper,DQN,CartPole-v1,500000,480,12,"training return"\n'
        'a paper,DQN,Acrobot-v1,500000,-80,,"same"\n'
        'another,C51,Acrobot-v1,10000,-70.5,,"mean, epsilon 0.05"\n'
    )
    monkeypatch.setattr(reference, "PUBLISHED", tmp_path)
    config = configure("CartPole-v1", "cartpole")
    found = score_table({"CartPole-v1": [config], "Acrobot-v1": [config]})
    assert found is not None
    table, (of_paper, of_other) = found
    columns = {str(column.header): list(column.cells) for column in table.columns}
    assert columns["source"] == ["a paper", "another"]
    assert columns["agent steps"] == ["500,000", "10,000"]
    assert columns["CartPole-v1"] == ["480 ± 12", "-"]
    assert columns["Acrobot-v1"] == ["-80", "-70.5"]
    assert of_paper.startswith("protocol: a paper: training return; beside these runs: ")
    assert of_other.startswith("protocol: another: mean, epsilon 0.05; beside these runs: test games at epsilon 0.05; ")
    assert score_table({"MountainCar-v0": [config]}) is None


def test_the_figure_has_grey_marks_of_published_agents_below_the_runs():
    def row(algorithm, value):
        return Row(algorithm, "", value, math.nan, math.nan)

    drawn = [Drawn("mine", [np.array([0.1, 0.5])], row("mine", 0.3), row("mine", 0.35))]
    marks = [Mark(name, row(name, value), row(name, value + 0.1)) for name, value in (("A", 0.2), ("B", 0.6))]
    left, _ = draw_suite("games", "scale", drawn, marks, np.random.default_rng(0)).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["B", "A", "mine"]
    grey = [line for line in left.lines if to_hex(line.get_color()) == PUBLISHED]
    assert [(line.get_marker(), *line.get_xydata()[0].round(6)) for line in grey] == [
        *(("|", 0.2, 1), ("o", 0.3, 1), ("|", 0.6, 0), ("o", 0.7, 0)),
    ]
