"""What every step of gpu_check.py is told, and its first three steps: the machine, the update beside the CPU's, tests.

A step is a function that returns its cases by name, in order of worth; a case returns what it found. gpu_steps.py has
the other steps and runs them.
"""

from __future__ import annotations

import dataclasses
import functools
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
from gymnasium.spaces import Box
from torch import Tensor

from keep_result import machine
from pixelq.config import Config
from pixelq.device import available_cores, has_fast_bf16, prepare_cuda
from pixelq.learner.learner import Learner
from pixelq.losses import bound_loss
from pixelq.networks import build_network
from pixelq.networks.observations import likely_observations
from pixelq.profiling.rates import calls_per_second, multiplication_rate
from pixelq.recipes.choice import configure
from pixelq.replay import Batch
from pixelq.transfer import to_device

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
    played: int
    """Agent steps of random play that fill the replay."""
    replay: Result
    """Fields of `Config`: the replay's."""
    envs: tuple[int, ...]
    """Environments of `cleanrl`."""
    parallel: tuple[tuple[str, int], ...]
    """Recipes of PQN and their environments."""
    rollout: Result
    """Fields of `Config`: PQN's."""
    pong: str
    """Options of `pixelq train`."""
    eval_every: int
    """Agent steps between Pong's test games."""


FULL = Sizes(
    seconds=2.0, updates=100, played=10_000, replay={}, envs=(128, 64, 32),
    parallel=(("pqn", 128), ("default", 128), ("default", 256)), rollout={},
    pong="--num-envs 128 --rollout-length 32 --checkpoint-every 0", eval_every=125_000,
)  # fmt: skip
TINY = Sizes(
    seconds=0.1, updates=3, played=60, replay={"replay_capacity": 800, "replay_start": 60}, envs=(2,),
    parallel=(("pqn", 2), ("default", 3)), rollout={"rollout_length": 4, "batch_size": 2},
    pong="--num-envs 2 --rollout-length 8 --batch-size 16 --steps 64 --eval-every 32 --checkpoint-every 0 "
    "--max-frames-per-episode 120", eval_every=32,
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
    "cleanrl": ("cleanrl", {}),
    "double": ("cleanrl", {"loss": "double"}),
    "default": ("default", {}),
    "padding same": ("cleanrl", {"padding": "same"}),
}
BOUNDS = {
    # tests/test_cuda.py, tests/test_fast_path.py
    "float32": {"loss": 1e-4, "gradient": 1e-3, "weights": 1e-2, "from_eager": 2e-3},
    "bf16": {"loss": 2e-2, "gradient": 0.25, "weights": 0.5, "from_eager": 5e-2},
}


@dataclasses.dataclass(frozen=True)
class Trained:
    """A learner's first loss and gradient, and its weights before and after all updates; on the CPU, in float64."""

    loss: float
    gradients: list[Tensor]
    start: Tensor
    weights: Tensor


def update(setting: Setting) -> dict[str, Case]:
    """Updates of the device beside the CPU's; those without a graph first, because a failed capture spoils more."""
    return {
        f"{name}, {precision}, {'graph' if graphed else 'no graph'}": functools.partial(
            compared, setting, name, precision, graphed
        )
        for graphed, precision, name in itertools.product((False, True), BOUNDS, COMPARED)
    }


def compared(setting: Setting, name: str, precision: str, graphed: bool) -> Result:
    if graphed and not setting.on_gpu:
        raise OnlyGpu("a CPU has no CUDA graph")
    prepare_cuda(deterministic=True)  # float32 without TF32
    found = trained(name, precision, setting.device, graphed, setting.sizes.updates)
    cpu = trained(name, precision, CPU, False, setting.sizes.updates)
    apart = {
        "loss": abs(found.loss - cpu.loss) / abs(cpu.loss),
        "gradient": max(share(a - b, b) for a, b in zip(found.gradients, cpu.gradients, strict=True)),
        "weights": share(found.weights - cpu.weights, cpu.weights - cpu.start),
    }
    if graphed:
        eager = trained(name, precision, setting.device, False, setting.sizes.updates)
        apart["from_eager"] = share(found.weights - eager.weights, eager.weights - eager.start)
    bounds = BOUNDS[precision] | ({"weights": 3e-2} if (name, precision) == ("default", "float32") else {})  # RAdam
    return apart | {
        "passed": all(apart[what] < bounds[what] for what in apart),
        "bounds": bounds,
        "updates": setting.sizes.updates,
    }


@functools.cache
def trained(name: str, precision: str, device: torch.device, graphed: bool, updates: int) -> Trained:
    """Make some updates; a config that is deterministic has no graph, and sets nothing else outside a `Run`."""
    recipe, overrides = COMPARED[name]
    # As in tests/test_cuda.py: with a small eps Adam's first steps make much of gradients that are all rounding.
    overrides = overrides | {"precision": precision, "optimizer_eps": 0.01, "deterministic": not graphed}
    config = configure("breakout", recipe, overrides)
    one = learner(config, device)

    def weights() -> Tensor:
        return torch.cat([flat(p) for p in one.network.parameters()])

    start = weights()
    for i in range(updates):
        one.update(random_batch(config, likely_observations(config), i), LR)
        if i == 0:
            loss, _ = one.take_means()
            gradients = [flat(p.grad) for p in one.network.parameters() if p.grad is not None]
        if i % 10 == 9:
            one.copy_to_target()
    one.check_finite()
    return Trained(loss, gradients, start, weights())


def learner(config: Config, device: torch.device) -> Learner:
    """With weights from a seed, for the observations that a recipe is likely to see."""
    generator = torch.Generator().manual_seed(1)
    return Learner(build_network(config, likely_observations(config), ACTIONS, generator).to(device), config, device)


def random_batch(config: Config, space: Box, seed: int) -> Batch:
    """Transitions of random observations, a tenth of them terminal, in the form that the recipe's loop gives them."""
    g, size = torch.Generator().manual_seed(seed), config.batch_size
    shape = (2, size, *space.shape)
    is_image = space.dtype == np.uint8
    seen = torch.randint(0, 256, shape, dtype=torch.uint8, generator=g) if is_image else torch.rand(shape, generator=g)
    action = torch.randint(0, ACTIONS, (size,), generator=g)
    reward = torch.randint(-1, 2, (size,), generator=g).float()
    if bound_loss(config).returns is not None:  # a rollout's returns: nothing is left to bootstrap from
        return Batch.unweighted(seen[0], action, reward, torch.zeros(size), seen[0])
    discount = 0.99 * (torch.rand(size, generator=g) > 0.1).float()
    return Batch.unweighted(seen[0], action, reward, discount, seen[1])


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
    command += [] if setting.on_gpu else ["--collect-only"]
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
