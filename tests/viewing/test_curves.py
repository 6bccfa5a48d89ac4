import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.errors import UserError
from pixelq.reports.tracking import COLUMNS, Tracker
from pixelq.viewing import curves
from pixelq.viewing.curves import (
    centred_mean,
    mean_and_band,
    moving_mean,
    on_grid,
    read_run,
    read_table,
    shared_grid,
    student_t_975,
)

NUMBERS = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=60)


# --- reading --------------------------------------------------------------------------------------------------------


def test_columns_are_those_that_a_run_writes():
    assert tuple(COLUMNS["episodes.csv"]) == curves.EPISODE_COLUMNS
    assert tuple(COLUMNS["progress.csv"]) == curves.PROGRESS_COLUMNS
    assert tuple(COLUMNS["evaluations.csv"]) == curves.EVALUATION_COLUMNS


def test_what_a_run_has_flushed_is_read_while_it_goes_on(make_run):
    folder = make_run("run")
    for name in COLUMNS:
        (folder / name).unlink()
    tracker = Tracker(folder)
    tracker.write("episodes.csv", dict(zip(COLUMNS["episodes.csv"], [1200, 3, -20.0, 1200, 1.5], strict=True)))
    row = dict.fromkeys(COLUMNS["progress.csv"], 1.0) | {"agent_steps": 5000, "loss": math.nan}
    tracker.write("progress.csv", row)
    tracker.flush()
    run = read_run(folder)
    tracker.close()
    assert run.episodes["score"].tolist() == [-20.0]
    assert run.episodes["environment"].tolist() == [3.0]
    assert run.progress["agent_steps"].tolist() == [5000.0]
    assert np.isnan(run.progress["loss"]).all()
    assert len(run.evaluations["mean"]) == 0


def test_a_last_line_that_is_being_written_is_left_out_wherever_it_is_cut(tmp_path):
    file = tmp_path / "episodes.csv"
    whole = "agent_step,score\n1000,-21\n"
    last = "2000,-19\n"
    for cut in range(len(last)):
        file.write_text(whole + last[:cut])
        assert read_table(file, ["agent_step", "score"])["score"].tolist() == [-21.0]
    file.write_text(whole + last)
    assert read_table(file, ["agent_step", "score"])["score"].tolist() == [-21.0, -19.0]


@pytest.mark.parametrize("text", ["", "agent_st", "agent_step,score\n"])
def test_a_file_that_has_just_begun_reads_as_empty(tmp_path, text):
    (tmp_path / "episodes.csv").write_text(text)
    table = read_table(tmp_path / "episodes.csv", ["agent_step", "score"])
    assert {name: len(column) for name, column in table.items()} == {"agent_step": 0, "score": 0}
    assert len(read_table(tmp_path / "absent.csv", ["agent_step"])["agent_step"]) == 0


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (b"agent_step\n1\n", 1, "'score' is missing"),
        (b"agent_step,score\n1,2\n3\n4,5\n", 3, "1 values where 2 belong"),
        (b"agent_step,score\n1,2\n3,4,5\n", 3, "3 values where 2 belong"),
        (b"agent_step,score\n1,2\n\n4,5\n", 3, "1 values where 2 belong"),
        (b"agent_step,score\n1,2\n3,4x\n", 3, "score = '4x' is not a number"),
        (b"agent_step,score\n1,\x00\x00\n", 2, "score = '\\x00\\x00' is not a number"),
        (b"agent_step,score\n1,2\n,3\n", 3, "agent_step is empty"),
        (b"agent_step,score\n1,2\n1e308,3\n", 3, "no count of agent steps"),
        (b"agent_step,score\n-1,2\n", 2, "no count of agent steps"),
        (b"agent_step,score\n1000,2\n2000,3\n900,4\n", 4, "agent_step falls from 2000 to 900"),
        (b"agent_step,score\n1,2\n2,\xff\xfe\n", 3, "not text"),
    ],
)
def test_a_damaged_file_is_refused_by_its_name_and_line(tmp_path, text, line, what):
    file = tmp_path / "episodes.csv"
    file.write_bytes(text)
    with pytest.raises(UserError) as caught:
        read_table(file, ["agent_step", "score"])
    message = str(caught.value)
    assert f"{file} line {line}: " in message
    assert what in message
    assert "\n" not in message


@pytest.mark.parametrize("folder", ["empty", "absent"])
def test_a_folder_without_a_run_is_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is not a run folder"):
        read_run(tmp_path / folder)


def test_a_csv_that_cannot_be_opened_is_a_mistake_with_its_name(make_run):
    folder = make_run("run")
    (folder / "episodes.csv").unlink()
    (folder / "episodes.csv").mkdir()
    with pytest.raises(UserError, match=r"episodes\.csv: cannot be read"):
        read_run(folder)


# --- smoothing ------------------------------------------------------------------------------------------------------


