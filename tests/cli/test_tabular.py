import csv
import importlib.util
import json
import re

import pytest

from pixelq.cli import main
from pixelq.tabular.table_run import load_table


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run folder of a lake that the command has learned."""
    folder = tmp_path_factory.mktemp("tabular") / "run"
    assert main(["tabular", "FrozenLake-v1", "--no-slippery", "--run-dir", str(folder), "--episodes", "5"]) == 0
    return folder


def test_a_lake_is_learned_compared_and_kept(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["tabular", "FrozenLake-v1", "--no-slippery", "--episodes", "50", "--run-dir", str(folder)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"agent step +[36],000: mean of 20 greedy episodes 1\.000, the best so far", out)
    assert "learned: above the stop score 0.8 at agent step" in out
    assert re.search(r"learned table, greedy +│ +1\.0000", out)
    assert "50 episodes: mean 1.0000" in out
    assert "total 1 points in 6 agent steps" in out
    made = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert made == {
        "tabular.toml",
        "evaluations.csv",
        "comparison.json",
        "best/q_table.safetensors",
        "final/q_table.safetensors",
        "plots/q_table.png",
    }
    assert json.loads((folder / "comparison.json").read_text())["measured"]["episodes"] == 50


def test_a_run_folder_is_played_again(run, capsys):
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    assert main(["tabular", str(run), "--episodes", "7"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("FrozenLake-v1, best table of")
    assert "7 episodes: mean 1.0000" in out
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


def test_the_same_seed_learns_the_same_table(tmp_path, capsys):
    def learned(name, seed):
        folder = tmp_path / name
        options = ["--steps", "2000", "--test-every", "500", "--episodes", "3", "--stop-score", "2"]
        assert main(["tabular", "FrozenLake-v1", "--seed", seed, "--run-dir", str(folder), *options]) == 0
        texts = [(folder / name).read_text() for name in ("evaluations.csv", "comparison.json")]
        return texts, load_table(folder, "final").table.tolist()

    assert learned("a", "3") == learned("b", "3")
    assert learned("c", "4")[1] != learned("d", "3")[1]
    assert "not above the stop score 2 in 2,000 agent steps" in capsys.readouterr().out


def test_options_reach_learning(tmp_path, capsys):
    options = ["--steps", "700", "--test-every", "300", "--test-episodes", "4", "--stop-score", "-1000"]
    assert main(["tabular", "CliffWalking-v1", *options, "--run-dir", str(tmp_path / "a"), "--episodes", "2"]) == 0
    with (tmp_path / "a" / "evaluations.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["agent_steps"], row["episodes"]) == ("300", "4")
    assert "learned: above the stop score -1000 at agent step 300" in capsys.readouterr().out
    options = ["--gamma", "0.5", "--epsilon", "0.3", "--alpha", "0.7", "--max-episode-steps", "9", "--steps", "40"]
    assert main(["tabular", "FrozenLake-v1", *options, "--run-dir", str(tmp_path / "b"), "--episodes", "2"]) == 0
    text = (tmp_path / "b" / "tabular.toml").read_text()
    for line in ("gamma = 0.5", "epsilon = 0.3", "alpha = 0.7", "limit = 9", "steps = 40"):
        assert line in text
    assert "optimal at gamma 0.5" in capsys.readouterr().out


def test_a_run_is_named_like_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tabular", "FrozenLake-v1", "--steps", "50", "--episodes", "2", "--seed", "9"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"frozenlake_v1-tabular-9-\d{8}-\d{6}", folder.name)


@pytest.mark.parametrize(
    ("game", "policy", "total"),
    [
        ("FrozenLake-v1", "always-left", r"total 0 points"),
        ("CliffWalking-v1", "left-right", r"total -\d{4,5} points in 200 agent steps; cut at the limit"),
        ("CliffWalking-v1", "0", r"total -200 points in 200 agent steps"),
        ("Taxi-v3", "pickup", r"total -\d+ points in 200 agent steps"),
        ("FrozenLake-v1", "random", r"total [01] points"),
    ],
)
def test_a_handwritten_policy_shows_its_trace_and_its_total(tmp_path, monkeypatch, capsys, game, policy, total):
    monkeypatch.chdir(tmp_path)
    assert main(["tabular", game, "--policy", policy, "--episodes", "3", "--trace-steps", "4"]) == 0
    out = capsys.readouterr().out
    assert re.search(total, out)
    assert re.search(r"^ +1  .*: \w+, reward", out, re.M)
    assert "3 episodes: mean" in out
    assert re.search(r"exactly: expected score -?[\d.]+, success rate [01]\.\d{4}", out)
    assert list(tmp_path.iterdir()) == []


def test_taxi_v3_says_what_it_is_called_now(capsys):
    import gymnasium

    if "Taxi-v3" in gymnasium.registry:
        pytest.skip("this Gymnasium still has Taxi-v3")
    assert main(["tabular", "Taxi-v3", "--policy", "random", "--episodes", "1"]) == 0
    assert capsys.readouterr().out.startswith("Taxi-v3 is called Taxi-v4 in the installed Gymnasium\n")


@pytest.mark.skipif(
    importlib.util.find_spec("pygame") is None, reason="a video needs pygame: pip install 'pixelq[toy-text]'"
)
@pytest.mark.parametrize("player", ["{run}", "FrozenLake-v1 --policy random"])
def test_the_episode_becomes_a_video(run, tmp_path, capsys, player):
    video = tmp_path / "new" / "video.mp4"
    assert main(["tabular", *player.format(run=run).split(), "--episodes", "2", "--video", str(video)]) == 0
    assert video.stat().st_size > 1000
    assert f"{video}: this episode as a video" in capsys.readouterr().out


def test_a_video_without_pygame_is_refused_before_anything_is_learned(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["tabular", "FrozenLake-v1", "--video", "a.mp4"]) == 2
    assert "python -m pip install 'pixelq[toy-text]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which game?"),
        (["Pendulum-v1"], "its actions are continuous"),
        (["CartPole-v1"], "its observations are continuous"),
        (["Blackjack-v1"], "its observations are of a Tuple space"),
        (["FrozenLak-v1"], "did you mean FrozenLake-v1"),
        (["Taxi-v3", "--no-slippery"], "has no slippery form"),
        (["FrozenLake-v1", "--alpha", "0"], "--alpha 0 is out of range"),
        (["FrozenLake-v1", "--gamma", "1.1"], "--gamma 1.1 is out of range"),
        (["FrozenLake-v1", "--epsilon", "-1"], "--epsilon -1 is out of range"),
        (["FrozenLake-v1", "--steps", "0"], "--steps 0 is out of range"),
        (["FrozenLake-v1", "--steps", "many"], "--steps"),
        (["FrozenLake-v1", "--episodes", "0"], "--episodes 0 is out of range"),
        (["FrozenLake-v1", "--trace-steps", "0"], "--trace-steps 0 is out of range"),
        (["FrozenLake-v1", "--seed", "-1"], "--seed -1 is out of range"),
        (["FrozenLake-v1", "--max-episode-steps", "0"], "--max-episode-steps 0 is out of range"),
        (["FrozenLake-v1", "--policy", "jump"], "no such policy or action"),
        (["FrozenLake-v1", "--policy", "random", "--alpha", "0.5"], "--alpha has no effect here: --policy random"),
        (["FrozenLake-v1", "--run-dir", "{run}"], "already taken"),
        (["FrozenLake-v1", "--run-dir", "{run}/tabular.toml/x"], "cannot make the run folder"),
        (["{run}", "--gamma", "0.5"], "--gamma has no effect here"),
        (["{run}", "--no-slippery"], "--no-slippery has no effect here"),
        (["{run}", "--policy", "random"], "--policy has no effect here"),
        (["{empty}"], "not a run of `pixelq tabular`"),
        (["{run}/best"], "not a run of `pixelq tabular`"),
        (["x" * 5000], "unknown environment"),
        (["--help-me"], "--help-me"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    before = sorted(run.rglob("*")), sorted(tmp_path.rglob("*"))
    assert main(["tabular", *(a.format(run=run, empty=tmp_path / "empty") for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert (sorted(run.rglob("*")), sorted(tmp_path.rglob("*"))) == before
