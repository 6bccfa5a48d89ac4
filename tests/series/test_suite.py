"""A suite's folder: what was begun in it, what a later command may change, and what it compares."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from pixelq.cli import main
from pixelq.recipes.choice import configure
from pixelq.recipes.length import decided_by_length
from pixelq.recipes.reading import read_config, write_config
from pixelq.series.run_facts import make_run
from pixelq.series.side_by_side import Job, prepared, room
from pixelq.series.suite import read_suite
from pixelq.series.suite_scores import Cell

GAMES = '[games."MinAtar/Breakout-v0"]\n[games."MinAtar/Asterix-v0"]\n'


class Ran:
    """What a command would have trained, and what it compared."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.compared: list[Cell] = []


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Suites in this folder begin their runs (a folder with its config.toml each) and train none of them."""
    seen = Ran()

    def run_all(jobs: Sequence[Job], *_: object, **__: object) -> tuple[list[object], None]:
        seen.jobs = list(jobs)
        return [], None

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pixelq.series.suite.run_all", run_all)
    monkeypatch.setattr("pixelq.series.suite.report_suite", lambda _, __, cells: setattr(seen, "compared", cells))
    Path("two.toml").write_text(GAMES)
    return seen


def suite(line: str) -> int:
    return main(["suite", "two.toml", "--run-dir", "folder", *shlex.split(line)])


def trained(folder: Path) -> None:
    """As if every run had come to agent step 1,000."""
    for run in folder.rglob("seed-*"):
        (run / "checkpoints/step-000000001000").mkdir(parents=True)


def names(cells: Sequence[Cell]) -> list[tuple[str, int]]:
    return sorted({(cell.algorithm, cell.seed) for cell in cells})


def test_a_later_command_trains_what_it_names_and_compares_all_that_the_folder_holds(ran: Ran) -> None:
    assert suite("--recipe 'A: minatar-dqn' --also 'B: minatar-dqn --double' --seeds 1-2") == 0
    assert suite("--recipe 'C: minatar-dqn --dueling' --seeds 3") == 0
    assert len(ran.jobs) == 2  # two games
    assert names(ran.compared) == [("A", 1), ("A", 2), ("B", 1), ("B", 2), ("C", 3)]
    assert main(["resume", "folder"]) == 0
    assert len(ran.jobs) == 10  # what was named, not every algorithm with every seed


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("A: minatar-dqn", "A: minatar-dqn --n-step 3", "begun with n_step 1, and now it is 3"),
        ("A: minatar-dqn", "a: minatar-dqn", "would share a folder"),
        ("A: minatar --steps 5000", "A: minatar --steps 6000", "decides the learning rate"),
        (
            "A: minatar-dqn --prioritized --steps 5000",
            "A: minatar-dqn --prioritized --steps 6000",
            "decides how sampler prioritized draws",
        ),
    ],
)
def test_a_run_is_never_continued_or_shown_under_another_configuration(
    first: str, second: str, said: str, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite(f"--recipe '{first}'") == 0
    trained(Path("folder"))
    before = {path: path.read_bytes() for path in Path("folder").rglob("*.toml")}
    assert suite(f"--recipe '{second}'") == 2
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path("folder").rglob("*.toml")} == before


def test_one_that_was_left_out_in_between_is_still_held_to_how_it_was_begun(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite("--recipe 'A: minatar-dqn' --also 'B: minatar-dqn --double'") == 0
    assert suite("--recipe 'A: minatar-dqn'") == 0
    assert suite("--recipe 'A: minatar-dqn' --also 'B: minatar-dqn --dueling'") == 2
    assert "B on MinAtar/Breakout-v0 was begun with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("--recipe minatar-dqn", "--recipe minatar-dqn --learning-rate 0.001", "begun with learning_rate 0.00025"),
        ("--recipe minatar --steps 5000", "--recipe minatar --steps 6000", "decides the learning rate"),
    ],
)
def test_other_seeds_of_an_algorithm_are_held_to_the_configuration_of_those_before(
    first: str, second: str, said: str, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite(f"{first} --seeds 1") == 0
    trained(Path("folder"))
    assert suite(f"{second} --seeds 2") == 2
    assert said in capsys.readouterr().err
    assert not list(Path("folder").rglob("seed-2"))


def test_a_length_that_nothing_was_trained_with_may_be_corrected(ran: Ran) -> None:
    assert suite("--recipe minatar --steps 5000") == 0
    assert suite("--recipe minatar --steps 6000") == 0
    assert {job.steps for job in ran.jobs} == {6000}
    assert all(job.options[-2:] == ("--steps", "6000") for job in ran.jobs)


def test_what_a_person_changed_in_one_run_does_not_stop_the_suite(ran: Ran) -> None:
    line = "--recipe minatar-dqn --seeds 1"
    assert suite(line) == 0
    for run in Path("folder").rglob("seed-1"):
        config = read_config(run / "config.toml")
        write_config(dataclasses.replace(config, checkpoint_every=5, learning_rate=0.1), run / "config.toml")
    assert suite(line) == 0


def test_a_constant_learning_rate_allows_another_length(ran: Ran) -> None:
    assert suite("--recipe 'A: minatar-dqn' --steps 5000") == 0
    assert suite("--recipe 'A: minatar-dqn' --steps 6000") == 0
    assert {job.steps for job in ran.jobs} == {6000}
    assert {config.steps for config in read_suite(Path("folder")).configs.values()} == {6000}


def test_a_run_that_has_begun_takes_the_device_that_is_named_now(tmp_path: Path) -> None:
    config = configure("MinAtar/Breakout-v0", "minatar-dqn", {"device": "cpu"})
    make_run(config, tmp_path / "run")
    share = room([config], 1, 1, 1)
    assert "--device" not in prepared("run", config, tmp_path / "run", share).options
    named = configure("MinAtar/Breakout-v0", "minatar-dqn", {"device": "cuda"})
    assert prepared("run", named, tmp_path / "run", share).options[-2:] == ("--device", "cuda")


class NoSmallOne:
    """A sampler of a person's own that needs some room, and plans for the run's length."""

    def __init__(self, num_envs: int, size: int, options: object) -> None:
        if size < 10:
            raise ValueError("too small")

    def planned(self, agent_steps: int, every: int) -> None:
        """Told, and used for whatever it likes."""


def test_a_sampler_that_cannot_be_tried_is_taken_to_plan_if_it_is_told_the_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = configure("MinAtar/Breakout-v0", "minatar-dqn")
    assert decided_by_length(config) == []
    monkeypatch.setattr("pixelq.replay.samplers.uniform.Sampler", NoSmallOne)
    assert decided_by_length(config) == ["how sampler uniform draws"]
