"""A whole update as one CUDA graph: forward, backward, clipping, optimizer, soft target and sums in one launch.

The 2015 network's update is some hundred small kernels. On a GPU each takes a few microseconds to run and as long to be
launched from Python, so the processor is what limits it; a captured graph is launched once.

Source: PyTorch's notes on CUDA semantics, "CUDA Graphs"; LeanRL does the same with `CudaGraphModule`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from pixelq.errors import UserError
from pixelq.networks import QNetwork
from pixelq.replay.batch import Batch
from pixelq.transfer import page_locked

WARM_UP = 3
"""Updates made kernel by kernel before one is captured, as PyTorch's notes have it: libraries start, the optimizer's
state comes to be. They are the run's own first updates, so nothing they change has to be taken back."""


class GraphedUpdate:
    """Makes updates on a CUDA device; from the fourth batch of the usual shape on each is one replay of a graph.

    A graph repeats kernels on the addresses they were captured with, and none of the Python around them. Hence:

    - a batch is copied into tensors that stay, and so is the learning rate;
    - what `step` changes (weights, moments, sums, target) it must change in place, and it must ask for no value;
    - the networks' bf16 copies are cast within the graph, at every replay, so neither the optimizer's steps nor a hard
      copy to the target network leave it with old ones; and copies held from before are dropped, so that the graph does
      not read those;
    - a replay raises the weights' version counters, by which acting knows that its own copies are old.

    Args:
        step: the update of one batch on the device, kernel by kernel.
        networks: all whose weights it reads.
        optimizer: capturable; its learning rate becomes a tensor that belongs to this object.
        device: a CUDA device.
    """

    def __init__(
        self,
        step: Callable[[Batch], None],
        networks: Sequence[QNetwork],
        optimizer: torch.optim.Optimizer,
        device: torch.device,
    ) -> None:
        self._step = step
        self._networks = networks
        self._weights = [parameter for network in networks for parameter in network.parameters()]
        self._device = device
        # All updates run on one stream beside the default one, which cannot be captured: autograd remembers for a
        # weight on which stream its gradient was last wanted.
        self._stream = torch.cuda.Stream(device)
        self._learning_rate = torch.zeros((), device=device)
        self._learning_rate_is = 0.0
        for group in optimizer.param_groups:
            group["lr"] = self._learning_rate
        self._inputs: Batch | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = 0

    def __call__(self, batch: Batch, learning_rate: float) -> None:
        """One update; waits for nothing on the device, except when the graph is captured.

        Args:
            batch: on the device or not. One of another shape than the first is updated on kernel by kernel.
            learning_rate: step size of this update.

        Raises:
            UserError: `step` does what no graph can hold.
        """
        if learning_rate != self._learning_rate_is:
            self._learning_rate.fill_(learning_rate)
            self._learning_rate_is = learning_rate
        if self._inputs is None:
            self._inputs = _empty_like(batch, self._device)
        if not _fits(batch, self._inputs):
            with self._beside():
                self._step(batch.to(self._device))
            return
        _fill(self._inputs, batch)
        if self._graph is None and self._warm < WARM_UP:
            self._warm += 1
            with self._beside():
                self._step(self._inputs)
            return
        if self._graph is None:
            self._graph = self._captured(self._inputs)
        self._graph.replay()
        torch.autograd.graph.increment_version(self._weights)

    def forget(self) -> None:
        """Drop the graph, because tensors that it reads or writes have been replaced; the next updates make another."""
        self._graph, self._warm = None, 0

    def _captured(self, inputs: Batch) -> torch.cuda.CUDAGraph:
        """The graph of one update; capturing runs none of it."""
        graph = torch.cuda.CUDAGraph()
        self._forget_casts()
        try:
            # thread_local: a thread that draws the next minibatch, or writes a checkpoint, may go on meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._step(inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"the update cannot be captured as a CUDA graph ({reason}); a loss of your own must not ask for a "
                "value (.item(), .cpu(), `if` on a tensor); --deterministic updates without a graph"
            ) from error
        finally:
            self._forget_casts()
        return graph

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """Inside, work goes to the stream of updates: after all that was queued, before all that will be."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        self._forget_casts()
        with torch.cuda.stream(self._stream):
            yield
        # Memory of one stream's tensors is given out again in that stream's order: casts do not cross over.
        self._forget_casts()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def _forget_casts(self) -> None:
        for network in self._networks:
            network.forget_casts()


def _tensors(batch: Batch) -> tuple[Tensor, ...]:
    """The batch's tensors, each once: where nothing is bootstrapped, `next_state` is `state`."""
    own = (batch.state, batch.action, batch.return_n, batch.discount_n)
    return own if batch.next_state is batch.state else (*own, batch.next_state)


def _empty_like(batch: Batch, device: torch.device) -> Batch:
    def like(x: Tensor) -> Tensor:
        return torch.empty(x.shape, dtype=x.dtype, device=device)

    state = like(batch.state)
    next_state = state if batch.next_state is batch.state else like(batch.next_state)
    return Batch(state, like(batch.action), like(batch.return_n), like(batch.discount_n), next_state)


def _fits(batch: Batch, inputs: Batch) -> bool:
    ours, theirs = _tensors(inputs), _tensors(batch)
    same = (a.shape == b.shape and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=False))
    return len(ours) == len(theirs) and all(same)


def _fill(inputs: Batch, batch: Batch) -> None:
    for own, given in zip(_tensors(inputs), _tensors(batch), strict=True):
        own.copy_(given if given.is_cuda else page_locked(given), non_blocking=True)
