"""A whole update as one CUDA graph: forward, backward, clipping, optimizer, soft target and sums in one launch.

The 2015 network's update is some hundred small kernels. On a GPU each takes a few microseconds to run and as long to be
launched from Python, so the processor is what limits it; a captured graph is launched once.

Source: PyTorch's notes on CUDA semantics, "CUDA Graphs"; LeanRL does the same with `CudaGraphModule`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pixelq.errors import UserError
from pixelq.learner.optimizers import Optimizer, set_learning_rate
from pixelq.machine.cuda_graph import captured
from pixelq.machine.out_of_memory import is_out_of_memory
from pixelq.machine.transfer import page_locked
from pixelq.replay.batch import Batch

WARM_UP = 3
"""Updates made kernel by kernel before one is captured, as PyTorch's notes have it: libraries start, the optimizer's
state comes to be. They are the run's own first updates, so nothing they change has to be taken back."""


class GraphedUpdate:
    """Makes updates on a CUDA device; from the fourth batch of the usual shape on each is one replay of a graph.

    A graph repeats kernels on the addresses they were captured with, and none of the Python around them. Hence:

    - a batch is copied into tensors that stay, and so is the learning rate;
    - what `step` changes (weights, moments, sums, target) it must change in place, and it must ask for no value;
    - the noise generator is registered with the graph, so that every replay draws anew;
    - priorities lie in one tensor that the next replay overwrites.

    Args:
        step: the update of one batch on the device, kernel by kernel; returns priorities.
        optimizer: capturable; its learning rates become tensors that belong to this object.
        device: a CUDA device.
        noise: on the device; what `step` draws from.
    """

    def __init__(
        self,
        step: Callable[[Batch], Tensor],
        optimizer: Optimizer,
        device: torch.device,
        noise: torch.Generator,
    ) -> None:
        self._step, self._device, self._noise = step, device, noise
        # All updates run on one stream beside the default one, which cannot be captured: autograd remembers for a
        # weight on which stream its gradient was last wanted.
        self._stream = torch.cuda.Stream(device)
        self._optimizer = optimizer
        self._learning_rate_is = 0.0
        for group in optimizer.param_groups:
            group["lr"] = torch.zeros((), device=device)
        self._inputs: Batch | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._priority: Tensor | None = None
        """Where the graph writes priorities."""
        self._warm = 0

    def __call__(self, batch: Batch, learning_rate: float) -> Tensor:
        """One update; waits for nothing on the device, except when the graph is captured.

        Returns its priorities, float32 `(B,)`, on the device, until the next update overwrites them.

        Args:
            batch: on the device or not. One of another shape than the first is updated on kernel by kernel.
            learning_rate: step size of this update.

        Raises:
            UserError: `step` does what no graph can hold.
        """
        if learning_rate != self._learning_rate_is:
            set_learning_rate(self._optimizer, learning_rate)
            self._learning_rate_is = learning_rate
        if self._inputs is None:
            self._inputs = batch.map(self._like)
        if not _fits(batch, self._inputs):
            return self._beside(batch.to(self._device))
        given = [x if x.is_cuda else page_locked(x) for x in batch.tensors()]
        torch._foreach_copy_(self._inputs.tensors(), given, non_blocking=True)  # one call: each costs the processor
        if self._graph is None and self._warm < WARM_UP:
            self._warm += 1
            return self._beside(self._inputs)
        if self._graph is None:
            self._graph = self._captured(self._inputs)
        self._graph.replay()
        assert self._priority is not None
        return self._priority

    def forget(self) -> None:
        """Drop the graph, because tensors that it reads or writes have been replaced; the next updates make another."""
        self._graph, self._warm = None, 0

    def _captured(self, inputs: Batch) -> torch.cuda.CUDAGraph:
        """The graph of one update; capturing runs none of it."""
        try:
            graph, self._priority = captured(lambda: self._step(inputs), self._stream, self._noise)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"the update cannot be captured as a CUDA graph ({reason}); a loss of your own must not ask for a "
                "value (.item(), .cpu(), `if` on a tensor); --deterministic updates without a graph"
            ) from error
        return graph

    def _beside(self, batch: Batch) -> Tensor:
        """An update on the stream of updates: after all that was queued, before all that will be."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            priority = self._step(batch)
        current.wait_stream(self._stream)
        priority.record_stream(current)
        return priority

    def _like(self, x: Tensor) -> Tensor:
        return torch.empty(x.shape, dtype=x.dtype, device=self._device)


def _fits(batch: Batch, inputs: Batch) -> bool:
    """Whether two batches have as many tensors, of the same shapes and dtypes in the same order."""
    ours, theirs = inputs.tensors(), batch.tensors()
    same = (a.shape == b.shape and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=False))
    return len(ours) == len(theirs) and all(same)
