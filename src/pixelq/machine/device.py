"""Where tensors are computed: the device and why it was chosen, its bfloat16, CPU threads, deterministic kernels."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch

from pixelq.errors import UserError
from pixelq.machine.cores import available_cores

DeviceName = Literal["auto", "cpu", "cuda", "mps", "vulkan"]


def choose_device(name: str) -> tuple[torch.device, str]:
    """The device to compute on, and one line that says which and why.

    Args:
        name: one of `DeviceName`; `auto` takes CUDA, then Apple MPS, then the CPU.

    Raises:
        UserError: no such name, the device is not there, or it is `vulkan`, which cannot train.
    """
    if name not in get_args(DeviceName):
        raise UserError(f"device = {name!r}; choose one of {', '.join(get_args(DeviceName))}")
    if name == "vulkan":
        raise UserError(
            "device vulkan cannot train: PyTorch's Vulkan backend is for inference of mobile models and has no "
            "backward kernels; use --device auto"
        )
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device cuda is not there: {_why_no_cuda()}, or use --device auto")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"device mps is not there: {_why_no_mps()}; use --device auto")
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        return torch.device("cuda"), f"CUDA: {torch.cuda.get_device_name()}"
    if name == "mps" or (name == "auto" and torch.backends.mps.is_available()):
        return torch.device("mps"), f"Apple MPS: {platform.machine()}"
    return torch.device("cpu"), "CPU: asked for" if name == "cpu" else "CPU: no CUDA device, no Apple MPS"


def _why_no_cuda() -> str:
    if not torch.backends.cuda.is_built():
        return f"this torch ({torch.__version__}) is built without CUDA; install one with it (https://pytorch.org)"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every GPU; unset it"
    return "torch finds no GPU or no driver; see what `nvidia-smi` says"


def _why_no_mps() -> str:
    if not torch.backends.mps.is_built():
        return f"this torch ({torch.__version__}) is not one for Apple silicon"
    return "it needs Apple silicon and macOS 12.3 or newer"


def has_fast_bf16(device: torch.device | None = None) -> bool:
    """Whether the hardware multiplies in bfloat16; elsewhere it is emulated and slower than float32.

    Args:
        device: where; None: the device that `auto` chooses.
    """
    device = choose_device("auto")[0] if device is None else device
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return not _cpu_features().isdisjoint(("avx512_bf16", "amx_bf16"))
    return False  # MPS: not measured, so not promised


def _cpu_features() -> set[str]:
    """Names of the CPU's instruction sets, as torch tells them, or Linux where an older torch cannot."""
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    try:
        return set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return set()


def default_threads() -> int:
    """Threads of torch where nobody names a number: one per core, and one alone in a forked process."""
    return 1 if _forked else available_cores()


def prepare_cpu(config_threads: int, computes: bool = True) -> int:
    """Give torch `config_threads` threads, or `default_threads` if 0, and let it round denormal numbers to zero.

    Where another device computes, torch has one: copies are all that is left to do, and threads that wait for the next
    one would keep the emulators' from the cores.

    A weight that gets no gradient (a dead ReLU feeds it) has its Adam moments shrink below 1e-38 and stay there,
    because 0.9 of the smallest denormal rounds to itself; processors add such numbers many times slower. In Breakout
    after 80,000 agent steps 13% of the hidden layer's first moments were denormal: an Adam step took 7.8 ms, not 2.4.

    Returns:
        The number of threads (the emulators' too).

    Raises:
        UserError: more than one, in a forked process.
    """
    threads = config_threads or default_threads()
    if _forked and threads > 1:
        raise UserError(
            f"threads = {threads}: this process was forked, and torch's threads do not survive that; use --threads 1, "
            "or start it with multiprocessing.get_context('spawn')"
        )
    keep_freed_memory()
    torch.set_flush_denormal(True)  # before torch starts its threads, which inherit it
    torch.set_num_threads(threads if computes else 1)
    return threads


_forked = False
"""Whether this process was forked from one that had loaded this module."""


def _compute_alone() -> None:
    """In a forked child: OpenMP takes the parent's threads, which are not there, for its own, and waits for ever.

    With one thread it starts none and waits for none; torch's own data loaders do the same.
    """
    global _forked
    _forked = True
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_compute_alone)


