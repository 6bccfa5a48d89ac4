"""Choosing where to compute, on the machine the tests run on."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pixelq.errors import UserError
from pixelq.machine.device import (
    TorchSettings,
    available_cores,
    choose_device,
    flushes_denormal,
    has_fast_bf16,
    make_deterministic,
    prepare_cpu,
    prepare_cuda,
)

HAS_CUDA = torch.cuda.is_available()
HAS_MPS = torch.backends.mps.is_available()


@pytest.fixture
def _torch_settings() -> Iterator[None]:
    """Put torch's process-wide switches back."""
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    before = (torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark)
    yield
    torch.set_num_threads(threads)
    if torch.are_deterministic_algorithms_enabled() != before[0]:
        torch.use_deterministic_algorithms(before[0])
    cudnn.deterministic, cudnn.benchmark = before[1:]


def refusal(name: str) -> str:
    with pytest.raises(UserError) as caught:
        choose_device(name)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu") == (torch.device("cpu"), "CPU: asked for")


@pytest.mark.skipif(HAS_CUDA or HAS_MPS, reason="this machine has an accelerator")
def test_auto_takes_the_cpu_where_there_is_nothing_else_and_says_so() -> None:
    assert choose_device("auto") == (torch.device("cpu"), "CPU: no CUDA device, no Apple MPS")


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="needs a CUDA device")
def test_auto_takes_cuda_first_and_names_it() -> None:
    device, reason = choose_device("auto")
    assert device.type == "cuda"
    assert reason == f"CUDA: {torch.cuda.get_device_name()}"
    assert torch.ones(2, device=device).sum().item() == 2


@pytest.mark.skipif(HAS_CUDA, reason="this machine has CUDA")
def test_cuda_where_there_is_none_is_refused_with_what_to_do() -> None:
    line = refusal("cuda")
    assert line.startswith("device cuda is not there: ")
    assert line.endswith("use --device auto")
    if torch.version.cuda is None:
        assert torch.__version__ in line
        assert "https://pytorch.org" in line


@pytest.mark.skipif(HAS_MPS, reason="this machine has MPS")
def test_mps_where_there_is_none_is_refused_with_what_to_do() -> None:
    line = refusal("mps")
    assert line.startswith("device mps is not there: ")
    assert line.endswith("use --device auto")


def test_vulkan_is_refused_because_it_cannot_train() -> None:
    line = refusal("vulkan")
    assert "has no backward kernels" in line
    assert "--device auto" in line


def test_a_name_of_no_device_is_refused_with_the_choices() -> None:
    assert refusal("gpu") == "device = 'gpu'; choose one of auto, cpu, cuda, mps, vulkan"


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux tells the truth in /proc/cpuinfo")
def test_bf16_on_the_cpu_is_fast_where_linux_says_the_hardware_has_it() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    assert has_fast_bf16(torch.device("cpu")) == ("avx512_bf16" in flags or "amx_bf16" in flags)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the fallback reads /proc/cpuinfo")
def test_an_older_torch_that_cannot_tell_leaves_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    told = has_fast_bf16(torch.device("cpu"))
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert has_fast_bf16(torch.device("cpu")) == told


def test_bf16_asks_the_device_that_auto_chooses() -> None:
    assert has_fast_bf16() == has_fast_bf16(choose_device("auto")[0])


def test_bf16_is_not_promised_on_mps() -> None:
    assert not has_fast_bf16(torch.device("mps"))


@pytest.mark.usefixtures("_torch_settings")
def test_threads_are_what_was_asked_or_one_per_core() -> None:
    assert prepare_cpu(3) == 3
    assert torch.get_num_threads() == 3
    assert prepare_cpu(0) == available_cores()
    assert torch.get_num_threads() == available_cores()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_cores_are_those_this_process_may_use() -> None:
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, mine)
    assert available_cores() == len(mine)


