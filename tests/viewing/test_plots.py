import itertools
import subprocess
import sys
import time

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pixelq.viewing.curves import moving_mean, read_run
from pixelq.viewing.plots import MOST_DOTS, draw_runs, plot_runs
from pixelq.viewing.run_groups import grouped


def draw(*folders, band="range", games=3, rows=1.0):
    figure = draw_runs(grouped([read_run(folder) for folder in folders]), band=band, games=games, rows=rows)
    return figure, figure.axes


def texts(figure):
    return " ".join(t.get_text() for t in [*figure.texts, *(t for axes in figure.axes for t in axes.texts)])


def line(axes, length):
    """The only curve with that many points (dots and diamonds have no line style)."""
    found = [x for x in axes.lines if x.get_linestyle() == "-" and len(x.get_xdata()) == length]
    assert len(found) == 1
    return found[0].get_xydata()


def test_the_score_is_the_mean_of_the_last_games_against_agent_steps_and_time(make_run):
    scores = np.arange(20.0)
    figure, axes = draw(make_run("run", scores, every=1000))
    assert len(axes) == 8
    steps, time = line(axes[0], 20), line(axes[4], 20)
    np.testing.assert_allclose(steps[:, 1], moving_mean(scores, 3))
    np.testing.assert_allclose(steps[:, 0], 1000 * np.arange(1, 21))
    np.testing.assert_allclose(time[:, 0], np.arange(1, 21))
    np.testing.assert_allclose(time[:, 1], steps[:, 1])
    assert "mean of the last 3 training games" in texts(figure)
    assert "1 agent step = 4 frames" in texts(figure)


def test_evaluations_stand_where_they_were_made_on_both_axes(make_run):
    _, axes = draw(make_run("run", np.zeros(10), every=3600))
    for panel, at in ((axes[0], 36_000), (axes[4], 36)):
        diamonds = [x for x in panel.lines if x.get_marker() == "D"]
        np.testing.assert_allclose(diamonds[0].get_xydata(), [[at, 7.5]])


