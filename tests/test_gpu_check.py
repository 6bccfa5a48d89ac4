"""benchmarks/gpu_check.py without a GPU: a dry run, and what becomes of steps that fail, hang or no longer fit."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scripts import ROOT, script

STAND_IN = """
import json, sys, time
from pathlib import Path
step, file = sys.argv[1], Path(sys.argv[sys.argv.index("--file") + 1])
held = json.loads(file.read_text()) if file.is_file() else {}
if step == "no-start":
    raise ImportError("no such module")
cases = ["first", "second"]
for case in cases:
    if case in held:
        continue
    held[case] = {"error": "the process ended"}
    file.write_text(json.dumps(held))
    if step == "hangs":
        time.sleep(60)
    if (step, case) == ("fails", "first"):
        held[case] = {"error": "Traceback\\nRuntimeError: no kernel image"}
        file.write_text(json.dumps(held))
        sys.exit(3)
    held[case] = {"result": {"agent_steps_per_second": 12_000.0, "process": len(held)}}
    file.write_text(json.dumps(held))
"""


@pytest.fixture
def gpu_check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return script("benchmarks/gpu_check.py")


@pytest.fixture
def stand_in(gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """With steps that do nothing but fail or end, as they are called."""
    (tmp_path / "gpu_steps.py").write_text(STAND_IN)
    monkeypatch.setattr(gpu_check, "HERE", tmp_path)
    monkeypatch.setattr(gpu_check, "GRACE", 0.2)
    return gpu_check


def check(module: ModuleType, out: Path, *steps: str, minutes: float = 1.0, limit: float = 20.0) -> dict[str, Any]:
    """Run a plan of these steps; returns what is on disk then."""
    args = argparse.Namespace(device="cpu", out=out, minutes=minutes, steps=None, game="breakout", commit="")
    found = module.check(args, tuple(module.Step(name, limit) for name in steps))
    module.show(found, module.Console(quiet=True))
    on_disk: dict[str, Any] = json.loads((out / "gpu-check.json").read_text())
    assert on_disk == found
    return on_disk


def test_a_dry_run_finds_something_in_each_step(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/gpu_check.py", "--device", "cpu", "--steps", "environment", "pqn"]
    done = subprocess.run([*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "gpu-check.json").read_text())
    assert list(found["steps"]) == ["environment", "pqn"]
    environment, pqn = (step["cases"] for step in found["steps"].values())
    assert environment["machine"]["result"]["torch"]
    assert environment["card"]["skipped"] == "no card: the device is the CPU"
    assert all(case["result"]["agent_steps_per_second"] > 0 for name, case in pqn.items() if "emulator" not in name)
    (goal,) = (goal for goal in found["goals"] if goal["what"].startswith("PQN"))
    assert goal["met"] is None  # on a CPU
    assert goal["found"] > 0
    assert "PQN, agent steps/s" in done.stdout
    assert "=== pqn" in (tmp_path / "gpu-check.log").read_text()


def test_after_a_case_that_fails_its_step_and_the_next_go_on(stand_in: ModuleType, tmp_path: Path) -> None:
    steps = check(stand_in, tmp_path / "out", "fails", "ends")["steps"]
    assert steps["fails"]["cases"]["first"]["error"].endswith("RuntimeError: no kernel image")
    assert "result" in steps["fails"]["cases"]["second"]
    assert list(steps["ends"]["cases"]) == ["first", "second"]
    assert stand_in.failures(steps["fails"]) == ["first"]
    assert stand_in.failures(steps["ends"]) == []


def test_a_step_that_does_not_start_leaves_its_traceback_and_the_next_one_runs(
    stand_in: ModuleType, tmp_path: Path
) -> None:
    steps = check(stand_in, tmp_path / "out", "no-start", "ends")["steps"]
    assert steps["no-start"]["error"].splitlines()[0].startswith("Traceback")
    assert steps["no-start"]["error"].endswith("ImportError: no such module")
    assert len(steps["ends"]["cases"]) == 2


def test_a_step_that_hangs_is_killed_at_its_limit(stand_in: ModuleType, tmp_path: Path) -> None:
    begun = time.monotonic()
    steps = check(stand_in, tmp_path / "out", "hangs", "ends", limit=1.5)["steps"]
    assert time.monotonic() - begun < 15
    assert steps["hangs"]["cases"] == {"first": {"error": "the process ended"}}
    assert "stopped" in steps["hangs"]
    assert len(steps["ends"]["cases"]) == 2


def test_what_no_longer_fits_is_skipped_and_said_to_be(stand_in: ModuleType, tmp_path: Path) -> None:
    steps = check(stand_in, tmp_path / "out", "hangs", "ends", minutes=1.5 / 60)["steps"]
    assert steps["ends"] == {"skipped": "the budget of 0.025 minutes is used up"}


def test_without_a_card_that_works_nothing_else_is_tried(stand_in: ModuleType, tmp_path: Path) -> None:
    text = (tmp_path / "gpu_steps.py").read_text().replace('["first", "second"]', '["machine", "card"]')
    (tmp_path / "gpu_steps.py").write_text(text.replace('("fails", "first")', '("environment", "card")'))
    steps = check(stand_in, tmp_path / "out", "environment", "ends")["steps"]
    assert "result" in steps["environment"]["cases"]["machine"]
    assert steps["ends"] == {"skipped": "there is no CUDA device that works; see environment"}


def test_each_goal_stands_beside_the_best_figure(gpu_check: ModuleType) -> None:
    cases = {
        "throughput": {"a": {"result": {"agent_steps_per_second": 9000.0}}, "b": {"error": "..."},
                       "c": {"result": {"agent_steps_per_second": 11_000.0}}},
        "pong": {"seed 1": {"result": {"minutes": 1.5, "reached": False}}},
    }  # fmt: skip
    rows = gpu_check.goals_of({name: {"cases": found} for name, found in cases.items()}, "cuda")
    assert [(row["found"], row["met"], row["case"]) for row in rows] == [
        (11_000.0, True, "c"),
        (None, None, ""),
        (None, None, ""),  # it took 1.5 minutes and did not get there
    ]


def test_the_card_is_watched_while_a_step_runs(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '100.5, 40, 2000, 1980'\necho '[N/A], 60, 4000, 1980'\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found: dict[str, Any] = {}
    with gpu_check.watched(found):
        time.sleep(0.5)
    assert found["samples"] == 2
    assert (found["watts_mean"], found["busy_percent_mean"], found["memory_mib_max"]) == (100.5, 50.0, 4000.0)


def test_a_step_writes_each_case_and_goes_on_after_those_it_holds(
    gpu_check: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = script("benchmarks/gpu_steps.py")
    file, ran = tmp_path / "cases.json", []

    def case(name: str, error: Exception | None = None) -> Any:
        def run() -> dict[str, Any]:
            ran.append(name)
            if error is not None:
                raise error
            return {"figure": 1}

        return run

    only_gpu = steps.OnlyGpu("no card")
    cases = {"a": case("a"), "b": case("b", ValueError("broken")), "c": case("c", only_gpu), "d": case("d")}
    later = time.monotonic() + 60
    assert steps.work(cases, file, later) == steps.FAILED == gpu_check.FAILED
    assert ran == ["a", "b"]
    assert steps.work(cases, file, later) == 0
    assert ran == ["a", "b", "c", "d"]
    held = json.loads(file.read_text())
    assert [held[name].get("result") for name in "ad"] == [{"figure": 1}] * 2
    assert held["b"]["error"].endswith("ValueError: broken\n")
    assert held["c"]["skipped"] == "no card"
    assert steps.work({"late": case("late")}, tmp_path / "other.json", time.monotonic() - 1) == 0
    assert json.loads((tmp_path / "other.json").read_text())["late"] == {"skipped": "the step's time was over"}
