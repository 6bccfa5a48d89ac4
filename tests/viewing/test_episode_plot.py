"""The figure of single games: dots, their mean over 100 games, the random agent's line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from pixelq.errors import UserError
from pixelq.runs.baseline import COLUMNS
from pixelq.viewing.curves import read_run, read_table
from pixelq.viewing.episode_plot import draw_episodes, plot_episodes


def with_baseline(folder: Path, scores: list[float], lengths: list[int]) -> Path:
    rows = [f"{i},{score},{length}" for i, (score, length) in enumerate(zip(scores, lengths, strict=True), start=1)]
    (folder / "baseline.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return folder


def draw(folder: Path) -> Figure:
    return draw_episodes(read_run(folder), read_table(folder / "baseline.csv", COLUMNS))


def curve(axes: Any, style: str) -> np.ndarray:
    (found,) = [line for line in axes.lines if line.get_linestyle() == style]
    return np.array(found.get_xydata())


def test_the_mean_is_over_the_last_hundred_games(make_run: Any) -> None:
    scores = np.random.default_rng(0).normal(size=250)
    reward, duration = draw(make_run("run", scores, every=70)).axes
    mean = [scores[max(0, i - 99) : i + 1].mean() for i in range(250)]
    np.testing.assert_allclose(curve(reward, "-"), np.stack([np.arange(1, 251), mean], axis=1))
    np.testing.assert_allclose(curve(duration, "-")[:, 1], 70)
    dots = [line for line in reward.lines if line.get_marker() == "."]
    np.testing.assert_allclose(dots[0].get_ydata(), scores)


def test_the_random_agents_means_are_lines_across_both_panels(make_run: Any) -> None:
    figure = draw(with_baseline(make_run("run", np.zeros(5)), [1.0, 2.0, 6.0], [10, 20, 60]))
    for axes, mean in zip(figure.axes, (3.0, 30.0), strict=True):
        np.testing.assert_allclose(curve(axes, "--")[:, 1], mean)
        assert f"random agent, mean of 3 games: {mean:.1f}" in [t.get_text() for t in axes.get_legend().get_texts()]


def test_a_run_that_still_trains_has_no_such_line(make_run: Any) -> None:
    for axes in draw(make_run("run", np.zeros(5))).axes:
        assert not [line for line in axes.lines if line.get_linestyle() == "--"]


def test_a_run_without_games_says_so(make_run: Any) -> None:
    for axes in draw(make_run("run", [])).axes:
        assert [t.get_text() for t in axes.texts] == ["no finished game yet"]


def test_the_figure_is_written_as_png_and_svg(make_run: Any, tmp_path: Path) -> None:
    folder = with_baseline(make_run("run", np.arange(30.0), frame_skip=1), [1.0], [2])
    png, svg = plot_episodes(folder, tmp_path / "plots" / "episodes.png")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "<svg" in svg.read_text()
    assert "1 agent step = 1 frame." in " ".join(t.get_text() for t in draw(folder).texts)


def test_a_damaged_baseline_is_one_line(make_run: Any, tmp_path: Path) -> None:
    folder = with_baseline(make_run("run", np.zeros(5)), [1.0], [2])
    with (folder / "baseline.csv").open("a") as file:
        file.write("2,nothing,3\n")
    with pytest.raises(UserError, match=r"baseline.csv line 3: score = 'nothing' is not a number"):
        plot_episodes(folder, tmp_path / "episodes.png")