@given(NUMBERS, st.integers(1, 70))
def test_moving_mean_is_the_mean_of_the_last_values(values, window):
    expected = [np.mean(values[max(0, i + 1 - window) : i + 1]) for i in range(len(values))]
    np.testing.assert_allclose(moving_mean(np.array(values), window), expected, rtol=1e-9, atol=1e-7)


def test_moving_mean_keeps_small_differences_late_in_a_long_run():
    values = np.full(200_000, 1e6)
    values[-100:] += 0.5
    assert moving_mean(values, 100)[-1] == pytest.approx(1e6 + 0.5, abs=1e-6)


def running(values, window):
    """Of each value, those of its window: as many before as after it, fewer near an end."""
    half = int(window // 2)
    for i in range(len(values)):
        side = min(half, i, len(values) - 1 - i)
        yield values[i - side : i + side + 1]


@given(NUMBERS, st.floats(1, 70))
def test_centred_mean_is_the_mean_of_as_many_values_before_as_after(values, window):
    expected = [np.mean(inside) for inside in running(values, window)]
    np.testing.assert_allclose(centred_mean(np.array(values), window), expected, rtol=1e-9, atol=1e-9)


@given(st.lists(st.floats(-1e300, 1e300) | st.floats(0, 1e-3), min_size=1, max_size=60), st.floats(1, 70))
def test_a_smoothed_line_stays_within_the_running_range_of_the_values(values, window):
    smooth = centred_mean(np.array(values), window)
    for mean, inside in zip(smooth, running(values, window), strict=True):
        rounding = 1e-12 * max(map(abs, inside))
        assert min(inside) - rounding <= mean <= max(inside) + rounding


@given(st.floats(-100, 100), st.floats(-100, 100), st.integers(1, 40), st.floats(1, 50))
def test_a_smoothed_line_does_not_lag_behind_a_straight_one(slope, start, n, window):
    straight = start + slope * np.arange(n)
    np.testing.assert_allclose(centred_mean(straight, window), straight, atol=1e-8)


def test_small_losses_after_a_huge_one_are_not_lost_in_rounding():
    losses = np.array([1e12, *np.full(20, 1e-9)])
    assert centred_mean(losses, 5)[10:].tolist() == pytest.approx([1e-9] * 11)
    assert len(centred_mean(np.empty(0), 5)) == 0


# --- several runs ---------------------------------------------------------------------------------------------------


def test_a_curve_is_not_continued_beyond_its_ends():
    at = on_grid(np.array([1.0, 3.0]), np.array([10.0, 30.0]), np.array([0.9, 1.0, 2.0, 3.0, 3.1]))
    np.testing.assert_array_equal(at, [np.nan, 10.0, 20.0, 30.0, np.nan])
    assert np.isnan(on_grid(np.empty(0), np.empty(0), np.array([1.0]))).all()


def test_the_last_of_several_games_that_ended_in_one_step_is_used():
    at = on_grid(np.array([1.0, 1.0, 2.0]), np.array([5.0, 7.0, 9.0]), np.array([1.0, 1.5]))
    np.testing.assert_array_equal(at, [7.0, 8.0])


def test_the_shared_grid_spans_what_all_runs_have():
    grid = shared_grid([np.array([1.0, 10.0]), np.array([2.0, 8.0])], points=4)
    assert grid.tolist() == [2.0, 4.0, 6.0, 8.0]
    assert len(shared_grid([np.array([1.0, 2.0]), np.array([3.0, 4.0])])) == 0
    assert len(shared_grid([np.array([1.0, 2.0]), np.empty(0)])) == 0


def test_the_range_band_is_the_lowest_and_the_highest_run():
    mean, low, high = mean_and_band(np.array([[1.0, 5.0], [3.0, 1.0]]), "range")
    assert (mean.tolist(), low.tolist(), high.tolist()) == ([2.0, 3.0], [1.0, 1.0], [3.0, 5.0])


def test_the_interval_band_covers_the_true_mean_in_95_of_100_cases():
    seeds = np.random.default_rng(0).normal(3.0, 2.0, (4, 20_000))
    _, low, high = mean_and_band(seeds, "interval")
    assert np.mean((low < 3.0) & (high > 3.0)) == pytest.approx(0.95, abs=0.006)


def test_one_run_has_no_interval():
    mean, low, high = mean_and_band(np.array([[1.0, 2.0]]), "interval")
    assert mean.tolist() == [1.0, 2.0]
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.706), (4, 2.776), (16, 2.120), (30, 2.042), (120, 1.980)])
def test_student_t_quantiles_are_those_of_the_tables(degrees, quantile):
    assert student_t_975(degrees) == pytest.approx(quantile, abs=0.001)


def test_an_unreadable_config_names_the_file(tmp_path):
    (tmp_path / "config.toml").write_text("seed = ")
    with pytest.raises(UserError, match=r"config\.toml"):
        read_run(tmp_path)
