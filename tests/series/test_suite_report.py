"""What a suite reports, from run folders whose scores were written by hand."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pixelq.config import Config
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import write_config
from pixelq.runs.evaluation import random_and_human
from pixelq.series.atari5 import COEFFICIENTS, predicted_median
from pixelq.series.suite_curves import interquartile_curve
from pixelq.series.suite_report import report_suite
from pixelq.series.suite_scores import Cell, human_ends, scale_of
from pixelq.viewing.protocol import PUBLISHED
from pixelq.viewing.reference import read_curves


def written_run(folder: Path, algorithm: str, game: str, seed: int, scores: dict[int, float], config: Config) -> Cell:
    """A run's folder with games that ended at these agent steps, and its cell."""
    path = folder / algorithm / game.replace("/", "_") / f"seed-{seed}"
    path.mkdir(parents=True)
    write_config(dataclasses.replace(config, seed=seed), path / "config.toml")
    rows = "".join(f"{step},0,{score},10,{step / 100}\n" for step, score in scores.items())
    (path / "episodes.csv").write_text(f"agent_step,environment,score,length,seconds\n{rows}", encoding="ascii")
    header = "agent_steps,frames,episodes,updates,mean_score_100,loss,mean_q,epsilon,learning_rate"
    last = max(scores)
    row = f"{last},{4 * last},{len(scores)},0,{scores[last]},,,1.0,0.1,1.0,1.0"
    (path / "progress.csv").write_text(f"{header},agent_steps_per_second,seconds\n{row}\n", encoding="ascii")
    return Cell(algorithm, game, seed, path, config)


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="ascii") as lines:
        return list(csv.DictReader(lines))


def value(folder: Path, algorithm: str, statistic: str) -> tuple[float, float, float]:
    (row,) = (
        row
        for row in rows_of(folder / "aggregates.csv")
        if (row["algorithm"], row["statistic"]) == (algorithm, statistic)
    )
    return float(row["value"]), float(row["low"] or "nan"), float(row["high"] or "nan")


def test_atari_5_is_human_normalized_and_stands_beside_the_published_at_the_same_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells, steps = [], 500_000  # two million frames
    for game in COEFFICIENTS:
        config = configure(game, "dopamine", {"steps": steps})
        cells += [written_run(tmp_path, "dopamine", game, seed, {steps: 1000.0 * seed}, config) for seed in (1, 2, 3)]
    report_suite(tmp_path, "atari-5", cells)
    shown = capsys.readouterr().out
    assert "human-normalized" in shown
    rows = rows_of(tmp_path / "scores.csv")
    battle = next(row for row in rows if (row["game"], row["seed"]) == ("battle_zone", "2"))
    # DQN Zoo's table: 2360 of a random agent, 37187.5 of a human.
    assert float(battle["normalized"]) == pytest.approx((2000 - 2360) / (37187.5 - 2360))
    iqm, low, high = value(tmp_path, "dopamine", "interquartile mean")
    ordered = np.sort([float(row["normalized"]) for row in rows])
    assert iqm == pytest.approx(ordered[3:12].mean())
    assert low < iqm < high
    games = [np.array([float(row["normalized"]) for row in rows if row["game"] == game]) for game in COEFFICIENTS]
    predicted = value(tmp_path, "dopamine", "predicted median of 57 games")
    assert predicted[0] == pytest.approx(float(predicted_median(games)))
    assert "published: Dopamine's C51" in shown
    words = " ".join(shown.split())
    assert "protocol: Dopamine's C51, Dopamine's DQN" in words
    assert "played as these runs; they differ in network" in words
    curves = [read_curves(PUBLISHED / "dopamine_curves.csv", game)["Rainbow"] for game in COEFFICIENTS]
    human = [random_and_human(game) or (0.0, 0.0) for game in COEFFICIENTS]
    second = [curve.mean[curve.million_frames == 2] for curve in curves]  # two million frames
    normalized = sorted(float(m[0] - low) / (high - low) for m, (low, high) in zip(second, human, strict=True))
    published = value(tmp_path, "published: Dopamine's Rainbow", "interquartile mean")
    assert published[0] == pytest.approx(np.mean(normalized[1:4]))
    assert np.isnan(published[1])
    assert (tmp_path / "suite.png").stat().st_size > 10_000
    assert (tmp_path / "suite.svg").is_file()


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (6_500_000, "many frames, in a straight line between its points at 20 and 30 million frames."),
        (100_000, "of pong its points go from 1 to 190 million frames, these are 0.4"),
    ],
)
def test_a_suite_says_where_published_agents_were_read_or_why_none_stands_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, steps: int, words: str
) -> None:
    monkeypatch.setattr("pixelq.series.suite_report.write_figure", lambda figure, out: ())
    cell = written_run(tmp_path, "default", "pong", 1, {steps: 10.0}, configure("pong", "default", {"steps": steps}))
    report_suite(tmp_path, "one", [cell])
    shown = " ".join(capsys.readouterr().out.split())
    assert words in shown
    published = {row["algorithm"] for row in rows_of(tmp_path / "aggregates.csv")} - {"default"}
    assert ("published: Dopamine's Rainbow" in published) is (steps > 250_000)
    assert ("published, but not beside these runs: Dopamine's" in shown) is (steps < 250_000)