def test_loss_mean_q_and_epsilon_have_a_panel_each(make_run):
    _, axes = draw(make_run("run", np.zeros(5)))
    assert [a.get_ylabel() for a in axes[1:4]] == ["loss", "mean Q", "epsilon"]
    np.testing.assert_allclose(line(axes[1], 5)[:, 1], [0.01, 0.02, 0.03, 0.04, 0.05])
    np.testing.assert_allclose(line(axes[2], 5)[:, 1], [0.0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(line(axes[3], 5)[:, 1], [0.9, 0.8, 0.7, 0.6, 0.5])
    assert axes[3].get_xlabel() == "agent steps"


@pytest.mark.parametrize(
    ("seconds", "unit", "size"),
    [(170, "seconds", 1), (181, "minutes", 60), (11_000, "hours", 3600)],
)
def test_time_is_written_in_the_unit_of_the_runs_length(make_run, seconds, unit, size):
    _, axes = draw(make_run("run", np.zeros(10), every=100 * seconds))
    assert axes[7].get_xlabel() == f"{unit} of wall-clock time"
    assert line(axes[4], 10)[-1, 0] == pytest.approx(seconds / size)


@pytest.mark.parametrize("seconds", [0.4, 10_000, 1_000_000])
def test_labels_of_time_are_short_and_differ(make_run, seconds):
    figure, axes = draw(make_run("run", np.zeros(10), every=int(100 * seconds)))
    FigureCanvasAgg(figure).draw()
    labels = [label.get_text() for label in axes[7].get_xticklabels()]
    assert len(labels) == len(set(labels)) > 2
    assert max(map(len, labels)) <= 5
    boxes = [label.get_window_extent() for label in axes[7].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_the_axis_of_epsilon_goes_from_zero_to_one(make_run):
    _, axes = draw(make_run("run", np.zeros(5)))
    for panel in (axes[3], axes[7]):
        assert panel.get_yticks().tolist() == [0, 0.5, 1]
        assert panel.get_ylim()[1] > 1


def test_one_frame_is_not_frames(make_run):
    figure, _ = draw(make_run("run", np.zeros(5), frame_skip=1))
    assert "1 agent step = 1 frame." in texts(figure)


def test_smoothed_loss_and_q_lie_within_the_values_around(make_run):
    folder = make_run("run", np.zeros(30))
    _, axes = draw(folder, rows=5.0)
    for panel in axes[1:3]:
        thin, thick = (x.get_ydata() for x in sorted(panel.lines, key=lambda x: x.get_linewidth()))
        for i in range(30):
            around = thin[max(0, i - 2) : i + 3]
            assert around.min() - 1e-12 <= thick[i] <= around.max() + 1e-12
        np.testing.assert_allclose(thick, thin)  # both rise by the same amount in every row
    assert "mean of 5 rows of progress.csv around each" in texts(axes[0].figure)


def test_every_game_has_a_score_axis_of_its_own(make_run):
    pong = make_run("a", np.full(5, -20.0), game="pong"), make_run("b", np.full(5, -21.0), game="ALE/Pong-v5", seed=2)
    figure, axes = draw(*pong, make_run("c", np.full(7, 400.0), game="breakout"))
    labels = [panel.get_ylabel() for panel in axes[:5]]
    assert labels == ["pong: score (points)", "breakout: score (points)", "loss", "mean Q", "epsilon"]
    assert line(axes[1], 7)[:, 1].tolist() == [400.0] * 7
    assert sum(x.get_linestyle() == "-" for x in axes[0].lines) == 2
    assert axes[0].get_ylim()[1] < 10 < 400 < axes[1].get_ylim()[1]
    assert axes[0].get_xlim()[1] < axes[1].get_xlim()[1]
    assert "each score has its own axes" in texts(figure)
    assert {x.get_color() for x in axes[0].lines}.isdisjoint({x.get_color() for x in axes[1].lines})


def test_seeds_become_a_mean_with_a_band_as_far_as_all_of_them_have_come(make_run):
    a, b = make_run("a", np.zeros(10), seed=1), make_run("b", np.full(6, 4.0), seed=2)
    figure, axes = draw(a, b, games=1)
    mean = line(axes[0], 400)
    np.testing.assert_allclose(mean[:, 1], 2.0)
    assert (mean[0, 0], mean[-1, 0]) == (1000, 6000)
    edges = axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (0.0, 4.0)
    assert "band = lowest to highest run" in texts(figure)
    assert "seeds 1, 2; 10,000 agent steps" in figure.legends[0].get_texts()[0].get_text()


def test_the_caption_says_when_the_band_is_an_interval(make_run):
    figure, axes = draw(make_run("a", np.zeros(4), seed=1), make_run("b", np.ones(4), seed=2), band="interval", games=1)
    assert "95% interval of the mean" in texts(figure)
    edges = axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(0.5 + 12.706 * 0.5, abs=0.01)


def test_a_run_without_a_finished_game_says_so(make_run, tmp_path):
    folder = make_run("run")
    for name in ("episodes.csv", "progress.csv", "evaluations.csv"):
        (folder / name).unlink()
    figure, axes = draw(folder)
    assert axes[0].texts[0].get_text() == "no finished game yet"
    assert axes[1].texts[0].get_text() == "no update yet"
    assert "0 agent steps" in figure.legends[0].get_texts()[0].get_text()
    for path in plot_runs([folder], tmp_path / "x"):
        assert path.stat().st_size > 1000


def test_a_single_game_is_a_visible_dot(make_run):
    _, axes = draw(make_run("run", [5.0]))
    assert line(axes[0], 1).tolist() == [[1000.0, 5.0]]
    assert any(x.get_marker() == "o" for x in axes[0].lines)


def test_rows_without_a_loss_yet_are_left_out(make_run):
    folder = make_run("run", np.zeros(4))
    text = (folder / "progress.csv").read_text().replace(",0.01,0.0,", ",nan,,").replace(",0.02,0.1,", ",nan,nan,")
    (folder / "progress.csv").write_text(text)
    _, axes = draw(folder)
    assert line(axes[1], 2)[:, 0].tolist() == [3000, 4000]


def test_a_long_run_shows_every_kth_game_and_says_which(make_run):
    figure, axes = draw(make_run("run", np.zeros(4000), every=10))
    dots = next(x for x in axes[0].lines if x.get_marker() == ".")
    assert len(dots.get_xdata()) == 1334 <= MOST_DOTS
    assert "single games (1 in 3)" in texts(figure)


def test_a_long_run_is_drawn_in_little_time(make_run, tmp_path):
    rng = np.random.default_rng(0)
    folders = [make_run(f"run{seed}", rng.normal(size=5000), seed=seed) for seed in (1, 2)]
    before = time.process_time()
    plot_runs(folders, tmp_path / "x")
    assert time.process_time() - before < 3.0  # measured: 0.8 s; a training run waits for this


def test_drawing_needs_no_pyplot_and_so_no_global_state(make_run, tmp_path):
    code = (
        "import sys, pathlib\n"
        "from pixelq.viewing.plots import plot_runs\n"
        "plot_runs([pathlib.Path(sys.argv[1])], pathlib.Path(sys.argv[2]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    arguments = [str(make_run("run", [1.0, 2.0])), str(tmp_path / "x")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    assert (tmp_path / "x.png").is_file()


def test_a_wide_interval_leaves_the_picture_and_does_not_flatten_the_curves(make_run):
    _, axes = draw(*(make_run(f"s{seed}", [10.0 * seed] * 8, seed=seed) for seed in (1, 2)), band="interval")
    extents = [path.get_extents().height for band in axes[0].collections for path in band.get_paths()]
    assert max(extents) > 100
    low, high = axes[0].get_ylim()
    assert 6 < low < 8  # below the evaluations
    assert 20 < high < 22
