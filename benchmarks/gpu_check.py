"""All that pixelq has to be asked on a GPU, in one call of at most eight minutes: is it right there, and how fast.

    python benchmarks/gpu_check.py                                  # on a machine with a GPU
    python benchmarks/gpu_check.py --device cpu --out /tmp/check    # a dry run, everything tiny

Steps come in order of worth (`PLAN`). Each runs in a process of its own (gpu_steps.py) with a time limit; a case that
fails is written down with its traceback, and the rest of its step goes on in a new process. What no longer fits into
--minutes is skipped, and said to be. After every step --out holds gpu-check.json with all that was found so far, and
gpu-check.log with all that was printed. The status is 1 if anything failed. docs/gpu.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from keep_result import current_commit

HERE = Path(__file__).parent
FAILED = 3
"""Status of gpu_steps.py after a case that failed; the cases after it are still to be run."""
GRACE = 10.0
"""Seconds that a case may go on after its step's limit, before the process is killed."""
LEAST = {"cuda": 15.0, "cpu": 1.0}
"""Seconds under which no step is begun."""


@dataclass(frozen=True)
class Step:
    """One step of the plan."""

    name: str
    """In gpu_steps.py."""
    limit: float
    """Seconds after which it begins no further case."""
    sampled: bool = False
    """Whether nvidia-smi watches the card meanwhile."""


PLAN = (
    Step("environment", 20),
    Step("update", 45),
    Step("tests", 65),
    Step("throughput", 85, sampled=True),
    Step("pqn", 45, sampled=True),
    Step("kernels", 15),
    Step("variants", 40, sampled=True),
    Step("btr", 35, sampled=True),
    Step("pong", 130, sampled=True),
)


@dataclass(frozen=True)
class Goal:
    """What one H100 is to reach."""

    what: str
    step: str
    figure: str
    """Of the step's results."""
    bound: float
    at_most: bool = False

    def best(self, cases: dict[str, Any]) -> tuple[float, str] | None:
        """The step's best figure and its case; None if there is none."""
        results = {name: case.get("result", {}) for name, case in cases.items()}
        found = [(r[self.figure], name) for name, r in results.items() if self.figure in r and r.get("reached", True)]
        return (min if self.at_most else max)(found, default=None)

    def is_met_by(self, figure: float) -> bool:
        """Whether the figure is as good as the bound."""
        return figure <= self.bound if self.at_most else figure >= self.bound


GOALS = (
    Goal("cleanrl's work, agent steps/s", "throughput", "agent_steps_per_second", 10_000),
    Goal("PQN, agent steps/s", "pqn", "agent_steps_per_second", 30_000),
    Goal("Pong, minutes to a mean of 18", "pong", "minutes", 2.0, at_most=True),
)


# --- the card, while steps run ----------------------------------------------------------------------------------------

SAMPLED = {"power.draw": "watts", "utilization.gpu": "busy_percent", "memory.used": "memory_mib", "clocks.sm": "mhz"}


@contextlib.contextmanager
def watched(found: dict[str, Any]) -> Iterator[None]:
    """Inside, nvidia-smi looks at the card twice a second; `found` then has mean and maximum of what it saw."""
    if shutil.which("nvidia-smi") is None:
        found["skipped"] = "nvidia-smi is not there"
        yield
        return
    command = ["nvidia-smi", f"--query-gpu={','.join(SAMPLED)}", "--format=csv,noheader,nounits", "-lms", "500"]
    with tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait()
            file.seek(0)
            found |= summary(file.read())


def summary(lines: str) -> dict[str, Any]:
    """Mean and maximum of each column of nvidia-smi's lines; what is no number is left out."""
    found: dict[str, Any] = {"samples": len(lines.splitlines())}
    rows = [line.split(",") for line in lines.splitlines()]
    for i, name in enumerate(SAMPLED.values()):
        numbers = []
        for row in rows:
            with contextlib.suppress(ValueError, IndexError):
                numbers.append(float(row[i]))
        if numbers:
            found |= {f"{name}_mean": statistics.fmean(numbers), f"{name}_max": max(numbers)}
    return found


def driver() -> str:
    """The card's driver as nvidia-smi says it; empty without one."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        query = ["nvidia-smi", "--query-gpu=driver_version,power.limit", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    return ""


# --- steps ------------------------------------------------------------------------------------------------------------


def run_step(step: Step, seconds: float, args: argparse.Namespace, log: TextIO) -> dict[str, Any]:
    """Run a step's cases, in a new process after each that fails, and return what was found."""
    begun, found = time.monotonic(), {"limit_seconds": round(seconds, 1), "cases": {}}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.json"
        while True:
            before, said = len(found["cases"]), log.tell()
            left = max(0.0, seconds - (time.monotonic() - begun))
            command = [sys.executable, str(HERE / "gpu_steps.py"), step.name, "--device", args.device]
            command += ["--game", args.game, "--file", str(file), "--seconds", str(left)]
            status = finish(command, left + GRACE, log)
            if file.is_file():
                found["cases"] = json.loads(file.read_text())
            if status == 0:
                break
            if len(found["cases"]) == before:  # it came to no case at all
                found["error"] = last_lines(Path(log.name), said) or f"status {status}"
                break
            if time.monotonic() - begun >= seconds:
                found["stopped"] = "its time was over; cases after the last were not begun"
                break
    found["seconds"] = round(time.monotonic() - begun, 1)
    return found