def minatar_cells(folder: Path, scores: dict[str, dict[str, list[dict[int, float]]]]) -> list[Cell]:
    config = configure("MinAtar/Breakout-v0", "minatar-dqn", {"steps": 1000})
    return [
        written_run(folder, algorithm, game, seed, run, dataclasses.replace(config, game=game))
        for algorithm, games in scores.items()
        for game, runs in games.items()
        for seed, run in enumerate(runs)
    ]


def test_minatar_is_normalized_by_the_lowest_and_the_highest_compared_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = "MinAtar/Breakout-v0", "MinAtar/Freeway-v0"
    cells = minatar_cells(
        tmp_path,
        {
            "dqn": {first: [{1000: 2.0}, {1000: 4.0}], second: [{1000: 10.0}, {1000: 30.0}]},
            "c51": {first: [{1000: 6.0}, {1000: 10.0}], second: [{1000: 20.0}, {1000: 50.0}]},
        },
    )
    report_suite(tmp_path, "minatar", cells)
    shown = capsys.readouterr().out
    assert "min-max" in shown
    # dqn: 0, 0.25 and 0, 0.5; c51: 0.5, 1 and 0.25, 1.
    assert value(tmp_path, "dqn", "interquartile mean")[0] == pytest.approx((0 + 0.25) / 2)
    assert value(tmp_path, "c51", "interquartile mean")[0] == pytest.approx((0.5 + 1) / 2)
    assert value(tmp_path, "c51", "median")[0] == pytest.approx((0.75 + 0.625) / 2)


def test_all_are_compared_at_the_agent_step_that_all_have_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game = "MinAtar/Breakout-v0"
    scores = {"dqn": {game: [{500: 1.0, 800: 5.0, 1000: 100.0}, {600: 3.0, 810: 90.0}, {100: 7.0}]}}
    report_suite(tmp_path, "minatar", minatar_cells(tmp_path, scores))
    shown = capsys.readouterr().out
    assert "by agent step 810" in shown
    assert "1 of 3 runs" in shown  # less than half as far as the others
    assert [float(row["mean_score_100"]) for row in rows_of(tmp_path / "scores.csv")] == [3.0, 46.5]
    assert "nothing to normalize by" in shown


def test_an_algorithm_that_lacks_a_game_has_no_aggregates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = "MinAtar/Breakout-v0", "MinAtar/Freeway-v0"
    scores = {
        "dqn": {first: [{1000: 2.0}, {1000: 4.0}], second: [{1000: 10.0}, {1000: 30.0}]},
        "c51": {first: [{1000: 6.0}]},
    }
    report_suite(tmp_path, "minatar", minatar_cells(tmp_path, scores))
    assert "c51: no seed has a score of every game" in capsys.readouterr().out
    assert {row["algorithm"] for row in rows_of(tmp_path / "aggregates.csv")} == {"dqn"}


