"""What every step of gpu_check.py is told, and its first three steps: the machine, the update beside the CPU's, tests.

A step is a function that returns its cases by name, in order of worth; a case returns what it found. gpu_steps.py has
the other steps and runs them.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import itertools
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from keep_result import machine
from pixelq.learner.learner import Learner
from pixelq.machine.device import available_cores, has_fast_bf16, prepare_cuda
from pixelq.machine.transfer import to_device
from pixelq.networks import build_network
from pixelq.profiling.rates import calls_per_second, multiplication_rate
from pixelq.profiling.recorded_play import RecordedPlay
from pixelq.recipes.choice import configure
from pixelq.replay import Batch
from pixelq.runs.run import Run

ACTIONS, LR = 4, 1e-4
CPU, ROOT = torch.device("cpu"), Path(__file__).parents[1]
Result = dict[str, Any]
Case = Callable[[], Result]


class OnlyGpu(Exception):  # noqa: N818 (it is no error)
    """The case means nothing on a CPU."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is done in each case."""

    seconds: float
    """Of one timing."""
    updates: int
    """Of the comparison with the CPU."""
    compared: int
    """Agent steps of play that they learn from."""
    batch_size: int
    """Of the comparison and of `cleanrl`."""
    played: int
    """Agent steps of random play that fill the replay."""
    replay: tuple[int, int]
    """Capacity of the replay, and agent steps before the first update."""
    envs: tuple[int, ...]
    """Environments of `cleanrl`, the most first."""
    parallel: tuple[tuple[str, int], ...]
    """Recipes of PQN and their environments."""
    rollout: tuple[tuple[str, int], ...]
    """Fields of `Config` of PQN that are not the recipe's."""
    btr: tuple[int, int]
    """Environments and batch size of BTR."""
    pong: str
    """Options of `pixelq train`."""
    eval_every: int
    """Agent steps between Pong's test games."""
    games: int
    """Of each of Pong's tests."""
    threads: int
    """Of torch and the emulators; 0: one per core."""


FULL = Sizes(
    seconds=2.0, updates=100, compared=2_400, batch_size=32, played=10_000, replay=(1_000_000, 80_000),
    envs=(128, 64, 32), parallel=(("pqn", 128), ("default", 128)), rollout=(),
    btr=(64, 256), pong="--num-envs 64 --rollout-length 32 --checkpoint-every 0", eval_every=125_000, games=10,
    threads=0,
)  # fmt: skip
TINY = Sizes(
    seconds=0.05, updates=3, compared=60, batch_size=4, played=60, replay=(800, 60),
    envs=(2,), parallel=(("pqn", 2), ("default", 2)), rollout=(("rollout_length", 4), ("batch_size", 2)),
    btr=(2, 4), pong="--num-envs 2 --rollout-length 8 --batch-size 16 --steps 32 --checkpoint-every 0 "
    "--max-frames-per-episode 40 --threads 1",
    eval_every=32, games=2, threads=1,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Setting:
    """What every step is told."""

    device: torch.device
    game: str
    sizes: Sizes
    deadline: float
    """Of the step, on time.monotonic()'s clock."""

    @property
    def on_gpu(self) -> bool:
        """Whether the device is one."""
        return self.device.type == "cuda"


# --- environment ------------------------------------------------------------------------------------------------------


def environment(setting: Setting) -> dict[str, Case]:
    """What the machine is, and the best rates it can reach."""
    best = functools.partial(multiplication_rate, device=setting.device, seconds=setting.sizes.seconds / 4)
    return {
        "machine": lambda: machine() | {"cores_for_us": available_cores(), "bf16_on_cpu": has_fast_bf16(CPU)},
        "card": lambda: card(setting),
        "best matrix products": lambda: {
            f"{name}_tflops": best(dtype) / 1e12
            for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16))
        },
        "copies to the card": lambda: copies(setting),
    }


def card(setting: Setting) -> Result:
    if not setting.on_gpu:
        raise OnlyGpu("no card: the device is the CPU")
    found, (free, total) = torch.cuda.get_device_properties(setting.device), torch.cuda.mem_get_info()
    return {
        "card": found.name,
        "capability": f"{found.major}.{found.minor}",
        "multiprocessors": found.multi_processor_count,
        "memory_gb": total / 1e9,
        "free_gb": free / 1e9,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "bf16": has_fast_bf16(setting.device),
    }


def copies(setting: Setting) -> Result:
    """Of the states of 128 environments, through page-locked memory as `policy` sends them."""
    if not setting.on_gpu:
        raise OnlyGpu("no card to copy to")
    states = torch.zeros((128, 4, 84, 84), dtype=torch.uint8)
    rate = calls_per_second(lambda: to_device(states, setting.device), setting.sizes.seconds / 4, setting.device)
    return {"gb_per_second": rate * states.nbytes / 1e9}


# --- the update, compared with the CPU's ------------------------------------------------------------------------------

COMPARED: dict[str, tuple[str, Result]] = {
    # As in tests/machine/test_cuda.py: with a small eps Adam's first steps make much of gradients that are rounding.
    "cleanrl": ("cleanrl", {"optimizer_eps": 0.01}),
    "double": ("cleanrl", {"optimizer_eps": 0.01, "loss": "double"}),
    "default": ("default", {}),
    "padding same": ("cleanrl", {"optimizer_eps": 0.01, "padding": "same"}),
}
BOUNDS = {
    # From tests/machine/test_cuda.py and tests/test_fast_path.py. On one CPU, threads that add up in another order
    # change float32's gradient by 3e-5 and its weights by 1e-4, and bf16's by 3e-3 and 2e-2.
    "float32": {"loss": 1e-4, "gradient": 1e-3, "weights": 1e-2, "from_eager": 2e-3},
    "bf16": {"loss": 2e-2, "gradient": 0.25, "weights": 0.5, "from_eager": 5e-2},
}
RADAM = 3e-2
"""Bound of float32 weights with RAdam, which counts in float32 on a GPU, as tests/machine/test_cuda.py has it."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """A learner's first loss and gradient, and its weights before and after all updates; on the CPU, in float64."""

    loss: float
    gradients: list[Tensor]
    start: Tensor
    weights: Tensor


