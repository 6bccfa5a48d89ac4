"""Mistakes in `pixelq sweep`, `pixelq suite` and `--seeds`: one line, exit code 2, nothing written."""

import shlex
from pathlib import Path

import pytest

from pixelq.cli import main
from pixelq.cli.own_options import own_options
from pixelq.cli.suite import Args
from pixelq.config import Config
from pixelq.recipes.choice import configure
from pixelq.series.folder import SeriesFolder, read_series
from pixelq.series.side_by_side import room
from pixelq.series.suite import MINATAR, Suite

SWEEP = "sweep minatar-dqn --game MinAtar/Breakout-v0"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sweep", "which recipe"),
        ("sweep minatar-dqn --over gamma=0.9:0.99", "--game is missing"),
        (f"{SWEEP}", "nothing to vary"),
        (f"{SWEEP} --over gama=0.9:0.99", "did you mean gamma"),
        (f"{SWEEP} --over gamma=0.99:0.9", "not below"),
        (f"{SWEEP} --over gamma=0.9:1.5", "gamma"),
        (f"{SWEEP} --over gamma=0.9:0.99 --trials 0", "--trials 0"),
        (f"{SWEEP} --over gamma=0.9:0.99 --trial 5", "--trial,"),
        (f"{SWEEP} --over gamma=0.9:0.99 --eval-every 0 --objective evaluation", "evaluation"),
        (f"{SWEEP} --over", "--over needs a value"),
        ("sweep --resume nowhere", "nowhere"),
        ("sweep --resume nowhere --trials 5", "nothing else"),
        ("suite", "which suite"),
        ("suite minatr", "did you mean minatar"),
        ("suite none.toml", "none.toml"),
        ("suite minatar --recipe minatar-dq", "minatar-dqn"),
        ("suite minatar --recipe minatar-dqn --also minatar-dqn", "named twice"),
        ("suite minatar --recipe minatar-dqn --also 'minatar-dqn --loss nothing'", "nothing"),
        ("suite minatar --recipe 'one: minatar-dqn' --also 'one: minatar-dqn --double'", "'one' is named twice"),
        ("suite minatar --recipe '::: minatar-dqn'", "a letter or a digit"),
        (f"suite minatar --recipe '{'x' * 201}: minatar-dqn'", "at most 200"),
        ("suite minatar --recipe minatar-dqn --seeds 3-1", "no seed"),
        ("suite minatar --recipe minatar-dqn --seed=3", "--seeds of its own"),
        ("suite minatar --recipe minatar-dqn --hours 0", "--hours 0"),
        ("suite minatar --recipe minatar-dqn --gamma 2", "gamma"),
        ("train pong --seeds 1-x", "no seed"),
        ("train pong --seeds 1-3 --seed 1", "leave one of them out"),
        ("train pong --seeds 1-3 --profile", "--profile"),
        ("train pong --seeds 1-3 --gamma 2", "gamma"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("games = []", "names no games"),
        ("games = ['pong']\nrecip = 'default'", "did you mean recipe"),
        ("games = ['pong']\nrecipe = 3", "recipe must be text"),
        ("[games.pong]\nsteps = 3", "the same for all games"),
        ("[games.pong]\ngama = 0.9", "gama"),
        ("[games.nothing_like_it]", "nothing_like_it"),
        ("[games", "not valid TOML"),
    ],
)
def test_a_mistake_in_a_suites_file_is_one_line(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(text)
    assert main(["suite", "mine.toml"]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_options_of_a_suites_own_are_told_from_those_of_train() -> None:
    words = ["--recipe", "minatar-dqn --double", "--steps", "5", "--also=--loss c51", "--also", "--double", "--noisy"]
    own, rest = own_options(Args, words, "suite")
    assert own == ["--recipe=minatar-dqn --double", "--also=--loss c51", "--also=--double"]
    assert rest == ["--steps", "5", "--noisy"]


def test_each_algorithm_of_a_suite_is_its_recipe_with_its_options_on_every_game(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Suite] = []
    monkeypatch.setattr("pixelq.series.suite.start_suite", lambda suite, run_dir: made.append(suite) or 0)
    line = "suite minatar --recipe minatar-dqn --also 'minatar-dqn --double --n-step 3' --also stream-q-minatar"
    assert main([*shlex.split(line), "--steps", "700", "--seeds", "2,4"]) == 0
    (suite,) = made
    algorithms = ("minatar-dqn", "minatar-dqn --double --n-step 3", "stream-q-minatar")
    assert list(suite.configs) == [(algorithm, game) for algorithm in algorithms for game in MINATAR]
    config = suite.configs[algorithms[1], MINATAR[0]]
    assert (config.loss, config.n_step, config.steps, config.game) == ("double", 3, 700, MINATAR[0])
    assert suite.configs[algorithms[2], MINATAR[1]].loop == "stream"
    assert set(suite.seeds.values()) == {(2, 4)}


def test_an_algorithm_has_the_name_that_stands_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Suite] = []
    monkeypatch.setattr("pixelq.series.suite.start_suite", lambda suite, run_dir: made.append(suite) or 0)
    line = "suite minatar --recipe 'DQN: minatar-dqn' --also 'Double, 3 steps: minatar-dqn --double --n-step 3'"
    assert main(shlex.split(line)) == 0
    (suite,) = made
    assert list(dict.fromkeys(algorithm for algorithm, _ in suite.configs)) == ["DQN", "Double, 3 steps"]
    config = suite.configs["Double, 3 steps", MINATAR[0]]
    assert (config.loss, config.n_step) == ("double", 3)


def test_what_a_folder_says_reads_back_as_the_same_configurations(tmp_path: Path) -> None:
    configs: dict[str, Config] = {
        "a": configure("ALE/Pong-v5", "dopamine-rainbow", {"sticky_actions": 0.0}),
        "b": configure("CartPole-v1", None, {"stop_score": 400.0}),
    }
    with SeriesFolder(tmp_path) as series:
        series.write("seeds", configs, seeds=[1])
        assert main(["resume", str(tmp_path)]) == 2  # this process has it
    assert read_series(tmp_path)["configs"] == configs


def test_cores_and_memory_decide_how_many_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configure("pong", "nature2015")
    monkeypatch.setattr("pixelq.series.side_by_side.available_cores", lambda: 8)
    monkeypatch.setattr("pixelq.series.side_by_side.memory_needed", lambda config: 2 * 10**9)
    monkeypatch.setattr("pixelq.series.side_by_side.available_memory", lambda: None)
    found = [room([config], *numbers) for numbers in ((20,), (3,), (20, 4), (20, 0, 5))]
    assert [(one.at_once, one.threads) for one in found] == [(8, 1), (3, 2), (2, 4), (5, 1)]
    monkeypatch.setattr("pixelq.series.side_by_side.available_memory", lambda: 5 * 10**9)
    assert room([config], 20).at_once == 2
    assert room([config], 20).threads == 4
    monkeypatch.setattr("pixelq.series.side_by_side.available_memory", lambda: 10**9)
    assert room([config], 20).at_once == 1  # which says itself that there is too little
