"""Every command on a run of a game that is not an Atari game: CartPole, from training to its video."""

import contextlib
import csv
import io
import json
from pathlib import Path

import av
import pytest

import pixelq
from pixelq.cli import main
from pixelq.recipes.reading import read_config
from pixelq.viewing.protocol import PUBLISHED
from small_runs import at_agent_step, facts, terminate

OPTIONS = [
    "--num-envs",
    "4",
    "--rollout-length",
    "8",
    "--batch-size",
    "16",
    "--steps",
    "640",
    "--log-every",
    "64",
    "--checkpoint-every",
    "128",
    "--eval-every",
    "320",
    "--eval-episodes",
    "3",
    "--threads",
    "1",
    "--device",
    "cpu",
]


def trained(game: str, folder: Path) -> Path:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", game, *OPTIONS, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real, finished run of CartPole by its own recipe, cut short."""
    return trained("CartPole-v1", tmp_path_factory.mktemp("runs") / "cartpole")


def test_a_run_has_the_games_own_recipe_and_the_files_of_any_run(run: Path) -> None:
    config = (run / "config.toml").read_text()
    assert 'game = "CartPole-v1"' in config
    assert 'recipe = "cartpole"' in config
    for name in ("progress.csv", "episodes.csv", "evaluations.csv", "best/policy.safetensors", "plots/progress.png"):
        assert (run / name).stat().st_size > 0
    with (run / "episodes.csv").open() as file:
        for row in csv.DictReader(file):
            assert float(row["score"]) == float(row["length"])  # CartPole pays 1 for every agent step


def test_eval_reports_it_without_human_scores(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run), "--episodes", "5", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "random agent, measured here" in out
    assert "human" not in out
    assert "published" not in out
    assert main(["eval", str(run), "--episodes", "5", "--threads", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((run / "eval.json").read_text())
    assert report["human_normalized"] is report["human_published"] is report["random_agent_published"] is None
    assert 8 < report["random_agent_measured"] < 60
    assert len(report["games"]) == 5
    assert report["mean"] == sum(game["score"] for game in report["games"]) / 5


def test_record_uses_the_games_own_rate(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", str(run), "--seed", "4"]) == 0
    video = run / "videos" / "best-seed4.mp4"
    line = capsys.readouterr().out
    with av.open(str(video)) as opened:
        stream = opened.streams.video[0]
        frames = sum(1 for _ in opened.decode(stream))
        assert float(stream.average_rate or 0) == 50.0
        assert (stream.height, stream.width) == (446, 920)
    assert line == f"{video}: score {frames - 1} in {frames - 1} agent steps\n"
    slow, gif = video.with_name("slow.mp4"), video.with_name("a.gif")
    assert main(["record", str(run), "--fps", "30", "--out", str(slow), "--view", "--max-agent-steps", "5"]) == 0
    assert main(["record", str(run), "--out", str(gif), "--max-agent-steps", "4"]) == 0
    for path, pictures in ((slow, 4), (gif, 3)):  # the first state, after every second agent step, and the last
        with av.open(str(path)) as opened:
            assert sum(1 for _ in opened.decode(video=0)) == pictures
    assert main(["record", str(run), "--saliency", "gradient"]) == 2
    assert "4 numbers; leave --saliency out" in capsys.readouterr().err


def test_compare_puts_it_beside_published_scores_though_there_is_no_curve(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(run)]) == 0
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "CartPole-v1: final scores" in out
    assert "rl-baselines3-zoo" in out
    assert "sticky" not in out
    assert (run / "plots" / "compare.png").stat().st_size > 10_000
    assert main(["compare", str(run), "--reference", str(PUBLISHED / "dopamine_curves.csv")]) == 2
    assert "no curve of CartPole-v1" in capsys.readouterr().err


def test_plot_verify_and_resume_take_it(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(run), "--out", str(tmp_path / "figure")]) == 0
    assert (tmp_path / "figure.png").is_file()
    assert main(["verify", str(run)]) == 0
    assert main(["resume", str(run), "--steps", "704"]) == 0
    assert "done at agent step 704" in capsys.readouterr().out


def test_a_policy_loaded_in_python_plays_it(run: Path) -> None:
    agent = pixelq.load(run)
    envs = pixelq.make_envs(agent.config, num_envs=3, seed=1)
    observations, _ = envs.reset()
    actions = agent.act(observations)
    assert actions.shape == (3,)
    assert agent.act(observations[0]).tolist() == actions[:1].tolist()
    envs.close()


def test_the_parallel_loop_learns_by_another_loss_and_is_resumed_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", "CartPole-v1", "--loss", "dqn", "--error", "squared", *OPTIONS, "--deterministic", "--run-dir"]
    assert main([*command, str(tmp_path / "unbroken")]) == 0
    with at_agent_step(monkeypatch, 300, terminate):
        assert main([*command, str(tmp_path / "broken")]) == 143
    assert main(["resume", str(tmp_path / "broken")]) == 0
    unbroken = facts(tmp_path / "unbroken")
    assert facts(tmp_path / "broken") == unbroken
    config = read_config(tmp_path / "broken" / "config.toml")
    assert (config.loop, config.loss, config.target) == ("parallel", "dqn", "none")
    assert config.loss_options == {"error": "squared"}
    assert unbroken["last"] == "step-000000000640"
    by_pqn = ["train", "CartPole-v1", *OPTIONS, "--deterministic", "--run-dir", str(tmp_path / "pqn")]
    assert main(by_pqn) == 0
    assert facts(tmp_path / "pqn")["network"] != unbroken["network"]


@pytest.mark.parametrize("game", ["FrozenLake-v1", "MinAtar/Breakout-v1", "MiniGrid-Empty-5x5-v0", "LunarLander-v3"])
def test_other_games_train_without_a_word_more(game: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(game, tmp_path / "run")
    assert main(["record", str(run), "--max-agent-steps", "20"]) == 0
    assert main(["eval", str(run), "--episodes", "2", "--threads", "1"]) == 0
    assert game in capsys.readouterr().out


@pytest.mark.parametrize("recipe", ["cartpole", "minatar", "gymnasium-pixels"])
def test_doctor_knows_what_their_recipes_need(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--recipe", recipe, "--json"])
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert f"recipe {recipe} needs about" in findings["memory"]["detail"]