def update(setting: Setting) -> dict[str, Case]:
    """Updates of the device beside the CPU's; those without a graph first, because a failed capture spoils more."""
    ways = itertools.product((False, True), BOUNDS, COMPARED)
    return {
        f"{name}, {precision}, {'graph' if graphed else 'no graph'}": functools.partial(
            compared, setting, name, precision, graphed
        )
        for graphed, precision, name in ways
    }


def compared(setting: Setting, name: str, precision: str, graphed: bool) -> Result:
    if graphed and not setting.on_gpu:
        raise OnlyGpu("a CPU has no CUDA graph")
    prepare_cuda(deterministic=True)  # float32 without TF32
    sizes = setting.sizes
    found = trained(name, precision, setting.device, graphed, sizes)
    cpu = trained(name, precision, CPU, False, sizes)
    apart = {
        "loss": abs(found.loss - cpu.loss) / abs(cpu.loss),
        "gradient": max(share(a - b, b) for a, b in zip(found.gradients, cpu.gradients, strict=True)),
        "weights": share(found.weights - cpu.weights, cpu.weights - cpu.start),
    }
    if graphed:
        eager = trained(name, precision, setting.device, False, sizes)
        apart["from_eager"] = share(found.weights - eager.weights, eager.weights - eager.start)
    bounds = BOUNDS[precision] | ({"weights": RADAM} if (name, precision) == ("default", "float32") else {})
    passed = all(apart[what] < bounds[what] for what in apart)
    return apart | {"passed": passed, "updates": sizes.updates, "bounds": bounds}


@functools.cache
def trained(name: str, precision: str, device: torch.device, graphed: bool, sizes: Sizes) -> Trained:
    """Make some updates; a config that is deterministic has no graph, and sets nothing else outside a `Run`."""
    recipe, overrides = COMPARED[name]
    config = configure("breakout", recipe, overrides | {"precision": precision, "deterministic": not graphed})
    batches, space = real_play(sizes)
    network = build_network(config, space, ACTIONS, torch.Generator().manual_seed(1)).to(device)
    one = Learner(network, config, device)

    def weights() -> Tensor:
        return torch.cat([flat(p) for p in network.parameters()])

    start = weights()
    for i, b in enumerate(batches):
        if config.loop == "parallel":  # which has nothing left to bootstrap from
            b = Batch(b.state, b.action, b.return_n, torch.zeros_like(b.discount_n), b.state, b.weight, b.rows)
        one.update(b, LR)
        if i == 0:
            loss, _ = one.take_means()
            gradients = [flat(p.grad) for p in network.parameters() if p.grad is not None]
        if i % 10 == 9:
            one.copy_to_target()
    one.check_finite()
    return Trained(loss, gradients, start, weights())


@functools.cache
def real_play(sizes: Sizes) -> tuple[list[Batch], Any]:
    """Batches of Breakout, and its observations. On random frames all states have nearly the same values, and rounding
    decides which action is the best."""
    fields = {
        "num_envs": sizes.envs[-1],
        "device": "cpu",
        "threads": sizes.threads,
        "replay_capacity": 20_000,
        "replay_start": 2_000,
    }
    run, generator = Run(configure("breakout", "cleanrl", fields)), np.random.default_rng(0)
    batches = RecordedPlay(run, sizes.compared, generator).batches(sizes.updates, sizes.batch_size, generator)
    space = run.parts.envs.single_observation_space
    run.parts.envs.close()
    return batches, space


def flat(x: Tensor) -> Tensor:
    return x.detach().cpu().double().flatten()


def share(part: Tensor, whole: Tensor) -> float:
    """Euclidean length of `part` by that of `whole`."""
    return float(part.norm() / whole.norm().clamp_min(1e-12))


# --- tests ------------------------------------------------------------------------------------------------------------


def tests(setting: Setting) -> dict[str, Case]:
    """The tests that wait for a card; without one they are only imported."""
    files = [str(f) for f in sorted((ROOT / "tests").rglob("test_*.py")) if "pytest.mark.gpu" in f.read_text()]
    return {"marked gpu": lambda: pytest_run(setting, files)}


def pytest_run(setting: Setting, files: list[str]) -> Result:
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-o", "addopts=--import-mode=importlib", "-v", "-rfE"]
    command += ["--tb=short", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    if not setting.on_gpu:
        command += ["--collect-only"]
    elif importlib.util.find_spec("xdist"):  # most of a test's time is spent on the processor
        command += ["-n", str(min(8, available_cores()))]
    lines: list[str] = []
    ends = max(5.0, setting.deadline - time.monotonic())
    with subprocess.Popen([*command, *files], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(ends, process.kill)
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
        timer.cancel()
    last = lines[-1].strip("= ") if lines else ""
    return {
        "passed": process.returncode == 0,
        "summary": last if process.returncode >= 0 else f"stopped after {ends:.0f} s, at: {last}",
        "failures": [line for line in lines if re.match(r"(FAILED|ERROR) ", line)],
        "run": setting.on_gpu,
    }
