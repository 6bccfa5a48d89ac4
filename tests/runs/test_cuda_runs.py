"""Whole runs on a CUDA device: they learn, end, and go on from their checkpoints."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pixelq.config import Config
from pixelq.replay import Replay
from pixelq.runs.run import Run
from pixelq.runs.session import resume, start
from small_runs import Killed, at_agent_step, die, facts, small, terminate

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

LOOPS: dict[str, dict[str, Any]] = {
    "replay": {"recipe": "cleanrl", "num_envs": 8, "eval_every": 0},
    "replay-bf16-3-steps": {
        "recipe": "nature2015",
        "num_envs": 8,
        "n_step": 3,
        "precision": "bf16",
        "eval_every": 0,
        "replay_capacity": 240,
    },
    "parallel": {"recipe": "default", "num_envs": 8, "rollout_length": 4, "batch_size": 8, "eval_every": 0},
}


def on_cuda(case: str, **overrides: Any) -> Config:
    return small(**LOOPS[case] | {"device": "cuda"} | overrides)


@pytest.mark.parametrize("case", LOOPS)
@pytest.mark.parametrize("graphed", [True, False])
def test_a_run_ends_with_whole_files(case: str, graphed: bool, in_folder: Path) -> None:
    result = start(on_cuda(case, deterministic=not graphed), Path("run"))
    assert result.agent_steps == 320
    assert facts(Path("run"))["last"] == "step-000000000320"


@pytest.mark.parametrize("case", LOOPS)
def test_a_deterministic_run_on_cuda_resumes_to_the_byte(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = on_cuda(case)
    start(config, Path("unbroken"))
    with at_agent_step(monkeypatch, 150, terminate):
        start(config, Path("broken"))
    with at_agent_step(monkeypatch, 251, die), pytest.raises(Killed):
        resume(Path("broken"))
    assert resume(Path("broken")).signal is None
    assert facts(Path("broken")) == facts(Path("unbroken"))


@pytest.mark.parametrize("case", LOOPS)
def test_a_graphed_run_goes_on_from_its_checkpoint(case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with at_agent_step(monkeypatch, 203, terminate):
        assert start(on_cuda(case, deterministic=False), Path("run")).agent_steps < 320
    assert resume(Path("run")).agent_steps == 320


def test_a_full_card_leaves_the_replay_compressed_and_the_batches_the_same(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(on_cuda("replay"), Path("raw"))
    monkeypatch.setattr("pixelq.replay.base_replay.has_room", lambda device, num_bytes: False)
    assert not Run(on_cuda("replay")).parts.replay.makes_batches_on_device  # type: ignore[union-attr]
    start(on_cuda("replay"), Path("compressed"))
    assert facts(Path("raw")) == facts(Path("compressed"))


def test_the_replay_of_a_run_on_cuda_makes_its_batches_there() -> None:
    replay = Run(on_cuda("replay")).parts.replay
    assert isinstance(replay, Replay)
    assert replay.makes_batches_on_device
