"""A whole update as one compiled program for the CPU: forward, backward, clipping, optimizer, soft target and sums.

Kernel by kernel, an update of 32 passes over its 1.7 million weights seven times (casts to bfloat16 and back, Adam) and
over every feature map several times. Compiled, what is done to each element is done in one pass, and Python takes no
part. Convolutions and matrix products stay oneDNN's.

Source: PyTorch's documentation of `torch.compile` and of `make_fx`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pixelq.errors import UserError
from pixelq.learner.optimizers import Optimizer, set_learning_rate
from pixelq.losses import BoundLoss
from pixelq.machine.out_of_memory import is_out_of_memory
from pixelq.networks import Network
from pixelq.replay.batch import Batch


class CompiledUpdate:
    """Makes updates on the CPU; from the third batch of the usual shape on each is one call of a compiled program.

    The first update is made kernel by kernel, so that the optimizer's state comes to be; the second while it is
    recorded; the third waits for the compiler, some ten seconds. Each of them is one of the run's updates.

    What is recorded is the operations on tensors and none of the Python around them. Hence, as in a CUDA graph, `step`
    changes what lasts in place and asks for no value, and the learning rate is a tensor.

    Args:
        step: the update of one batch, kernel by kernel; returns priorities.
        optimizer: made of plain operations on tensors; its learning rates become tensors that belong to this object.
    """

    def __init__(self, step: Callable[[Batch], Tensor], optimizer: Optimizer) -> None:
        self._step = step
        self._optimizer = optimizer
        for group in optimizer.param_groups:
            group["lr"] = torch.zeros(())
        self._shape: torch.Size | None = None
        self._program: Callable[..., Tensor] | None = None
        self._compiled_for: set[int] = set()
        """Numbers of threads with which the program has run: its first call with each compiles it."""

    def __call__(self, batch: Batch, learning_rate: float) -> Tensor:
        """One update; returns its priorities, float32 `(B,)`.

        Args:
            batch: on the CPU. One of another shape than the first is updated on kernel by kernel.
            learning_rate: step size of this update.

        Raises:
            UserError: `step` cannot be recorded, or the compiler fails. What a compiled program raises passes as it is,
                and so does a lack of memory at any time.
        """
        set_learning_rate(self._optimizer, learning_rate)
        if self._shape is None or batch.state.shape != self._shape:
            self._shape = self._shape or batch.state.shape
            return self._step(batch)
        if self._program is None:
            with _told_as_not_compiled():
                priority, self._program = self._recorded(batch)
            return priority
        with torch.no_grad():
            if torch.get_num_threads() in self._compiled_for:
                return self._program(*_fields(batch))
            with _told_as_not_compiled():
                priority = self._program(*_fields(batch))
        self._compiled_for.add(torch.get_num_threads())
        return priority

    def forget(self) -> None:
        """Drop the program, because tensors that it reads or writes have been replaced; the next updates make one."""
        self._shape = self._program = None
        self._compiled_for.clear()

    def _recorded(self, batch: Batch) -> tuple[Tensor, Callable[..., Tensor]]:
        """Make one update; return its priorities and a program that makes such updates."""
        made: list[Tensor] = []
        names = batch.named_tensors().keys()

        def step(*tensors: Tensor) -> Tensor:
            made.append(self._step(_batch(names, tensors)))
            return made[0]

        operations = make_fx(step, tracing_mode="real")(*_fields(batch))
        for node in reversed(operations.graph.nodes):
            if str(node.target).startswith("profiler."):  # optimizers name themselves in traces; it splits programs
                operations.graph.erase_node(node)
        operations.recompile()
        self._optimizer.zero_grad(set_to_none=True)
        # Asserts on every tensor's strides would take 0.1 ms of six.
        return made[0], torch.compile(operations, fullgraph=True, dynamic=False, options={"size_asserts": False})


def check_can_be_recorded(loss: BoundLoss, network: Network, target_network: Network, noise: torch.Generator) -> None:
    """Record a loss once, on copies and a batch of zeros, so that a run that cannot be compiled is refused early.

    Args:
        loss: of the recipe, with its options.
        network: Q(.; theta).
        target_network: Q(.; theta-).
        noise: what networks and losses draw from.

    Raises:
        UserError: the loss or a layer draws noise, or asks for a value.
    """
    copied = copy.deepcopy(network).train()
    target = copied if target_network is network else copy.deepcopy(target_network)
    own = torch.Generator(noise.device)
    own.set_state(noise.get_state())
    space: Any = network.observation_space
    state = torch.zeros((2, *space.shape), dtype=torch.uint8 if space.dtype == np.uint8 else torch.float32)
    batch = Batch.unweighted(state, torch.zeros(2, dtype=torch.int64), torch.zeros(2), torch.zeros(2), state)

    names = batch.named_tensors().keys()

    def recorded(*tensors: Tensor) -> Tensor:
        return loss(copied, target, _batch(names, tensors), own).loss

    with _told_as_not_compiled():
        make_fx(recorded, tracing_mode="real")(*_fields(batch))
    # Where tracing lets it pass, the numbers drawn here would stand in the program for ever.
    if not torch.equal(own.get_state(), noise.get_state()):
        raise _not_compiled("the loss or a layer draws noise")


@contextmanager
def _told_as_not_compiled() -> Iterator[None]:
    """Around what records or compiles: tell that it failed, and why. A lack of memory is no fault of the update."""
    try:
        yield
    except (RuntimeError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise _not_compiled(error) from error


def _not_compiled(error: Exception | str) -> UserError:
    reason = str(error).strip().partition("\n")[0]
    return UserError(
        f"the update cannot be compiled ({reason}); a loss of your own must not ask for a value (.item(), `if` "
        "on a tensor), and one that draws noise cannot be compiled; --no-compile updates without a compiler"
    )


def _fields(batch: Batch) -> tuple[Tensor, ...]:
    return tuple(batch.named_tensors().values())


def _batch(names: Iterable[str], tensors: tuple[Tensor, ...]) -> Batch:
    """The inverse of `_fields`."""
    return Batch(**dict(zip(names, tensors, strict=True)))
