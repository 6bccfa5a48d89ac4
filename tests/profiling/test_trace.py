"""`pixelq train --profile`: the trace opens, has its ranges, is short, and changes nothing."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from small_loops import FIELDS, SMALL, small

from pixelq.cli import main
from pixelq.profiling.parts import PARTS
from pixelq.profiling.trace import FILE, trace_window
from pixelq.runs.reporting import Reporting
from pixelq.runs.run import Run
from pixelq.runs.session import start

HOOKS = (Run.goes_on, Reporting.evaluate)


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelq.viewing.plots.plot_runs", lambda *args, **kwargs: None)


def arguments(loop: str, **overrides: Any) -> list[str]:
    recipe = {"replay": "nature2015", "parallel": "default"}[loop]
    fields = SMALL | FIELDS[loop] | {"eval_every": 0, "checkpoint_every": 0} | overrides
    if loop == "parallel":
        fields = {name: value for name, value in fields.items() if not name.startswith(("replay", "target"))}
    flags = [word for name, value in fields.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return ["train", "breakout", "--recipe", recipe, *flags]


def ranges(folder: Path) -> Counter[str]:
    """How often each range of the trace occurs."""
    with gzip.open(folder / FILE, "rt") as file:
        events = json.load(file)["traceEvents"]
    assert any(event.get("cat") == "cpu_op" and event["name"] == "aten::convolution" for event in events)
    return Counter(event["name"] for event in events if event.get("cat") == "user_annotation")


@pytest.mark.parametrize("loop", ["replay", "parallel"])
def test_the_trace_opens_and_has_a_range_for_every_part(
    loop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main([*arguments(loop, steps=800), "--profile", "--run-dir", str(folder)]) == 0
    found = ranges(folder)
    assert set(PARTS) <= set(found)
    assert f"{folder / FILE}" in capsys.readouterr().err
    assert FILE.name.endswith(".pt.trace.json.gz")
    assert (Run.goes_on, Reporting.evaluate) == HOOKS


def test_the_window_is_short_and_comes_after_the_warm_up(tmp_path: Path) -> None:
    config = small("replay", eval_every=0, steps=600)
    with trace_window(agent_steps=60, warm_up=20):
        start(config, tmp_path / "run")
    found = ranges(tmp_path / "run")
    assert found["emulator"] == 60 // config.num_envs
    assert found["sampling"] == 60 // config.train_every


def test_an_evaluation_is_not_recorded(tmp_path: Path) -> None:
    config = small("replay", eval_every=200, eval_episodes=2, steps=600)
    with trace_window(agent_steps=400, warm_up=10):
        start(config, tmp_path / "run")
    assert ranges(tmp_path / "run")["emulator"] < 200 // config.num_envs


def test_what_is_learned_does_not_change(tmp_path: Path) -> None:
    for name, profiled in (("plain", []), ("profiled", ["--profile"])):
        plain = [*arguments("replay", steps=600), "--deterministic", *profiled, "--run-dir", str(tmp_path / name)]
        assert main(plain) == 0
    a, b = (safetensors.torch.load_file(tmp_path / name / "final/policy.safetensors") for name in ("plain", "profiled"))
    assert a.keys() == b.keys()
    assert all(a[name].equal(b[name]) for name in a)
    assert not (tmp_path / "plain" / FILE).exists()


def test_a_run_too_short_for_a_trace_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments("replay", steps=60), "--profile", "--run-dir", str(tmp_path / "run")]) == 0
    assert "no trace: the run ended before" in capsys.readouterr().err
    assert not (tmp_path / "run" / FILE).exists()


def test_a_full_disk_costs_the_trace_and_not_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.profiler.profile.export_chrome_trace", refuse)
    assert main([*arguments("replay", steps=600), "--profile", "--run-dir", str(tmp_path / "run")]) == 0
    assert "the trace could not be written (No space left on device)" in capsys.readouterr().err