def test_a_game_and_an_algorithm_that_are_in_no_table_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = "MinAtar/Breakout-v0", "MinAtar/Freeway-v0"
    scores = {"dqn": {first: [{1000: 2.0}], second: [{2000: 1.0}]}, "c51": {first: [{2000: 6.0}]}}
    report_suite(tmp_path, "minatar", minatar_cells(tmp_path, scores))  # games that ended after agent step 1,000
    words = " ".join(capsys.readouterr().out.split())
    assert f"without any score yet, and so in no table and no aggregate: {second}, c51" in words


def test_nothing_to_report_before_a_run_has_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configure("MinAtar/Breakout-v0", "minatar-dqn")
    report_suite(tmp_path, "minatar", [Cell("dqn", config.game, 1, tmp_path / "dqn", config)])
    assert "nothing to compare" in capsys.readouterr().out
    assert not (tmp_path / "scores.csv").exists()


def test_games_where_all_scored_the_same_are_zero_on_the_scale() -> None:
    table = {"a": {"MinAtar/Breakout-v0": np.array([3.0, 3.0])}, "b": {"MinAtar/Breakout-v0": np.array([3.0])}}
    scale = scale_of(table, {})
    assert scale is not None
    assert scale.normalized("MinAtar/Breakout-v0", np.array([3.0])).tolist() == [0.0]


def test_the_curves_end_in_the_scores_and_the_interquartile_means_of_the_tables(tmp_path: Path) -> None:
    first, second = "MinAtar/Breakout-v0", "MinAtar/Freeway-v0"
    generator = np.random.default_rng(0)

    def run() -> dict[int, float]:
        return {5 * k: float(generator.normal(k / 10, 3)) for k in range(1, 201)}

    scores = {name: {game: [run() for _ in range(3)] for game in (first, second)} for name in ("dqn", "c51")}
    report_suite(tmp_path, "minatar", minatar_cells(tmp_path, scores))
    rows = rows_of(tmp_path / "curves.csv")
    steps = [name for name in rows[0] if name.isdecimal()]
    assert steps == [str(50 * k) for k in range(1, 21)]
    assert len(rows) == 12
    for row in rows:
        games = scores[row["algorithm"]][row["game"]][int(row["seed"])]
        for step in steps:  # the mean of the last 100 games that ended by then
            ended = [score for at, score in games.items() if at <= int(step)][-100:]
            assert float(row[step]) == pytest.approx(sum(ended) / len(ended), rel=1e-3, abs=1e-4)
    scale = {game: [float(row["1000"]) for row in rows if row["game"] == game] for game in (first, second)}
    pooled = sorted(
        (float(row["1000"]) - min(scale[row["game"]])) / (max(scale[row["game"]]) - min(scale[row["game"]]))
        for row in rows
        if row["algorithm"] == "c51"
    )
    assert value(tmp_path, "c51", "interquartile mean")[0] == pytest.approx(np.mean(pooled[1:5]), abs=1e-3)
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_a_run_has_no_score_before_its_first_game_ends(tmp_path: Path) -> None:
    game = "MinAtar/Breakout-v0"
    scores = {"dqn": {game: [{700: 4.0, 1000: 8.0}]}, "c51": {game: [{100: 1.0, 1000: 2.0}]}}
    report_suite(tmp_path, "minatar", minatar_cells(tmp_path, scores))
    dqn, c51 = rows_of(tmp_path / "curves.csv")
    assert (dqn["650"], dqn["700"], dqn["950"], dqn["1000"]) == ("", "4", "4", "6")
    assert (c51["50"], c51["100"]) == ("", "1")


def test_a_name_that_looks_like_a_formula_or_like_markup_is_written_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game, name = "MinAtar/Breakout-v0", r"$\bad$ [red]one[/]"
    scores = {name: {game: [{1000: 2.0}, {1000: 4.0}]}, "c51": {game: [{1000: 6.0}, {1000: 10.0}]}}
    report_suite(tmp_path, "mine", minatar_cells(tmp_path, scores))
    assert name in capsys.readouterr().out
    assert name in (tmp_path / "suite.svg").read_text(encoding="utf-8")


