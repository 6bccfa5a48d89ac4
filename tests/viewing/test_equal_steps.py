import dataclasses
import math

import numpy as np
import pytest

from pixelq.viewing.comparison import GameComparison
from pixelq.viewing.curves import mean_score_at, read_run
from pixelq.viewing.equal_steps import NO_INTERVAL, at_equal_steps
from pixelq.viewing.reference import ReferenceCurve
from pixelq.viewing.run_groups import by_game, grouped

CURVE = ReferenceCurve("DQN", np.array([1.0, 2.0]), np.array([-20.0, -10.0]), *np.full((2, 2), np.nan), 5)
PONG, BREAKOUT = (-20.7, 14.6), (1.7, 30.5)
"""Scores of a random agent and of a human."""


def compared(*runs, references=()):
    return [GameComparison(game, groups, list(references)) for game, groups in by_game(grouped(runs)).items()]


def normalized(score, ends):
    return (score - ends[0]) / (ends[1] - ends[0])


def test_all_are_measured_where_the_least_far_run_is_and_human_normalized(make_run):
    long = read_run(make_run("long", [-20, -10, 0, 10], every=250_000, seed=1))
    short = read_run(make_run("short", [-20, 0], every=250_000, seed=2))
    table = at_equal_steps(compared(long, short, references=[CURVE]))
    assert table.agent_step == 500_000
    ours, published = table.rows
    assert (ours.name, ours.seeds, ours.million_frames) == ("default", 2, 2.0)
    assert ours.score.value == pytest.approx(-12.5)
    half = 12.706 * np.std([-15, -10], ddof=1) / math.sqrt(2)
    assert (ours.score.low, ours.score.high) == pytest.approx((-12.5 - half, -12.5 + half))
    assert ours.normalized.high == pytest.approx(normalized(-12.5 + half, PONG))
    assert table.spread == "In brackets: 95% interval of the mean over seeds (Student's t)."
    assert ours.normalized.value == pytest.approx(normalized(-12.5, PONG))
    assert (published.name, published.published, published.score.value) == ("DQN", True, -10)
    assert published.normalized.value == pytest.approx(normalized(-10, PONG))
    assert table.left_out == []


def test_a_published_curve_is_read_between_its_points_which_are_named_and_beyond_them_that_is_said(make_run):
    run = read_run(make_run("run", np.arange(8.0), every=125_000))
    late = dataclasses.replace(CURVE, agent="C51", million_frames=np.array([2.0, 40.0]))
    table = at_equal_steps(compared(run, references=[CURVE, late]), at=375_000)
    (published,) = (row for row in table.rows if row.published)
    assert (published.score.value, published.between) == (-15, (1, 2))
    assert table.published.endswith("agent steps, in a straight line between its points at 1 and 2 million frames.")
    assert table.unpublished == ["C51 of pong: its points go from 2 to 40 million frames, these are 1.5"]
    table = at_equal_steps(compared(run, references=[CURVE]), at=500_000)
    assert table.published == "Published: means of its training games at as many agent steps."
    assert at_equal_steps(compared(run)).published == ""
    pole = read_run(make_run("pole", np.arange(8.0), every=125_000, game="CartPole-v1", frame_skip=1))
    table = at_equal_steps(compared(pole, references=[CURVE]), at=375_000)
    assert table.published.endswith("between its points at 250,000 and 500,000 agent steps.")
    table = at_equal_steps(compared(pole, references=[CURVE]), at=1_000_000)
    assert table.unpublished == [
        "DQN of CartPole-v1: its points go from 250,000 to 500,000 agent steps, these are 1,000,000"
    ]


def test_another_agent_step_may_be_named_and_runs_that_are_not_there_are_told(make_run):
    long = read_run(make_run("long", [-20, -10, 0, 10], every=250_000, seed=1))
    short = read_run(make_run("short", [-20, 0], every=250_000, seed=2))
    table = at_equal_steps(compared(long, short), at=1_000_000)
    assert [(row.seeds, row.score.value) for row in table.rows] == [(1, -5.0)]
    assert math.isnan(table.rows[0].score.low)
    assert table.left_out == [f"{short.folder} (500,000)"]
    assert at_equal_steps(compared(long, short), at=2_000_000) is None


def test_a_run_that_has_just_begun_does_not_decide_where_the_others_are_measured(make_run):
    runs = [read_run(make_run(f"r{i}", [1.0] * 10, every=1000, seed=i)) for i in (1, 2)]
    begun = read_run(make_run("begun", [1.0], every=1000, seed=3))
    table = at_equal_steps(compared(*runs, begun))
    assert table.agent_step == 10_000
    assert table.left_out == [f"{begun.folder} (1,000)"]


