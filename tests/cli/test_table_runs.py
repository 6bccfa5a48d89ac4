"""`eval` and `record` work on a Q-table's run folder as on a run of `pixelq train`."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

import pixelq
from pixelq.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A learned lake that is not slippery."""
    folder = tmp_path_factory.mktemp("tabular") / "run"
    assert main(["tabular", "FrozenLake-v1", "--no-slippery", "--run-dir", str(folder), "--episodes", "5"]) == 0
    return folder


def test_eval_compares_the_table_with_the_optimum_and_writes_the_games(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(run), "--episodes", "7"]) == 0
    out = capsys.readouterr().out
    assert "FrozenLake-v1, best table of" in out
    assert "optimal at gamma 0.9 (value iteration)" in out
    assert "7 episodes: mean 1.0000" in out
    report = json.loads((run / "eval.json").read_text())
    assert (report["epsilon"], report["mean"], len(report["games"])) == (0.0, 1.0, 7)
    assert report["comparison"]["success_learned"] == 1.0


def test_evals_options_reach_the_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--episodes", "200", "--epsilon", "1", "--policy", "final", "--seed", "3", "--json"]
    assert main(["eval", str(run), *options]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["mean"] < 0.1  # at random the lake is crossed once in 70
    assert first["policy"].endswith("final/q_table.safetensors")
    assert main(["eval", str(run), *options]) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_record_makes_a_video_of_the_table(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", str(run)]) == 0
    video = run / "videos" / "best-seed0.mp4"
    assert capsys.readouterr().out == f"{video}: score 1 in 6 agent steps\n"
    with av.open(str(video)) as opened:
        assert sum(1 for _ in opened.decode(opened.streams.video[0])) > 6
    assert main(["record", str(run), "--episodes", "2", "--out", str(tmp_path / "a.mp4")]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-1.mp4", "a-2.mp4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["record", "{run}", "--fps", "30"], "--fps has no effect"),
        (["record", "{run}", "--max-agent-steps", "3"], "--max-agent-steps has no effect"),
        (["record", "{run}", "--epsilon", "2"], "--epsilon 2 is out of range"),
        (["record", "{run}", "--policy", "worst"], "a Q-table's run has best and final"),
        (["eval", "{run}", "--epsilon", "2"], "--epsilon 2.0 is out of range"),
        (["eval", "{run}", "--episodes", "0"], "--episodes 0 is out of range"),
    ],
)
def test_a_mistake_is_one_line(
    run: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(run=run) for word in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_load_gives_a_player_with_the_same_act(run: Path) -> None:
    agent = pixelq.load(run)
    assert agent.act(np.array([14, 13])).tolist() == [2, 2]  # right, to the goal
    assert agent.q_values(np.array([14])).shape == (1, 4)
