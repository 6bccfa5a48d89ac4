"""How fast training goes beside a busy process on one of the cores, with threads chosen and with fixed numbers.


python benchmarks/busy.py --rounds 8 --out results/busy/two-cores.json
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUSY = "while 1: pass"
WARM_SECONDS, SETTLE_SECONDS = 60.0, 6.0
"""Before the first turn, and at the start of each, not measured: games before the first update, a choice of threads."""
CASES: dict[str, list[str]] = {"chosen": [], "1 thread": ["--threads", "1"], "all cores": ["--threads", "CORES"]}


class Training:
    """A `pixelq train` that is stopped except in its turns."""

    def __init__(self, arguments: list[str], folder: Path, source: str) -> None:
        environment = os.environ | ({"PYTHONPATH": source} if source else {})
        command = [sys.executable, "-m", "pixelq", "train", *arguments, "--run-dir", str(folder)]
        self._said = (folder.parent / f"{folder.name}.log").open("wb")
        self._process = subprocess.Popen(command, env=environment, stderr=self._said)
        self._progress = folder / "progress.csv"

    def turn(self, seconds: float, settle: float) -> float:
        """Train for `settle` and `seconds`; return agent steps a second in the latter."""
        self._process.send_signal(signal.SIGCONT)
        time.sleep(settle)
        begun, steps = time.monotonic(), self.agent_steps()
        time.sleep(seconds)
        rate = (self.agent_steps() - steps) / (time.monotonic() - begun)
        self.pause()
        return rate

    def pause(self) -> None:
        """Stop until the next turn."""
        self._process.send_signal(signal.SIGSTOP)

    def agent_steps(self) -> int:
        """Of the last row of progress.csv; 0 before there is one."""
        if self._process.poll() is not None:
            raise SystemExit(f"a training ended: see {self._said.name}")
        rows = self._progress.read_text().splitlines() if self._progress.exists() else []
        return int(rows[-1].split(",")[0]) if len(rows) > 1 else 0

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._said.close()


def busy_process(core: int) -> subprocess.Popen[bytes]:
    """A process that does nothing but take one core's time."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {core})
    return process


def main() -> None:
    """Train, take turns, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="turns of each case, free and beside the busy process")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured in each turn")
    parser.add_argument("--recipe", default="cleanrl")
    parser.add_argument(
        "--more", nargs="*", default=["--num-envs", "8", "--precision", "bf16"], help="options of train"
    )
    parser.add_argument(
        "--before", default="", help="folder src of another version, trained beside with chosen threads"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    common = ["breakout", "--recipe", args.recipe, "--seed", "1", "--eval-every", "0", "--checkpoint-every", "0"]
    common += ["--log-every", "16", "--device", "cpu", *args.more]
    common += ["--replay-start", "400", "--replay-capacity", "50000"] if args.recipe != "default" else []
    with tempfile.TemporaryDirectory() as folder:
        trainings = {}
        cases = {name: (options, "") for name, options in CASES.items()}
        cases |= {"before": ([], args.before)} if args.before else {}
        try:
            for name, (options, source) in cases.items():
                options = [str(len(cores)) if word == "CORES" else word for word in options]
                trainings[name] = Training(common + options, Path(folder) / name.replace(" ", "-"), source)
                while not trainings[name].agent_steps():
                    time.sleep(0.5)
                time.sleep(WARM_SECONDS)
                trainings[name].pause()
            rates = take_turns(trainings, args.rounds, args.seconds, cores[-1])
        finally:
            for training in trainings.values():
                training.close()
    medians = {case: {name: statistics.median(found) for name, found in by.items()} for case, by in rates.items()}
    print(f"{'':12}{'alone':>10}{'beside one busy process':>26}")
    for case, found in medians.items():
        print(f"{case:12}{found['alone']:10.0f}{found['busy']:26.0f}")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        record = {"cores": len(cores), "recipe": args.recipe, "options": args.more, "seconds": args.seconds}
        args.out.write_text(json.dumps(record | {"medians": medians, "rates": rates}, indent=1) + "\n")


def take_turns(
    trainings: dict[str, Training], rounds: int, seconds: float, core: int
) -> dict[str, dict[str, list[float]]]:
    """Agent steps a second by case, alone and beside a busy process, one number for each round."""
    rates: dict[str, dict[str, list[float]]] = {case: {"alone": [], "busy": []} for case in trainings}
    for _ in range(rounds):
        for beside in ("alone", "busy"):
            for case, training in trainings.items():
                other = busy_process(core) if beside == "busy" else None
                try:
                    rates[case][beside].append(training.turn(seconds, SETTLE_SECONDS))
                finally:
                    if other is not None:
                        other.kill()
                        other.wait()
    return rates


if __name__ == "__main__":
    main()