def test_each_game_is_compared_at_its_own_agent_step_where_their_runs_have_other_lengths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short, long = "MinAtar/Breakout-v0", "MinAtar/Freeway-v0"
    scores = {
        "dqn": {short: [{100: 2.0}, {100: 4.0}], long: [{500: 10.0, 1000: 90.0}, {700: 30.0}]},
        "c51": {short: [{100: 6.0}, {100: 10.0}], long: [{600: 20.0, 900: 90.0}, {700: 50.0}]},
    }
    cells = [
        dataclasses.replace(cell, config=dataclasses.replace(cell.config, steps=100 if cell.game == short else 1000))
        for cell in minatar_cells(tmp_path, scores)
    ]
    report_suite(tmp_path, "two", cells)
    assert "by 100" in " ".join(capsys.readouterr().out.split())
    rows = {(row["algorithm"], row["game"], row["seed"]): row for row in rows_of(tmp_path / "scores.csv")}
    assert {row["agent_step"] for (_, game, _), row in rows.items() if game == short} == {"100"}
    assert {row["agent_step"] for (_, game, _), row in rows.items() if game == long} == {"700"}
    assert float(rows["dqn", long, "0"]["mean_score_100"]) == 10.0
    assert {row["agent_step"] for row in rows_of(tmp_path / "aggregates.csv")} == {""}
    assert "100%" in rows_of(tmp_path / "curves.csv")[0]


def test_a_seed_that_lacks_a_game_is_in_no_aggregate_so_that_each_game_counts_as_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = "MinAtar/Breakout-v0", "MinAtar/Freeway-v0"
    scores = {
        "dqn": {first: [{1000: 0.0}, {1000: 4.0}, {1000: 10.0}], second: [{1000: 0.0}, {1000: 5.0}]},
        "c51": {first: [{1000: 6.0}, {1000: 10.0}], second: [{1000: 5.0}, {1000: 10.0}]},
    }
    report_suite(tmp_path, "minatar", minatar_cells(tmp_path, scores))
    assert "1 runs whose seeds lack a game" in " ".join(capsys.readouterr().out.split())
    # 0, 0.4 and 0, 0.5; the third seed of the first game, 1.0, has no other game beside it.
    assert value(tmp_path, "dqn", "mean")[0] == pytest.approx((0.2 + 0.25) / 2)
    assert len([row for row in rows_of(tmp_path / "scores.csv") if row["algorithm"] == "dqn"]) == 5


def test_another_mode_of_a_game_is_not_normalized_by_scores_of_the_usual_one() -> None:
    usual = configure("pong", "dopamine")
    other = dataclasses.replace(usual, env_kwargs={"mode": 1})
    cells = [Cell("a", "pong", 1, Path("a"), usual), Cell("b", "pong", 1, Path("b"), other)]
    assert human_ends(cells[:1]) == {"pong": random_and_human("pong")}
    assert human_ends(cells) == {}


def test_a_run_without_a_game_yet_does_not_count_as_the_best() -> None:
    runs = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [np.nan, 9.0]])
    curve = interquartile_curve([runs], np.random.default_rng(0))
    assert np.isnan(curve.value[0])
    assert curve.value[1] == 2.5


def test_a_run_that_is_to_become_longer_is_compared_where_the_shorter_ones_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game = "MinAtar/Breakout-v0"
    scores = {
        "short": {game: [{200: 2.0}, {200: 4.0}]},
        "long": {game: [{150: 6.0, 900: 50.0}, {190: 10.0, 900: 50.0}]},
    }
    lengths = {"short": 200, "long": 2000}
    cells = [
        dataclasses.replace(cell, config=dataclasses.replace(cell.config, steps=lengths[cell.algorithm]))
        for cell in minatar_cells(tmp_path, scores)
    ]
    report_suite(tmp_path, "two", cells)
    assert "left out" not in capsys.readouterr().out
    found = {(row["algorithm"], row["seed"]): float(row["mean_score_100"]) for row in rows_of(tmp_path / "scores.csv")}
    assert found == {("short", "0"): 2.0, ("short", "1"): 4.0, ("long", "0"): 6.0, ("long", "1"): 10.0}