def compiler() -> str:
    """Name of the C++ compiler that torch would use; nothing says that it is there."""
    return os.environ.get("CXX", {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++"))


def check_compiler() -> None:
    """Look for the `compiler`.

    Raises:
        UserError: it is not there.
    """
    if shutil.which(compiler()) is None:
        raise UserError(
            f"compile = true needs the C++ compiler {compiler()}, which is not there: install it, name another in the "
            "environment variable CXX, or use --no-compile"
        )


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MB that a tensor has given back, for the next tensor, for the whole process.

    By default it returns blocks of some megabytes to the system at once and every update takes them again page by page:
    660 page faults in an update of 32, a tenth of the time of the parallel loop (1,870 -> 2,070 agent steps/s, medians
    of three alternating runs on two cores). Other C libraries have no such setting and are left alone.
    """
    m_mmap_threshold, m_trim_threshold = -3, -1  # malloc.h; glibc refuses an mmap threshold above 32 MB
    with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no CDLL(None)
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_threshold, 32 * 2**20)
        libc.mallopt(m_trim_threshold, 256 * 2**20)


def prepare_cuda(deterministic: bool) -> None:
    """Say what float32 means on a CUDA device, for the whole process (until `TorchSettings` puts it back); bfloat16
    torsos are not concerned.

    Convolutions may multiply in TF32 (inputs rounded to 10 bits of mantissa, sums in float32), as torch has it by
    default: the torso bears much coarser rounding. Matrix products stay float32 to the last bit, because the output
    layer is one, and Q-values may differ by less than TF32 tells apart.

    Args:
        deterministic: convolutions are plain float32 too.

    Source: PyTorch's notes on CUDA semantics, "TensorFloat-32".
    """
    # One switch for all of cuDNN: setting its parts one by one makes torch refuse to read this one.
    torch.backends.cudnn.allow_tf32 = not deterministic
    torch.set_float32_matmul_precision("highest")


class TorchSettings:
    """torch's process-wide settings as they are now, to be put back when a run that changes them ends.

    The number of threads is among them: the one that a run ended with was measured beside what ran then, or even tried
    for a moment, and says nothing of what the process does next.
    """

    def __init__(self) -> None:
        self._deterministic = torch.get_deterministic_debug_mode()
        self._cudnn = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
        self._precision = _float32_precision()
        self._flush_denormal = flushes_denormal()
        self._threads = torch.get_num_threads()

    def restore(self) -> None:
        """Put them back; what is as it was is left alone."""
        if torch.get_deterministic_debug_mode() != self._deterministic:
            torch.set_deterministic_debug_mode(self._deterministic)
        cudnn = torch.backends.cudnn
        if (cudnn.deterministic, cudnn.benchmark) != self._cudnn:
            cudnn.deterministic, cudnn.benchmark = self._cudnn
        if _float32_precision() != self._precision:
            _set_float32_precision(self._precision)
        if flushes_denormal() != self._flush_denormal:
            torch.set_flush_denormal(self._flush_denormal)
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)


class _Float32Precision(NamedTuple):
    """What float32 means in convolutions and matrix products, as torch's older settings and its newer ones say it."""

    cudnn_tf32: bool | None
    """None, as the next: torch refuses to say, because somebody has set a part of it by the newer settings."""
    matmul: str | None
    parts: tuple[str, ...]
    """Of `_parts_of_precision`."""


def _parts_of_precision() -> tuple[Any, ...]:
    """Each has an attribute `fp32_precision`."""
    backends: Any = torch.backends
    return backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul


def _float32_precision() -> _Float32Precision:
    cudnn_tf32: bool | None = None
    matmul: str | None = None
    with contextlib.suppress(RuntimeError):
        cudnn_tf32 = torch.backends.cudnn.allow_tf32
    with contextlib.suppress(RuntimeError):
        matmul = torch.get_float32_matmul_precision()
    return _Float32Precision(cudnn_tf32, matmul, tuple(part.fp32_precision for part in _parts_of_precision()))


def _set_float32_precision(wanted: _Float32Precision) -> None:
    """The older settings first: each of them sets several parts."""
    if wanted.cudnn_tf32 is not None:
        torch.backends.cudnn.allow_tf32 = wanted.cudnn_tf32
    if wanted.matmul is not None:
        torch.set_float32_matmul_precision(wanted.matmul)
    for part, precision in zip(_parts_of_precision(), wanted.parts, strict=True):
        if part.fp32_precision != precision:
            part.fp32_precision = precision


def flushes_denormal() -> bool:
    """Whether this thread rounds denormal numbers to zero: torch can set that, but does not tell."""
    return (torch.full((1,), 1e-30) * 1e-10).item() == 0.0


def make_deterministic() -> None:
    """Let torch use deterministic kernels only, for the whole process; an operation without one then raises.

    Call it before the first CUDA kernel: cuBLAS reads its workspace setting when it starts.

    Source: PyTorch's notes on reproducibility.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # `use_deterministic_algorithms` is the same, but imports torch's compiler to tell it, which no such run has.
    torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
