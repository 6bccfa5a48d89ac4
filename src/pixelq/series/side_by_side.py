"""Several runs at once, each a process of its own, within the machine's cores and memory."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pixelq
from pixelq.command_lines import IMPORTED
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.machine.cores import available_cores
from pixelq.machine.memory import available_memory, memory_needed
from pixelq.recipes.reading import read_config
from pixelq.runs.folder_lock import FolderLock
from pixelq.runs.signals import stopped_by_signals
from pixelq.series.run_facts import make_run, standing

POLL_SECONDS = 0.2
LEAST_TURN = 60.0
"""Seconds a run is given before another one takes its place: starting anew costs some seconds."""
TURNS = 4
"""Turns that each run gets within a limited time."""
TELL_AFTER = 5.0
"""Seconds that a run waits for another process in its folder before a person is told."""
PATIENCE_AFTER_INTERRUPT = 10.0
"""Seconds until processes are killed where a person has asked a second time."""

End = Literal["done", "stopped", "failed"]


@dataclass(frozen=True)
class Job:
    """A run that is to be begun or continued in its folder, which has a `config.toml`."""

    name: str
    """For a person, unique within the job."""
    folder: Path
    steps: int
    """Its length, in agent steps."""
    options: tuple[str, ...] = ()
    """Of `pixelq resume`."""


@dataclass(frozen=True)
class Outcome:
    """How a run's process ended."""

    job: Job
    end: End
    message: str = ""
    """Of one that failed: why, in a line."""


@dataclass(frozen=True)
class Room:
    """What runs get that are at work at once."""

    at_once: int
    threads: int
    """Of each."""
    memory: int
    """Bytes that each takes, about; 0 where a person has named how many are at work at once."""


