import csv
import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.viewing.curves import read_run
from pixelq.viewing.protocol import PUBLISHED
from pixelq.viewing.reference import (
    NoCurveError,
    paper_curves,
    read_curves,
    read_scores,
    read_shipped_scores,
    score_differences,
    value_at,
)
from pixelq.viewing.reference_choice import Choice, compared

DOPAMINES_DQN = read_curves(PUBLISHED / "dopamine_curves.csv", "qbert")["DQN (Adam + MSE in JAX)"]


def run(make_run, game, **config):
    return read_run(make_run(game.replace("/", "-"), [1.0, 2.0], game=game, **config))


def test_atari_has_dopamines_curves_and_other_games_nothing_unless_one_is_named(make_run):
    runs = [run(make_run, "pong"), run(make_run, "CartPole-v1")]
    (pong, pole), notes = compared(runs, Choice())
    assert [curve.agent for curve in pong.references] == ["DQN (Adam + MSE in JAX)"]
    assert pole.references == []
    assert {score.source for score in pole.scores} >= {"CleanRL docs, dqn.py"}
    assert notes == []
    _, (note,) = compared(runs, Choice("dopamine"))
    assert "no curve of CartPole-v1" in note


def run_of(make_run, recipe, options):
    """A run on Breakout with all that a recipe says."""
    return read_run(make_run(recipe, [1.0, 2.0], **dataclasses.asdict(configure("breakout", recipe, options))))


@pytest.mark.parametrize(
    ("recipe", "options", "agent"),
    [
        ("dopamine", {}, "DQN (Adam + MSE in JAX)"),
        ("default", {}, "DQN (Adam + MSE in JAX)"),
        ("dopamine", {"loss": "double"}, "DQN (Adam + MSE in JAX)"),  # of which Dopamine has none
        ("dopamine-c51", {}, "C51"),
        ("cleanrl-c51", {}, "C51"),
        ("dopamine-rainbow", {}, "Rainbow"),
        ("rainbow", {}, "Rainbow"),
        ("dopamine-iqn", {}, "IQN"),
        ("dopamine-quantile", {}, "Quantile (JAX)"),
    ],
)
def test_where_no_agent_is_named_a_run_stands_beside_dopamines_of_its_member(recipe, options, agent, make_run):
    (breakout,), _ = compared([run_of(make_run, recipe, options)], Choice("dopamine"))
    assert [curve.agent for curve in breakout.references] == [agent]


def test_runs_of_several_members_stand_beside_each_ones_agent_once(make_run):
    names = ["dopamine-c51", "dopamine", "c51"]
    runs = [run_of(make_run, name, {}) for name in names]
    (breakout,), _ = compared(runs, Choice("dopamine"))
    assert [curve.agent for curve in breakout.references] == ["C51", "DQN (Adam + MSE in JAX)"]


def test_cleanrl_gives_the_curves_of_the_runs_kind_of_loop_or_its_final_scores(make_run):
    games = [run(make_run, "breakout"), run(make_run, "CartPole-v1")]
    (breakout, pole), notes = compared(games, Choice("cleanrl"))
    loop = games[0].config.loop
    assert [read_recipe(curve.recipe).loop for curve in breakout.references] == [loop] * len(breakout.references)
    assert breakout.references
    assert breakout.levels == []
    assert {level.algorithm for level in pole.levels} == {"DQN", "C51", "PQN"}
    assert all(score.source.startswith("CleanRL") for score in breakout.scores)
    assert notes == []
    (named,), _ = compared(games[:1], Choice("cleanrl", agents=("CleanRL PQN", "CleanRL C51")))
    assert [curve.agent for curve in named.references] == ["CleanRL PQN", "CleanRL C51"]


def test_papers_give_final_scores_and_a_game_without_one_is_told(make_run):
    runs = [run(make_run, "breakout"), run(make_run, "freeway")]
    (breakout, freeway), (note,) = compared(runs, Choice("papers"))
    assert [(level.algorithm, level.score) for level in breakout.levels] == [("DQN 2013", 168), ("DQN 2015", 401.2)]
    assert freeway.levels == []
    assert note == "no paper's score of freeway is known here"


def test_papers_give_minatar_the_curves_of_its_own_paper_whatever_the_ids_version(make_run):
    pytest.importorskip("minatar")
    for version in (0, 1):
        runs = [run(make_run, f"MinAtar/Breakout-v{version}", recipe="minatar-dqn")]
        (breakout,), notes = compared(runs, Choice("papers"))
        curves = {curve.agent: curve for curve in breakout.references}
        assert len(curves) == 4
        assert {curve.runs for curve in curves.values()} == {30}
        assert all("read off MinAtar's img/learning_curves.gif" in curve.how for curve in curves.values())
        assert curves["MinAtar DQN"].at(4 * 5.0) == pytest.approx(10, abs=0.5)  # as read off by eye
        assert curves["MinAtar actor-critic (lambda 0.8)"].at(4 * 2.0) == pytest.approx(14, abs=0.5)
        assert (breakout.levels, notes) == ([], [])
        unlike = [words for score in breakout.scores for words in score_differences(runs[0].config, score)]
        assert any("all 6 actions, not those of MinAtar/Breakout-v1" in words for words in unlike) is (version == 1)
    (one,), _ = compared(runs, Choice("papers", agents=("MinAtar DQN",)))
    assert [curve.agent for curve in one.references] == ["MinAtar DQN"]