def finish(command: list[str], limit: float, log: TextIO) -> int:
    """Run a command with all that it starts until its end, or kill it at the limit; returns its status."""
    path = os.pathsep.join(filter(None, [str(HERE.parent / "src"), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        print(f"killed at its limit of {limit:.0f} s: {command[2]}", file=log, flush=True)
        return -signal.SIGKILL
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_lines(file: Path, position: int, count: int = 30) -> str:
    """The last lines that were written to a log since a position."""
    with file.open("rb") as log:
        log.seek(position)
        return "\n".join(log.read().decode(errors="replace").splitlines()[-count:])


# --- what is said and written -----------------------------------------------------------------------------------------


def failures(found: dict[str, Any]) -> list[str]:
    """Names of a step's cases that failed or were not as they should be."""
    cases = found.get("cases", {})
    bad = [name for name, case in cases.items() if "error" in case or case.get("result", {}).get("passed") is False]
    return [*bad, *(["the step itself"] if "error" in found else [])]


def write(report: dict[str, Any], out: Path) -> None:
    """Replace the figures on disk."""
    new = out / "gpu-check.json.new"
    new.write_text(json.dumps(report, indent=1) + "\n")
    new.replace(out / "gpu-check.json")


def in_words(case: dict[str, Any]) -> str:
    """What became of a case, on one line."""
    if "skipped" in case:
        return f"skipped: {case['skipped']}"
    if "error" in case:
        return f"FAILED: {case['error'].strip().splitlines()[-1][:150]}"
    shown = {name: value for name, value in case["result"].items() if isinstance(value, bool | int | float | str)}
    return ", ".join(f"{name} {number(value)}" for name, value in shown.items())


def number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return {True: "yes", False: "NO"}[value] if isinstance(value, bool) else str(value)


def show(report: dict[str, Any], console: Console) -> None:
    """Print what every case found, and the goals beside what was reached."""
    table = Table("step", "case", "what was found", title="GPU check")
    for name, found in report["steps"].items():
        if "skipped" in found:
            table.add_row(name, "", f"skipped: {found['skipped']}")
        for case, result in found.get("cases", {}).items():
            table.add_row(name, case, in_words(result))
        if "error" in found:
            table.add_row(name, "", f"FAILED: {found['error'].splitlines()[-1][:150]}")
        if "stopped" in found:
            table.add_row(name, "", found["stopped"])
        if "card" in found:
            table.add_row(name, "the card meanwhile", in_words({"result": found["card"], **found["card"]}))
        table.add_section()
    console.print(table)
    goals = Table("goal on one H100", "wanted", "found", "met", "case", title="Goals")
    for goal in report["goals"]:
        met = "" if goal["met"] is None else number(goal["met"])
        wanted = f"{'at most' if goal['at_most'] else 'at least'} {number(float(goal['bound']))}"
        figure = "no figure" if goal["found"] is None else number(goal["found"])
        goals.add_row(goal["what"], wanted, figure, met, goal["case"])
    console.print(goals)


def goals_of(steps: dict[str, Any], device: str) -> list[dict[str, Any]]:
    """Each goal beside the best that was found; a dry run on the CPU meets none and misses none."""
    rows = []
    for goal in GOALS:
        figure, case = goal.best(steps.get(goal.step, {}).get("cases", {})) or (None, "")
        met = None if figure is None or device == "cpu" else goal.is_met_by(figure)
        row = {"what": goal.what, "bound": goal.bound, "at_most": goal.at_most}
        rows.append(row | {"found": figure, "met": met, "case": case})
    return rows


# --- the whole --------------------------------------------------------------------------------------------------------


def check(args: argparse.Namespace, plan: tuple[Step, ...] = PLAN) -> dict[str, Any]:
    """Run the plan within its minutes; what is found is on disk after every step."""
    begun = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "command": " ".join(["python benchmarks/gpu_check.py", *sys.argv[1:]]),
        "commit": args.commit,
        "begun": time.strftime("%Y-%m-%d %H:%M:%S"),
        "device": args.device,
        "driver": driver(),
        "minutes": args.minutes,
        "seconds": 0.0,
        "steps": {},
        "goals": [],
    }
    with (args.out / "gpu-check.log").open("w") as log:
        for step in plan:
            left = 60 * args.minutes - (time.monotonic() - begun)
            if args.steps and step.name not in args.steps:
                continue
            card = report["steps"].get("environment", {}).get("cases", {}).get("card", {})
            if "error" in card:
                found = {"skipped": "there is no CUDA device that works; see environment"}
            elif left < LEAST[args.device]:
                found = {"skipped": f"the budget of {args.minutes:g} minutes is used up"}
            else:
                seen: dict[str, Any] = {}
                with watched(seen) if step.sampled else contextlib.nullcontext():
                    found = run_step(step, min(step.limit, left), args, log)
                found |= {"card": seen} if step.sampled else {}
            report["steps"][step.name] = found
            report |= {"goals": goals_of(report["steps"], args.device), "seconds": round(time.monotonic() - begun, 1)}
            write(report, args.out)
            bad = failures(found)
            said = found.get("skipped") or f"{found['seconds']:.0f} s, {len(found['cases'])} cases, {len(bad)} failed"
            print(f"{step.name}: {said}{': ' + '; '.join(bad) if bad else ''}", flush=True)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or "gpu-check"), help="default: $OUT")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything")
    parser.add_argument("--steps", nargs="+", choices=[step.name for step in PLAN], help="only these")
    parser.add_argument("--game", default="breakout", help="of all steps but pong")
    parser.add_argument("--commit", default="", help="of the code, where there is no git; default: git's word")
    args = parser.parse_args()
    with contextlib.suppress(OSError):  # no git
        args.commit = args.commit or current_commit()
    report = check(args)
    if args.device == "cpu":
        print("a dry run on the CPU: its figures mean nothing")
    show(report, Console(width=200))
    print(f"{report['seconds']:.0f} s in all; figures and log are in {args.out}")
    return 1 if any(failures(found) for found in report["steps"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