def room(configs: Iterable[Config], runs: int, threads: int = 0, at_once: int = 0) -> Room:
    """How many runs are at work at once, and with how many threads.

    Args:
        configs: of the runs, one of each kind; the largest decides.
        runs: how many there are.
        threads: of each, as a person named it; 0: the cores are shared evenly.
        at_once: as a person named it; 0: one a core, or fewer where threads or memory need it.
    """
    needed = 0 if at_once else max(memory_needed(config) for config in configs)
    cores, available = available_cores(), available_memory()
    if not at_once:
        at_once = max(1, cores // threads) if threads else cores
        if available is not None:
            at_once = min(at_once, max(1, available // needed))
    at_once = max(1, min(at_once, runs))
    return Room(at_once, threads or max(1, cores // at_once), needed)


def prepared(name: str, config: Config, folder: Path, room: Room) -> Job:
    """A run in its folder, which is made if it is not there, with the threads and on the device that it gets.

    A deterministic run keeps the number it began with: sums are added up in another order with another one.

    Raises:
        UserError: the folder is taken by something else, or cannot be written.
    """
    make_run(dataclasses.replace(config, threads=room.threads), folder)
    options = () if config.deterministic else ("--threads", str(room.threads))
    if config.device not in ("auto", _device_so_far(folder, config)):
        options = (*options, "--device", config.device)
    return Job(name, folder, config.steps, options)


def _device_so_far(folder: Path, config: Config) -> str:
    try:
        return read_config(folder / "config.toml", known=()).device
    except UserError:  # damaged: the run itself says so
        return config.device


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes] | None
    """None while another process, most likely one whose parent was killed a moment ago, still trains in its folder."""
    begun: float = field(default_factory=time.monotonic)
    asked_to_stop: bool = False
    told: bool = False
    """Whether a person knows that it waits."""


class SideBySide:
    """Processes of runs: started, watched and stopped.

    Args:
        logs: folder of their output, a file for each.
        tell: takes a line for a person.
    """

    def __init__(self, logs: Path, tell: Callable[[str], None] = lambda text: None) -> None:
        self._logs = logs
        self._tell = tell
        self._running: dict[str, _Running] = {}

    @property
    def jobs(self) -> list[Job]:
        """Those that are at work."""
        return [running.job for running in self._running.values()]

    def seconds(self, job: Job) -> float:
        """How long a run has been at work in its present turn."""
        return time.monotonic() - self._running[job.name].begun

    def log(self, job: Job) -> Path:
        """The file with a run's output."""
        return self._logs / f"{job.name.replace('/', '_').replace(' ', '-')}.log"

    def start(self, job: Job) -> None:
        """Begin or continue a run; if another process trains in its folder, as soon as that has ended."""
        self._running[job.name] = _Running(job, None)
        self._begin(self._running[job.name])

    def stop(self, job: Job) -> None:
        """Ask a run to write a checkpoint and end."""
        running = self._running[job.name]
        if not running.asked_to_stop:
            running.asked_to_stop = True
            if running.process is not None and running.process.stdin is not None:
                with suppress(OSError):
                    running.process.stdin.close()

    def poll(self) -> list[Outcome]:
        """Those that have ended since the last call."""
        ended = []
        for running in list(self._running.values()):
            if running.process is None and not running.asked_to_stop:
                self._begin(running)
            if running.process is None and not running.asked_to_stop:
                continue
            code = 0 if running.process is None else running.process.poll()
            if code is None:
                continue
            del self._running[running.job.name]
            with suppress(OSError):
                if running.process is not None and running.process.stdin is not None:
                    running.process.stdin.close()
            ended.append(self._outcome(running, code))
        return ended

    def stop_all(self) -> list[Outcome]:
        """Ask all to write checkpoints and end, and wait for them; a second Ctrl-C kills those that are left."""
        for job in self.jobs:
            self.stop(job)
        ended = []
        try:
            while self._running:
                ended += self.poll()
                time.sleep(POLL_SECONDS / 4)
        except KeyboardInterrupt:
            self.kill_all()
            raise
        return ended

    def kill_all(self) -> None:
        """Wait a moment for those that are left, and kill them."""
        deadline = time.monotonic() + PATIENCE_AFTER_INTERRUPT
        for running in self._running.values():
            if running.process is not None:
                try:
                    running.process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    running.process.kill()
                    running.process.wait()
        self._running.clear()

    def _begin(self, running: _Running) -> None:
        job = running.job
        try:
            FolderLock(job.folder).close()
        except BlockingIOError:
            if not running.told and time.monotonic() - running.begun > TELL_AFTER:
                running.told = True
                self._tell(f"{job.name}: another process still trains in {job.folder}; waiting for its end")
            return
        except OSError:
            pass  # the run itself says what is wrong with its folder
        self._logs.mkdir(parents=True, exist_ok=True)
        imports = [word for module in IMPORTED for word in ("--import", module)]
        command = [sys.executable, "-m", "pixelq.series.child", *imports, "resume", str(job.folder), *job.options]
        # This pixelq, wherever it was imported from; the current folder, for modules of a person's own.
        paths = [str(Path(pixelq.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        with self.log(job).open("ab") as log:
            running.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        running.begun = time.monotonic()

    def _outcome(self, running: _Running, code: int) -> Outcome:
        # 128 and the signal's number: a checkpoint was written. Below 0: so early that there was nothing to write.
        if running.process is None or code > 128 or (running.asked_to_stop and code < 0):
            return Outcome(running.job, "stopped")
        if code == 0:
            return Outcome(running.job, "done")
        return Outcome(running.job, "failed", f"{_last_words(self.log(running.job))} (exit code {code})")


def _last_words(log: Path) -> str:
    """Why a run failed, in the words of its last line."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        lines = []
    said = [line for line in lines if line]
    own = [line.removeprefix("pixelq: ") for line in said[-3:] if line.startswith("pixelq: ")]
    return own[-1] if own else (said[-1] if said else "it said nothing")


def run_all(
    jobs: Sequence[Job],
    room: Room,
    logs: Path,
    *,
    seconds: float | None = None,
    tell: Callable[[str], None] = lambda text: None,
    look: Callable[[Sequence[Job], Sequence[Outcome]], None] = lambda running, ended: None,
) -> tuple[list[Outcome], int | None]:
    """Run all to their ends, or until a signal or the end of the time stops them, with checkpoints.

    With limited time and more runs than fit at once they take turns, the one that is least far first, so that all are
    about as far when the time is over. One that fails does not stop the others.

    Args:
        jobs: in the order in which they are begun.
        room: how many are at work at once.
        logs: folder of their output.
        seconds: after which all are stopped; None: no limit.
        tell: takes a line for a person.
        look: called several times a second with those at work, and those that have ended.

    Returns:
        How each ended (the last time), and the signal that stopped all, or None.
    """
    side_by_side = SideBySide(logs, tell)
    waiting, ended = list(jobs), {}
    stopping = False
    begun = time.monotonic()
    turn = None if seconds is None else max(LEAST_TURN, seconds * room.at_once / max(1, len(jobs)) / TURNS)

    def request_stop() -> None:
        nonlocal stopping
        stopping = True

    with stopped_by_signals(request_stop) as received:
        try:
            while (waiting or side_by_side.jobs) and not stopping:
                while waiting and len(side_by_side.jobs) < room.at_once and _memory_for_one_more(side_by_side, room):
                    side_by_side.start(waiting.pop(0))
                for outcome in side_by_side.poll():
                    if outcome.end == "stopped" and not stopping and turn is not None:
                        waiting.append(outcome.job)
                        waiting.sort(key=lambda job: standing(job.folder).agent_steps / max(1, job.steps))
                        continue
                    ended[outcome.job.name] = outcome
                    _tell_outcome(outcome, side_by_side, tell)
                if seconds is not None and time.monotonic() - begun >= seconds:
                    break
                if turn is not None and waiting:
                    for job in side_by_side.jobs:
                        if side_by_side.seconds(job) >= turn:
                            side_by_side.stop(job)
                look(side_by_side.jobs, list(ended.values()))
                time.sleep(POLL_SECONDS)
        except BaseException:
            for job in side_by_side.jobs:
                side_by_side.stop(job)
            side_by_side.kill_all()
            raise
        for outcome in side_by_side.stop_all():
            ended[outcome.job.name] = outcome
            if outcome.end == "failed":
                _tell_outcome(outcome, side_by_side, tell)
    for job in waiting:
        ended.setdefault(job.name, Outcome(job, "stopped"))
    return [ended[job.name] for job in jobs if job.name in ended], received[0] if received else None


def _memory_for_one_more(side_by_side: SideBySide, room: Room) -> bool:
    """Whether another run has room beside those at work; one alone always has, for it says itself if there is none."""
    if not side_by_side.jobs:
        return True
    # What those that have just begun will take is not taken yet.
    beginning = sum(standing(job.folder).agent_steps == 0 for job in side_by_side.jobs)
    available = available_memory()
    return available is None or available >= (1 + beginning) * room.memory


def _tell_outcome(outcome: Outcome, side_by_side: SideBySide, tell: Callable[[str], None]) -> None:
    if outcome.end == "failed":
        tell(f"{outcome.job.name} failed: {outcome.message}; its output is in {side_by_side.log(outcome.job)}")
    elif outcome.end == "done":
        at = standing(outcome.job.folder)
        score = "" if at.mean_score != at.mean_score else f", mean of the last 100 games {at.mean_score:.1f}"
        tell(f"{outcome.job.name} is done{score}")