def test_of_a_run_without_a_finished_game_that_is_said(make_run):
    run, young = read_run(make_run("run", [1.0] * 10, seed=1)), read_run(make_run("young", seed=2))
    assert at_equal_steps(compared(run, young)).left_out == [f"{young.folder} (no finished game)"]


def test_over_games_there_are_median_and_interquartile_mean(make_run):
    pong = [read_run(make_run(f"p{i}", [score] * 4, every=1000, seed=i)) for i, score in ((1, -20.7), (2, 14.6))]
    breakout = [read_run(make_run(f"b{i}", [30.5] * 4, every=1000, game="breakout", seed=i)) for i in (1, 2)]
    table = at_equal_steps(compared(*pong, breakout[0]))
    rows = {(row.game, row.statistic): row for row in table.rows}
    assert rows["", "median"].normalized.value == pytest.approx((0.5 + 1) / 2)
    assert rows["", "interquartile mean"].normalized.value == pytest.approx((0 + 1 + 1) / 3)
    assert math.isnan(rows["", "median"].score.value)
    # Nobody knows how much two runs of Breakout differ: an interval without that would be too narrow.
    assert math.isnan(rows["", "median"].normalized.low)
    assert table.spread.endswith(NO_INTERVAL)
    table = at_equal_steps(compared(*pong, *breakout))
    rows = {(row.game, row.statistic): row for row in table.rows}
    assert (rows["", "median"].normalized.low, rows["", "median"].normalized.high) == pytest.approx((0.5, 1))
    assert table.spread.endswith("over seeds (Student's t), over all games by the stratified bootstrap.")


def test_only_the_game_that_was_published_is_normalized(make_run):
    mode = [read_run(make_run(f"m{i}", [5.0] * 4, every=1000, seed=i, env_kwargs={"mode": 1})) for i in (1, 2)]
    plain = read_run(make_run("plain", [5.0] * 4, every=1000))
    breakout = read_run(make_run("b", [30.5] * 4, every=1000, game="breakout"))
    rows = at_equal_steps(compared(*mode, plain, breakout)).rows
    told = {row.name: row.normalized.value for row in rows if row.game == "pong"}
    assert told.pop("default, env_kwargs={}") == pytest.approx(normalized(5, PONG))
    assert [math.isnan(value) for value in told.values()] == [True]
    assert not [row for row in at_equal_steps(compared(*mode, breakout)).rows if not row.game]


def test_one_game_under_two_names_is_two_rows_and_neither_stands_for_the_other(make_run):
    plain = read_run(make_run("plain", [-20.7] * 4, every=1000))
    sticky = read_run(make_run("sticky", [14.6] * 4, every=1000, game="ALE/Pong-v5"))
    breakout = read_run(make_run("b", [30.5] * 4, every=1000, game="breakout"))
    rows = at_equal_steps(compared(plain, sticky, breakout)).rows
    assert {row.name: row.score.value for row in rows if row.game == "pong"} == {
        "default": pytest.approx(-20.7),
        "default (ALE/Pong-v5)": pytest.approx(14.6),
    }
    (median,) = (row for row in rows if row.statistic == "median")
    assert (median.name, median.normalized.value) == ("default", pytest.approx(0.5))


def test_games_that_are_not_alike_in_length_have_their_own_agent_step_and_no_mean_over_games(make_run):
    pole = read_run(make_run("pole", [20.0] * 5, every=100, game="CartPole-v1"))
    pong = read_run(make_run("pong", [-20.0] * 5, every=10_000))
    table = at_equal_steps(compared(pole, pong))
    assert table.agent_step is None
    assert {row.game: row.agent_step for row in table.rows} == {"CartPole-v1": 500, "pong": 50_000}
    assert math.isnan(table.rows[0].normalized.value)  # no scores of a human


def test_runs_without_a_finished_game_have_no_table(make_run):
    assert at_equal_steps(compared(read_run(make_run("run")))) is None
    assert at_equal_steps([]) is None


def test_a_score_counts_the_games_that_ended_by_the_step(make_run):
    run = read_run(make_run("run", np.arange(1.0, 6.0), every=10))
    assert mean_score_at(run.episodes, 20) == 1.5
    assert math.isnan(mean_score_at(run.episodes, 9))
