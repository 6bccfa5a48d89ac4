"""A whole update as one compiled program for the CPU: forward, backward, clipping, optimizer, soft target and sums.

Kernel by kernel, an update of 32 passes over its 1.7 million weights seven times (casts to bfloat16 and back, Adam) and
over every feature map several times. Compiled, what is done to each element is done in one pass, and Python takes no
part. Convolutions and matrix products stay oneDNN's.

Source: PyTorch's documentation of `torch.compile` and of `make_fx`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pixelq.errors import UserError
from pixelq.replay.batch import Batch


class CompiledUpdate:
    """Makes updates on the CPU; from the third batch of the usual shape on each is one call of a compiled program.

    The first update is made kernel by kernel, so that the optimizer's state comes to be; the second while it is
    recorded; the third waits for the compiler, some ten seconds. Each of them is one of the run's updates.

    What is recorded is the operations on tensors and none of the Python around them. Hence, as in a CUDA graph, `step`
    changes what lasts in place and asks for no value, and the learning rate is a tensor.

    Args:
        step: the update of one batch, kernel by kernel; returns priorities.
        optimizer: made of plain operations on tensors; its learning rate becomes a tensor that belongs to this object.
    """

    def __init__(self, step: Callable[[Batch], Tensor], optimizer: torch.optim.Optimizer) -> None:
        self._step = step
        self._optimizer = optimizer
        self._learning_rate = torch.zeros(())
        for group in optimizer.param_groups:
            group["lr"] = self._learning_rate
        self._shape: torch.Size | None = None
        self._program: Callable[..., Tensor] | None = None

    def __call__(self, batch: Batch, learning_rate: float) -> Tensor:
        """One update; returns its priorities, float32 `(B,)`.

        Args:
            batch: on the CPU. One of another shape than the first is updated on kernel by kernel.
            learning_rate: step size of this update.

        Raises:
            UserError: `step` cannot be recorded, or the compiler fails.
        """
        self._learning_rate.fill_(learning_rate)
        if self._shape is None or batch.state.shape != self._shape:
            self._shape = self._shape or batch.state.shape
            return self._step(batch)
        try:
            if self._program is None:
                priority, self._program = self._recorded(batch)
                return priority
            with torch.no_grad():
                return self._program(*_fields(batch))
        except (RuntimeError, TypeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"the update cannot be compiled ({reason}); a loss of your own must not ask for a value (.item(), `if` "
                "on a tensor), and one that draws noise cannot be compiled; --no-compile updates without a compiler"
            ) from error

    def forget(self) -> None:
        """Drop the program, because tensors that it reads or writes have been replaced; the next updates make one."""
        self._shape = self._program = None

    def _recorded(self, batch: Batch) -> tuple[Tensor, Callable[..., Tensor]]:
        """Make one update; return its priorities and a program that makes such updates."""
        made: list[Tensor] = []

        def step(*tensors: Tensor) -> Tensor:
            made.append(self._step(Batch(*tensors)))
            return made[0]

        operations = make_fx(step, tracing_mode="real")(*_fields(batch))
        for node in reversed(operations.graph.nodes):
            if str(node.target).startswith("profiler."):  # optimizers name themselves in traces; it splits programs
                operations.graph.erase_node(node)
        operations.recompile()
        self._optimizer.zero_grad(set_to_none=True)
        # Asserts on every tensor's strides would take 0.1 ms of six.
        return made[0], torch.compile(operations, fullgraph=True, dynamic=False, options={"size_asserts": False})


def _fields(batch: Batch) -> tuple[Tensor, ...]:
    return tuple(getattr(batch, f.name) for f in dataclasses.fields(batch))
