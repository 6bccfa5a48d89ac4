"""What a run is made of leaves the process as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelq.config import Config
from pixelq.machine.device import flushes_denormal, prepare_cpu, prepare_cuda
from pixelq.recipes.choice import configure
from pixelq.runs.parts import Parts
from pixelq.runs.session import resume, start
from small_runs import CART_POLE


def settings() -> tuple[Any, ...]:
    """torch's, of the process."""
    cudnn = torch.backends.cudnn
    exact = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    return torch.get_num_threads(), cudnn.allow_tf32, torch.get_float32_matmul_precision(), exact, flushes_denormal()


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A run sets what it sets on a GPU, too; what it must leave is none of torch's defaults."""

    def prepare(threads: int, computes: bool = True) -> int:
        prepare_cuda(deterministic=False)
        return prepare_cpu(threads, computes)

    monkeypatch.setattr("pixelq.runs.parts.prepare_cpu", prepare)
    deterministic = torch.backends.cudnn.deterministic  # an earlier test may have left it
    torch.backends.cudnn.deterministic = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("high")
    torch.set_num_threads(2)
    yield
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = torch.backends.mkldnn.matmul.fp32_precision = "none"


def config(**fields: Any) -> Config:
    return configure("CartPole-v1", "cleanrl", CART_POLE | {"steps": 120, "threads": 3} | fields)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_run_and_its_resumption_leave_torchs_settings_as_they_were(in_folder: Path) -> None:
    before, during = settings(), []

    class Looks:
        def on_start(self, run: Any) -> None:
            during.append(settings())

    start(config(), Path("run"), callbacks=[Looks()])
    assert settings() == before
    resume(Path("run"), steps=140, callbacks=[Looks()])
    assert settings() == before
    assert before == (2, False, "high", (False, False, False), False)
    assert during == [(3, True, "highest", (True, True, False), True)] * 2


@pytest.mark.usefixtures("as_on_a_gpu")
def test_parts_that_are_closed_again_leave_what_came_after_them_alone() -> None:
    before, first = settings(), Parts(config())
    first.close()
    second = Parts(config(threads=1))
    of_second = settings()
    first.close()
    assert settings() == of_second != before
    second.close()
    assert settings() == before


@pytest.mark.usefixtures("as_on_a_gpu")
def test_parts_that_cannot_be_made_leave_torchs_settings_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings()
    monkeypatch.setattr("pixelq.runs.parts.make_envs", lambda *given, **named: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Parts(config())
    assert settings() == before
