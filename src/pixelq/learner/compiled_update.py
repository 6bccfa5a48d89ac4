"""A whole update as one compiled program for the CPU: forward, backward, clipping, optimizer, soft target and sums.

Kernel by kernel, an update of 32 passes over its 1.7 million weights seven times (casts to bfloat16 and back, Adam) and
over every feature map several times. Compiled, what is done to each element is done in one pass, and Python takes no
part. Convolutions and matrix products stay oneDNN's.

Source: PyTorch's documentation of `torch.compile` and of `make_fx`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from pixelq.errors import UserError
from pixelq.networks import QNetwork
from pixelq.replay.batch import Batch


class CompiledUpdate:
    """Makes updates on the CPU; from the third batch of the usual shape on each is one call of a compiled program.

    The first update is made kernel by kernel, so that the optimizer's state comes to be; the second while it is
    recorded; the third waits for the compiler, some ten seconds. Each of them is one of the run's updates.

    What is recorded is the operations on tensors and none of the Python around them. Hence, as in a CUDA graph, `step`
    changes what lasts in place and asks for no value, and the learning rate is a tensor. The program begins with the
    networks' bf16 copies as they lie in memory, and ends with casts of the weights that it has changed.

    Args:
        step: the update of one batch, kernel by kernel.
        networks: all whose weights it reads.
        optimizer: made of plain operations on tensors; its learning rate becomes a tensor that belongs to this object.
    """

    def __init__(
        self, step: Callable[[Batch], None], networks: Sequence[QNetwork], optimizer: torch.optim.Optimizer
    ) -> None:
        self._step = step
        self._networks = networks
        self._weights = [parameter for network in networks for parameter in network.parameters()]
        self._optimizer = optimizer
        self._learning_rate = torch.zeros(())
        for group in optimizer.param_groups:
            group["lr"] = self._learning_rate
        self._shape: torch.Size | None = None
        self._program: Callable[..., Any] | None = None

    def __call__(self, batch: Batch, learning_rate: float) -> None:
        """One update.

        Args:
            batch: on the CPU. One of another shape than the first is updated on kernel by kernel.
            learning_rate: step size of this update.

        Raises:
            UserError: `step` cannot be recorded, or the compiler fails.
        """
        self._learning_rate.fill_(learning_rate)
        self._renew_casts()
        if self._shape is None or batch.state.shape != self._shape:
            self._shape = self._shape or batch.state.shape
            self._step(batch)
            return
        try:
            if self._program is None:
                self._program = self._recorded(batch)
                return
            with torch.no_grad():
                self._program(*_tensors(batch))
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"the update cannot be compiled ({reason}); a loss of your own must not ask for a value (.item(), `if` "
                "on a tensor); --no-compile updates without a compiler"
            ) from error
        torch.autograd.graph.increment_version(self._weights)
        for network in self._networks:
            network.casts_are_renewed()

    def forget(self) -> None:
        """Drop the program, because tensors that it reads or writes have been replaced; the next updates make one."""
        self._shape = self._program = None

    def _renew_casts(self) -> None:
        for network in self._networks:
            network.renew_casts()

    def _recorded(self, batch: Batch) -> Callable[..., Any]:
        """Make one update and return a program that makes such updates."""

        def step(*tensors: torch.Tensor) -> None:
            self._step(Batch(*tensors))
            self._renew_casts()

        operations = make_fx(step, tracing_mode="real")(*_tensors(batch))
        for node in reversed(operations.graph.nodes):
            if str(node.target).startswith("profiler."):  # optimizers name themselves in traces; it splits programs
                operations.graph.erase_node(node)
        operations.recompile()
        self._optimizer.zero_grad(set_to_none=True)
        # Asserts on every tensor's strides would take 0.1 ms of six.
        return torch.compile(operations, fullgraph=True, dynamic=False, options={"size_asserts": False})


def _tensors(batch: Batch) -> tuple[torch.Tensor, ...]:
    return batch.state, batch.action, batch.return_n, batch.discount_n, batch.next_state