@pytest.mark.usefixtures("_torch_settings")
def test_deterministic_mode_refuses_an_operation_whose_result_may_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    target, index, value = torch.zeros(2), torch.tensor([0, 0]), torch.tensor([1.0, 2.0])
    target.put_(index, value)  # which of two writes to one place wins is up to the threads
    make_deterministic()
    with pytest.raises(RuntimeError, match="does not have a deterministic implementation"):
        target.put_(index, value)
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.usefixtures("_torch_settings")
def test_deterministic_mode_keeps_a_workspace_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    make_deterministic()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.usefixtures("_torch_settings")
def test_denormals_are_rounded_to_zero_so_that_dead_weights_do_not_slow_the_optimizer() -> None:
    prepare_cpu(torch.get_num_threads())
    assert (torch.full((4,), 1e-30) * 1e-10).tolist() == [0.0] * 4


@pytest.mark.usefixtures("_torch_settings")
def test_what_a_run_sets_in_torch_can_be_put_back_and_what_was_set_before_stays() -> None:
    torch.set_flush_denormal(False)
    for before in (False, True):
        if before:
            make_deterministic()
            torch.set_flush_denormal(True)
        settings = TorchSettings()
        prepare_cpu(torch.get_num_threads())
        make_deterministic()
        settings.restore()
        assert torch.are_deterministic_algorithms_enabled() == before
        assert torch.backends.cudnn.deterministic == before
        assert flushes_denormal() == before
    torch.set_flush_denormal(False)


def float32_precision() -> tuple[object, ...]:
    """What a process can read of it, as the older and the newer settings say it."""
    backends = torch.backends
    parts = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul)
    older: list[object] = []
    for read in (lambda: backends.cudnn.allow_tf32, torch.get_float32_matmul_precision):
        try:
            older.append(read())
        except RuntimeError:  # torch refuses where parts were set by themselves
            older.append("refused")
    return (*older, *(part.fp32_precision for part in parts))


@pytest.fixture
def _float32_as_it_was() -> Iterator[None]:
    yield
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = torch.backends.mkldnn.matmul.fp32_precision = "none"


SET_BEFORE = {
    "nothing": lambda: None,
    "convolutions without TF32": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "faster products": lambda: torch.set_float32_matmul_precision("high"),
    "products by the older switch": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "one part by itself": lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "products by themselves": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
}


@pytest.mark.usefixtures("_torch_settings", "_float32_as_it_was")
@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("before", SET_BEFORE)
def test_what_a_run_on_a_gpu_makes_of_float32_is_put_back_however_it_was_set(before: str, deterministic: bool) -> None:
    SET_BEFORE[before]()
    found, settings = float32_precision(), TorchSettings()
    settings.restore()
    assert float32_precision() == found
    prepare_cuda(deterministic)
    assert float32_precision() != found
    settings.restore()
    assert float32_precision() == found


@pytest.mark.usefixtures("_torch_settings")
def test_the_number_of_threads_is_put_back() -> None:
    torch.set_num_threads(2)
    settings = TorchSettings()
    prepare_cpu(3)
    settings.restore()
    assert torch.get_num_threads() == 2


FAULTS = """
import resource
import torch
from pixelq.machine.device import keep_freed_memory
keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
update = lambda: [torch.zeros(size, dtype=torch.uint8) for size in [8_000_000] * 6] and None
for _ in range(10):
    update()
before = faults()
for _ in range(20):
    update()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_a_tensor_gets_the_memory_of_one_before_it_without_new_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    pages = 20 * 48_000_000 // 4096
    assert int(done.stdout) < pages / 20


@pytest.mark.usefixtures("_float32_as_it_was")
@pytest.mark.parametrize("deterministic", [True, False])
def test_only_convolutions_of_a_run_that_need_not_be_exact_round_to_tf32(
    deterministic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", deterministic)
    prepare_cuda(deterministic)
    assert torch.backends.cudnn.allow_tf32 is not deterministic
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cuda.matmul.allow_tf32
