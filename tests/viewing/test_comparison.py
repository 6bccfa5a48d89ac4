import numpy as np
import pytest

from pixelq.errors import UserError
from pixelq.viewing.comparison import draw_comparison, group_means, means_per_million, one_game
from pixelq.viewing.curves import read_run
from pixelq.viewing.reference import ReferenceCurve
from pixelq.viewing.run_groups import grouped

CURVE = ReferenceCurve("DQN", np.arange(1, 21), np.arange(20.0), np.arange(20.0) - 1, np.arange(20.0) + 2, 5)


def test_a_million_frames_is_250_000_agent_steps_of_four_frames(make_run):
    run = read_run(make_run("run", [1, 3, 5, 7, 9, 11, 13], every=125_000))
    np.testing.assert_array_equal(means_per_million(run, np.array([1, 2, 3])), [2, 6, 10])


def test_the_frame_skip_counts(make_run):
    run = read_run(make_run("run", [1, 3, 5, 7, 9], every=125_000, frame_skip=8))
    np.testing.assert_array_equal(means_per_million(run, np.array([1, 2, 5])), [1, 3, 9])


def test_a_million_that_is_not_played_to_its_end_has_no_mean(make_run):
    run = read_run(make_run("run", [1, 3, 5], every=125_000))
    np.testing.assert_array_equal(means_per_million(run, np.array([1, 2, 3])), [2, np.nan, np.nan])


def test_a_group_has_a_mean_only_where_every_run_has_one(make_run):
    long, short = make_run("a", [2, 4], every=250_000), make_run("b", [6], every=250_000)
    mean, low, high = group_means([read_run(long), read_run(short)], np.array([1, 2]))
    np.testing.assert_array_equal([mean, low, high], [[4, np.nan], [2, np.nan], [6, np.nan]])


def test_runs_of_two_games_are_not_compared(make_run):
    runs = [read_run(make_run("a")), read_run(make_run("b", game="ALE/Breakout-v5"))]
    with pytest.raises(UserError, match="one game at a time"):
        one_game(runs)
    assert one_game(runs[1:]) == "breakout"


def test_the_figure_shows_both_at_the_same_frames_and_names_the_differences(make_run):
    run = read_run(make_run("run", [1, 3, 5, 7], every=125_000, sticky_actions=0.25))
    figure = draw_comparison("pong", grouped([run]), [CURVE])
    by_label = {x.get_label(): x.get_xydata() for x in figure.axes[0].lines}
    np.testing.assert_array_equal(by_label["reference: DQN (5 runs)"][:2], [[1, 0], [2, 1]])
    np.testing.assert_array_equal(by_label["pong default"][:2], [[1, 2], [2, 6]])
    caption = " ".join(figure.texts[1].get_text().split())
    assert "a lost life ends the target (reference: no signal)" in caption
    assert "epsilon while training 1 to 0.01 over 1,000,000 agent steps (reference: 1 to 0.01 over 250,000" in caption
    assert "sticky" not in caption


def test_the_reference_is_shown_as_far_as_the_runs_have_come(make_run):
    run = read_run(make_run("run", [1, 3, 5, 7], every=125_000))
    axes = draw_comparison("pong", grouped([run]), [CURVE]).axes[0]
    assert axes.get_xlim() == pytest.approx((0, 2.08))
    reference = next(x for x in axes.lines if x.get_label().startswith("reference"))
    assert len(reference.get_xdata()) <= 3


def test_a_short_run_fills_the_figure_beside_the_references_first_value(make_run):
    run = read_run(make_run("run", np.arange(8.0), every=10_000))
    axes = draw_comparison("pong", grouped([run]), [CURVE]).axes[0]
    end = 80_000 * 4 / 1e6
    assert axes.get_xlim() == pytest.approx((0, 1.04 * end))
    (reference,) = [x for x in axes.lines if x.get_label().startswith("reference")]
    assert set(reference.get_ydata()) == {CURVE.mean[0]}
    assert reference.get_label() == "reference: DQN (5 runs), its first value, at 1 million frames"
    assert max(x.get_xdata()[-1] for x in axes.lines if len(x.get_xdata()) == 8) == pytest.approx(end)


def test_a_run_without_a_game_says_so(make_run):
    figure = draw_comparison("pong", grouped([read_run(make_run("run"))]), [CURVE])
    assert figure.axes[0].texts[0].get_text() == "no finished game yet"