@pytest.mark.parametrize("game", ["Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders"])
def test_minatars_shipped_scores_are_its_curves_after_2_and_5_million_agent_steps(game):
    pytest.importorskip("minatar")
    curves = paper_curves(f"MinAtar/{game}-v0")
    scores = [score for score in read_shipped_scores(f"MinAtar/{game}-v0") if score.source.startswith("Young & Tian")]
    assert sorted(score.agent_steps for score in scores) == [2_000_000] * len(curves) + [5_000_000] * len(curves)
    for score in scores:
        assert curves[f"MinAtar {score.algorithm}"].at(4 * score.agent_steps / 1e6) == pytest.approx(score.score)
        assert ("1.0.10 or older" in score.protocol) is (game == "Seaquest")


@pytest.mark.parametrize(
    ("game", "choice", "message"),
    [
        ("freeway", Choice("papers"), "no paper's score of freeway"),
        ("CartPole-v1", Choice("dopamine"), "no curve of CartPole-v1"),
        ("pong", Choice("nowhere"), "takes dopamine, papers, cleanrl"),
        ("pong", Choice("cleanrl", agents=("IQN",)), "the reference has 'CleanRL DQN', 'CleanRL C51', 'CleanRL PQN'"),
    ],
)
def test_a_reference_that_has_nothing_is_refused(make_run, game, choice, message):
    with pytest.raises(UserError, match=message):
        compared([run(make_run, game)], choice)


def test_the_shipped_curves_end_where_cleanrls_tables_do_and_name_their_figure():
    """Read off figures of means over 3 runs; the tables have the mean of the last games."""
    scores = {
        (game, f"CleanRL {score.algorithm}"): score
        for game in ("breakout", "pong", "beam_rider", "ms_pacman")
        for score in read_scores(PUBLISHED / "published_scores.csv", game)
        if score.source in {f"CleanRL docs, {name}.py" for name in ("dqn_atari", "c51_atari", "pqn_atari_envpool")}
    }
    assert len(scores) == 10
    for (game, agent), score in scores.items():
        curve = read_curves(PUBLISHED / "cleanrl_curves.csv", game)[agent]
        assert "read off CleanRL's docs/rl-algorithms/" in curve.how
        assert curve.recipe in recipe_names()
        assert abs(curve.mean[-1] - score.score) <= 0.05 * abs(score.score) + 700 * (game == "beam_rider")
        assert not curve.by_million


def test_pqn_on_breakout_is_what_was_read_off_by_eye():
    curve = read_curves(PUBLISHED / "cleanrl_curves.csv", "breakout")["CleanRL PQN"]
    by_eye = {1: 16, 2: 37, 3: 67, 4: 105, 5: 185, 6: 252, 7: 308}
    for million, score in by_eye.items():
        assert curve.at(4 * million) == pytest.approx(score, abs=10)
    assert np.isnan(curve.at(41))


def test_the_table_of_the_shipped_files_names_each_and_no_other():
    rows = [line for line in (PUBLISHED / "README.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "][1:]
    files = [re.match(r"\| \[?`([^`]+)`", row)[1] for row in rows]
    assert [name for name in files if not (PUBLISHED / name).is_file()] == []
    assert {name for name in files if "/" not in name} == {
        file.name for file in PUBLISHED.iterdir() if file.suffix in (".csv", ".toml")
    }


def test_every_row_of_the_shipped_scores_says_whether_it_is_of_a_paper():
    with (PUBLISHED / "published_scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["kind"], row["source"].startswith("Mnih")) for row in rows} == {("paper", True), ("library", False)}


def test_a_curve_by_agent_steps_lies_at_its_frames_and_needs_no_band(tmp_path):
    file = tmp_path / "curves.csv"
    file.write_text(
        "game,agent,agent_steps,mean_return,min_run,max_run,runs\npong,A,500000,1,,,2\npong,A,250000,0,-1,1,2\n"
    )
    curve = read_curves(file, "pong")["A"]
    assert curve.million_frames.tolist() == [1, 2]
    np.testing.assert_array_equal(curve.low, [-1, np.nan])
    assert (curve.at(1.5), curve.recipe, curve.how) == (0.5, "", "")
    with pytest.raises(NoCurveError):
        read_curves(file, "breakout")


@pytest.mark.parametrize("by_million", [True, False])
@given(share=st.floats(0, 1), i=st.integers(0, 35))
def test_between_two_points_a_curve_lies_on_a_straight_line_and_names_them(share, i, by_million):
    curve = dataclasses.replace(DOPAMINES_DQN, by_million=by_million)
    begin, end = curve.million_frames[[i, i + 1]].tolist()
    at = begin + share * (end - begin)
    value = value_at(curve, at)
    assert value.between in ((begin, end), (begin, begin), (end, end))
    assert (value.between[0] == value.between[1]) == (min(at - begin, end - at) <= 1e-9)
    for found, points in ((value.mean, curve.mean), (value.low, curve.low), (value.high, curve.high)):
        assert found == pytest.approx(np.interp(at, curve.million_frames, points))
    assert curve.at(at) == value.mean


def test_on_a_point_a_curve_has_its_value_whatever_its_neighbours_lack_and_beyond_its_ends_none():
    dopamine = DOPAMINES_DQN
    assert dopamine.at(3) == dopamine.mean[2]
    assert [value_at(dopamine, beyond) for beyond in (0.99, 190.1, 200)] == [None] * 3
    assert dopamine.at(190) == dopamine.mean[-1]
    assert np.isnan([dopamine.at(0.99), dopamine.at(200)]).all()
    lacking = dataclasses.replace(dopamine, low=np.where(dopamine.million_frames == 3, dopamine.low, np.nan))
    assert value_at(lacking, 3).low == dopamine.low[2]
    assert np.isnan(value_at(lacking, 3.5).low)
    assert np.isfinite(value_at(lacking, 3.5).mean)
