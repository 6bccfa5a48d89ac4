"""The table of `train --seeds`: all at one agent step, the means with Student's t."""

import csv
import math
import statistics
from pathlib import Path

import pytest

from pixelq.config import Config
from pixelq.series.seeds import SeedRow, _report, seed_rows
from pixelq.viewing.curves import read_run
from small_reports import written_run


def evaluated(run: Path, means: dict[int, float], *, ended: bool = False) -> Path:
    """The run with these evaluations: agent step -> mean; as one that has come to its end, if it has."""
    rows = [f"{step},10,{mean},1,6,9,7" for step, mean in means.items()]
    (run / "evaluations.csv").write_text("\n".join(["agent_steps,episodes,mean,std,min,max,median", *rows, ""]))
    if ended:
        (run / "final").mkdir()
    return run


def test_seeds_are_compared_at_the_agent_step_that_all_have_reached_and_one_far_behind_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {1: [1.0] * 11 + [500.0], 2: [3.0] * 11, 3: [90.0]}
    tests = {1: {500_000: 40.0, 1_000_000: 20.0, 1_200_000: 70.0}, 2: {500_000: 10.0, 1_000_000: 30.0}, 3: {}}
    runs = {
        seed: read_run(evaluated(written_run(tmp_path / f"seed-{seed}", s, every=100_000, seed=seed), tests[seed]))
        for seed, s in scores.items()
    }
    step, rows = seed_rows(runs)
    assert step == 1_100_000
    assert rows[:2] == [SeedRow(1, 1_200_000, 1.0, 20.0), SeedRow(2, 1_100_000, 3.0, 30.0)]
    assert rows[2].agent_steps == 100_000
    assert math.isnan(rows[2].score)

    _report(tmp_path, Config(), runs)
    out = " ".join(capsys.readouterr().out.split())
    half = 12.706 * statistics.stdev([1, 3]) / math.sqrt(2)
    assert f"2.00 ({2 - half:.2f} to {2 + half:.2f})" in out
    assert "Scores and evaluations by agent step 1,100,000" in out
    assert "left out, not as far as agent step 1,100,000 with a finished game: seed 3 (100,000)" in out
    assert "best" not in out
    with (tmp_path / "seeds.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["compared_at"] for row in table] == ["1100000"] * 3
    assert [row["last_evaluation"] for row in table] == ["20.0", "30.0", ""]


def test_a_run_that_a_score_ended_early_is_not_left_out(tmp_path: Path) -> None:
    early = evaluated(written_run(tmp_path / "a", [9.0, 9.0], every=100_000, stop_score=5.0), {}, ended=True)
    late = [written_run(tmp_path / name, [1.0] * 12, every=100_000, stop_score=5.0) for name in "bc"]
    step, rows = seed_rows(dict(enumerate(map(read_run, (early, *late)))))
    assert step == 200_000
    assert [row.score for row in rows] == [9.0, 1.0, 1.0]


def test_runs_without_a_finished_game_have_dashes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    young = read_run(written_run(tmp_path / "young", []))
    step, rows = seed_rows({1: young, 2: None})
    assert step == 0
    assert all(math.isnan(row.score) for row in rows)
    _report(tmp_path, Config(), {1: young, 2: None})
    assert "left out" not in capsys.readouterr().out
