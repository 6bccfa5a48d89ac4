"""Which run is at work when, with processes and a clock that are made of numbers."""

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from pixelq.recipes.choice import configure
from pixelq.series import side_by_side
from pixelq.series.run_facts import Standing
from pixelq.series.side_by_side import Job, Outcome, Room, room, run_all


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Processes:
    """Stands for `SideBySide`: each run makes one agent step a second while it is at work."""

    def __init__(self, clock: Clock, fails: str = "") -> None:
        self.clock, self.fails = clock, fails
        self.jobs: list[Job] = []
        self.made: dict[str, float] = {}
        self.begun: dict[str, float] = {}
        self.stopping: set[str] = set()
        self.most = 0
        self.turns: list[str] = []

    def start(self, job: Job) -> None:
        self.jobs.append(job)
        self.turns.append(job.name)
        self.begun[job.name] = self.clock.now
        self.most = max(self.most, len(self.jobs))

    def seconds(self, job: Job) -> float:
        return self.clock.now - self.begun[job.name]

    def stop(self, job: Job) -> None:
        self.stopping.add(job.name)

    def log(self, job: Job) -> Path:
        return Path(job.name)

    def reached(self, job: Job) -> float:
        at_work = self.seconds(job) if job in self.jobs else 0.0
        return self.made.get(job.name, 0.0) + at_work

    def poll(self) -> list[Outcome]:
        ended = []
        for job in list(self.jobs):
            done, stopped = self.reached(job) >= job.steps, job.name in self.stopping
            if done or stopped or job.name == self.fails:
                self.made[job.name] = self.reached(job)
                self.jobs.remove(job)
                self.stopping.discard(job.name)
                end = "failed" if job.name == self.fails else "done" if done else "stopped"
                ended.append(Outcome(job, end, "it fell" if end == "failed" else ""))
        return ended

    def stop_all(self) -> list[Outcome]:
        for job in self.jobs:
            self.stop(job)
        return self.poll()

    kill_all = stop_all


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    clock = Clock()
    made = Processes(clock)
    monkeypatch.setattr(side_by_side, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep))
    monkeypatch.setattr(side_by_side, "SideBySide", lambda logs, tell: made)
    monkeypatch.setattr(side_by_side, "available_memory", lambda: None)
    jobs = {f"run {i}": Job(f"run {i}", Path(f"run {i}"), 1000) for i in range(6)}
    monkeypatch.setattr(
        side_by_side, "standing", lambda folder: Standing(int(made.reached(jobs[str(folder)])), float("nan"))
    )
    return made


def jobs_of(steps: int, number: int = 6) -> list[Job]:
    return [Job(f"run {i}", Path(f"run {i}"), steps) for i in range(number)]


def test_all_run_to_their_ends_in_their_order_as_many_at_once_as_there_is_room_for(processes: Processes) -> None:
    outcomes, stopped_by = run_all(jobs_of(1000), Room(2, 1, 10**9), Path("logs"))
    assert [(outcome.job.name, outcome.end) for outcome in outcomes] == [(f"run {i}", "done") for i in range(6)]
    assert processes.turns == [f"run {i}" for i in range(6)]
    assert processes.most == 2
    assert stopped_by is None


def test_with_too_little_time_all_get_turns_and_are_about_equally_far_in_the_end(processes: Processes) -> None:
    outcomes, _ = run_all(jobs_of(1000), Room(2, 1, 10**9), Path("logs"), seconds=1200)
    assert {outcome.end for outcome in outcomes} == {"stopped"}
    assert len(outcomes) == 6
    # Two at once make 2,400 agent steps in that time, 400 of each, in turns of 100 seconds.
    assert sum(processes.made.values()) == pytest.approx(2400, rel=0.05)
    assert max(processes.made.values()) - min(processes.made.values()) <= 110
    assert all(processes.turns.count(f"run {i}") >= 3 for i in range(6))


def test_with_time_enough_none_is_stopped_before_its_end(processes: Processes) -> None:
    outcomes, _ = run_all(jobs_of(1000, 2), Room(2, 1, 10**9), Path("logs"), seconds=5000)
    assert [outcome.end for outcome in outcomes] == ["done", "done"]
    assert processes.turns == ["run 0", "run 1"]


def test_one_that_fails_is_told_in_a_line_and_stops_none_of_the_others(processes: Processes) -> None:
    processes.fails, told = "run 1", []
    outcomes, _ = run_all(jobs_of(1000, 4), Room(2, 1, 10**9), Path("logs"), tell=told.append)
    assert [outcome.end for outcome in outcomes] == ["done", "failed", "done", "done"]
    assert [line for line in told if "failed" in line] == ["run 1 failed: it fell; its output is in run 1"]


def test_none_is_begun_beside_others_while_memory_is_short(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free() -> int:
        """1.5 GB, of which each run takes 1 GB once it has begun to learn."""
        return 15 * 10**8 - 10**9 * sum(processes.reached(job) >= 1 for job in processes.jobs)

    monkeypatch.setattr(side_by_side, "available_memory", free)
    outcomes, _ = run_all(jobs_of(1000, 4), Room(2, 1, 10**9), Path("logs"))
    assert {outcome.end for outcome in outcomes} == {"done"}
    assert processes.most == 1


def test_a_number_that_a_person_has_named_is_taken_whatever_memory_is_free(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "available_memory", lambda: 10**9)
    share = room([configure("pong", "nature2015")], 6, at_once=3)
    run_all(jobs_of(1000), share, Path("logs"))
    assert processes.most == 3


@pytest.mark.usefixtures("signals_as_in_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_all_and_those_that_wait_count_as_stopped(processes: Processes, number: signal.Signals) -> None:
    def look(running: object, ended: object) -> None:
        if processes.clock.now > 100:
            signal.raise_signal(number)

    outcomes, stopped_by = run_all(jobs_of(1000, 4), Room(2, 1, 10**9), Path("logs"), look=look)
    assert stopped_by == number
    assert [outcome.end for outcome in outcomes] == ["stopped"] * 4
    assert processes.turns == ["run 0", "run 1"]
