"""Q-values on a CUDA device in one launch, for as many states as there are environments."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pixelq.machine.cuda_graph import captured
from pixelq.machine.out_of_memory import is_out_of_memory
from pixelq.networks.network import Network

WARM_UP = 3
"""Calls of one shape before it is captured: libraries start, and others may ask only once or twice."""


class GraphedValues:
    """The forward pass of a network without a memory as a CUDA graph.

    Acting is some thirty small kernels. Launched one by one from Python they take a slow processor milliseconds, and
    the card a tenth of one. A graph reads the weights where they lie, so it sees every update that changes them in
    place; if they lie elsewhere, it is captured anew.

    Args:
        network: Q(.; theta), on `device`.
        device: a CUDA device.
    """

    def __init__(self, network: Network, device: torch.device) -> None:
        self._network, self._device = network, device
        self._stream = torch.cuda.Stream(device)
        self._shape: tuple[int, ...] = ()
        self._noise: torch.Generator | None = None
        self._asked = 0
        """Calls in a row of one shape, without a graph."""
        self._refused = False
        """Whether the network does what no graph can hold."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._places: list[int] = []
        """Where the weights and statistics lie that it reads."""
        self._sent: Tensor | None = None
        """Page-locked: the states on their way."""
        self._states: Tensor | None = None
        self._values: Tensor | None = None

    def __call__(self, observations: np.ndarray, noise: torch.Generator | None) -> np.ndarray | None:
        """Q(s, .; theta) float32 `(N, A)`; None for states of a shape that is not captured, or not yet.

        Args:
            observations: `(N, stack, ...)`.
            noise: as of `Network.q_values`.
        """
        if self._graph is not None and self._places != self._where():
            self._graph = None
        if self._graph is None:
            self._look(observations, noise)
        if self._graph is None or observations.shape != self._shape or noise is not self._noise:
            return None
        assert self._sent is not None
        assert self._states is not None
        assert self._values is not None
        self._sent.copy_(torch.from_numpy(observations))
        self._states.copy_(self._sent, non_blocking=True)
        self._graph.replay()
        values: np.ndarray = self._values.cpu().numpy()  # waits, so `_sent` may be written again
        return values

    def _look(self, observations: np.ndarray, noise: torch.Generator | None) -> None:
        """Count the calls of one shape, and capture it when it has come often enough."""
        if self._refused:
            return
        same = observations.shape == self._shape and noise is self._noise
        self._asked = self._asked + 1 if same else 0
        self._shape, self._noise = observations.shape, noise
        if self._asked < WARM_UP:
            return
        self._sent = torch.from_numpy(observations).clone().pin_memory()
        self._states = self._sent.to(self._device)
        self._refused = not self._waits_for_nothing()
        if not self._refused:
            self._places = self._where()
            self._graph, self._values = captured(self._forward, self._stream, noise)

    def _waits_for_nothing(self) -> bool:
        """Whether the forward pass asks for no value, as a part of one's own may; a capture would be spoiled by it.

        It is made on the stream of the capture: libraries take their workspace for a stream when they first use it.
        """
        current, before = torch.cuda.current_stream(self._device), torch.cuda.get_sync_debug_mode()
        self._stream.wait_stream(current)
        try:
            torch.cuda.set_sync_debug_mode("error")
            with torch.cuda.stream(self._stream):
                self._forward()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            return False
        finally:
            torch.cuda.set_sync_debug_mode(before)
            current.wait_stream(self._stream)
        return True

    def _where(self) -> list[int]:
        return [x.data_ptr() for x in (*self._network.parameters(), *self._network.buffers())]

    def _forward(self) -> Tensor:
        assert self._states is not None
        with torch.inference_mode():
            return self._network.q_values(self._states, self._noise)
