"""`pixelq.read_curves` and `Result`: a run's files as arrays."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

import pixelq
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import write_config
from pixelq.runs.curves import read_curves
from pixelq.runs.result import Result

EPISODES = "agent_step,environment,score,length,seconds\n100,0,3,100,1.5\n180,1,-1,180,2.5\n"
PROGRESS = (
    "agent_steps,frames,episodes,updates,mean_score_100,loss,mean_q,epsilon,learning_rate,agent_steps_per_second,seconds\n"
    "100,400,1,0,3,,,0.9,0.001,50,2\n200,800,2,25,1,0.5,2.5,0.8,0.001,100,3\n"
)
EVALUATIONS = "agent_steps,episodes,mean,std,min,max,median\n100,4,10,2,8,12,10\n200,1,7,0,7,7,7\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_config(configure("pong", "nature2015"), tmp_path / "config.toml")
    for name, text in (("episodes", EPISODES), ("progress", PROGRESS), ("evaluations", EVALUATIONS)):
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def test_every_array_is_its_column(run: Path) -> None:
    curves = read_curves(str(run))
    assert curves.agent_steps.tolist() == [100, 200]
    assert curves.agent_steps.dtype == curves.frames.dtype == curves.games.length.dtype == np.int64
    assert curves.frames.tolist() == [400, 800]
    assert math.isnan(curves.loss[0])
    assert (curves.loss[1], curves.q[1]) == (0.5, 2.5)
    assert curves.epsilon.tolist() == [0.9, 0.8]
    assert curves.learning_rate.tolist() == [0.001, 0.001]
    assert curves.steps_per_second.tolist() == [50, 100]
    assert (curves.updates.tolist(), curves.episodes.tolist()) == ([0, 25], [1, 2])
    assert (curves.mean_score.tolist(), curves.seconds.tolist()) == ([3, 1], [2, 3])
    games = curves.games
    assert (games.score.tolist(), games.length.tolist()) == ([3, -1], [100, 180])
    assert (games.agent_steps.tolist(), games.environment.tolist(), len(games)) == ([100, 180], [0, 1], 2)


def test_an_evaluation_has_students_interval_and_one_of_a_single_game_has_none(run: Path) -> None:
    evaluations = pixelq.read_curves(run).evaluations
    half = 3.182 * 2 / 2  # t of 3 degrees of freedom, s = 2, n = 4
    assert evaluations.low[0] == pytest.approx(10 - half)
    assert evaluations.high[0] == pytest.approx(10 + half)
    assert math.isnan(evaluations.low[1])
    assert evaluations.games.tolist() == [4, 1]


def test_they_say_what_they_are_in_a_line(run: Path) -> None:
    curves = read_curves(run)
    assert repr(curves) == f"<curves of {run}: 200 agent steps, {curves.games!r}, {curves.evaluations!r}>"
    assert repr(curves.games) == "<2 training games, mean of the last 2: 1>"
    assert repr(curves.evaluations) == "<2 evaluations: 7>"
    result = Result(run, 200, 1.0, None, "pong", complete=True, best_score=10.0)
    assert repr(result) == (f"<pong: 200 agent steps, complete, mean score of the last games 1, best policy 10; {run}>")
    assert "stopped by signal 15" in repr(Result(run, 200, math.nan, 15))


def test_a_run_that_has_written_nothing_yet_has_empty_curves(run: Path) -> None:
    for name in ("episodes", "progress", "evaluations"):
        (run / f"{name}.csv").unlink()
    curves = read_curves(run)
    assert (len(curves), len(curves.games), len(curves.evaluations)) == (0, 0, 0)
    assert "0 agent steps, <0 training games>, <0 evaluations>" in repr(curves)


def test_what_is_no_run_or_damaged_is_one_line(run: Path, tmp_path: Path) -> None:
    (run / "progress.csv").write_text(PROGRESS.replace("0.5", "x"))
    for folder, words in ((run, "loss = 'x' is not a number"), ("nowhere", "not a run folder"), (3, "is no path")):
        with pytest.raises(UserError, match=words) as caught:
            read_curves(folder)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_the_curves_of_a_run_with_a_strangers_torso_need_no_torso(run: Path) -> None:
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace('torso = "2015"', 'torso = "theirs"'))
    assert len(read_curves(run)) == 2
    (run / "config.toml").write_text(text.replace("frame_skip = 4", "frame_skip = 0"))
    with pytest.raises(UserError, match="frame_skip = 0 is out of range"):
        read_curves(run)


def test_data_frames_are_made_where_pandas_is(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="python -m pip install pandas"):
        read_curves(run).to_pandas()

    class Pandas:
        DataFrame = dict

    monkeypatch.setitem(sys.modules, "pandas", Pandas)
    frame = read_curves(run).games.to_pandas()
    assert list(frame) == ["agent_steps", "score", "length", "environment", "seconds"]
    assert list(Result(run, 200, 1.0, None).to_pandas())[:2] == ["agent_steps", "frames"]
