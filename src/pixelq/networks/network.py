"""A network: torso, hidden layers, head. Q(s, .; theta) of every action in one forward pass."""

from __future__ import annotations

import inspect

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from pixelq.image_and_numbers import ImageAndNumbers
from pixelq.networks.fast.fast_torso import FastTorso, fast_torso
from pixelq.networks.frame_normalisation import FrameNormalisation
from pixelq.networks.layers import HiddenLayers, arithmetic

PIXEL_SCALE = 1.0 / 255.0


class Network(nn.Module):
    """From states to a head's output (Mnih et al. 2013, section 4.1; 2015, Methods).

    Torso, hidden layers and head are ordinary modules under autograd. Where they are the plain ones, `fast_torso` does
    the same in less time; it is passed by where the states want a gradient. Parameters are float32. With
    `precision="bf16"` torso and hidden layers compute in bfloat16 from casts made in the forward pass, so gradients
    arrive at the float32 weights; the head's output is float32, because bfloat16's spacing is wider than the gap
    between actions.

    Args:
        torso: see `pixelq.networks.torsos`.
        hidden: linear layers between torso and head.
        head: see `pixelq.networks.heads`.
        observation_space: of one environment: (stack, H, W) or (stack, H, W, channels) for images, else (stack, d).
            Bytes are scaled to 0..1, floats taken as they are. Of `ImageAndNumbers` the images go through the torso,
            and the numbers of all frames of the stack stand beside its features.
        num_actions: A.
        precision: of torso and hidden layers.
        normalisation: of the states' elements, in place of the bytes' scale; None: there is none.
        numbers_normalisation: the same for the numbers of `ImageAndNumbers`.
    """

    def __init__(
        self, torso: nn.Module, hidden: HiddenLayers, head: nn.Module, *, observation_space: Box, num_actions: int,
        precision: str, normalisation: FrameNormalisation | None = None,
        numbers_normalisation: FrameNormalisation | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalisation, self.numbers_normalisation = normalisation, numbers_normalisation
        self.torso, self.hidden, self.head = torso, hidden, head
        self.observation_space, self.num_actions, self.precision = observation_space, num_actions, precision
        self._torso_takes_noise = "noise" in inspect.signature(torso.forward).parameters
        self._scale = PIXEL_SCALE if observation_space.dtype == np.uint8 else 1.0
        self._state_dtype = torch.uint8 if observation_space.dtype == np.uint8 else torch.float32
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.fast: FastTorso | None = None
        if normalisation is None and not isinstance(observation_space, ImageAndNumbers):
            self.fast = fast_torso(torso, hidden, observation_space, self._scale, self._dtype)
        """The fast way through torso and hidden layers; set it to None to go through the modules themselves."""

    @property
    def recurrent_size(self) -> int:
        """Numbers that it remembers of an environment; 0: it has no memory."""
        return 0

    def forward(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """The head's output, float32.

        Args:
            state: `(B, *observation_space.shape)`, in the space's dtype (floats of the same values are as good).
            noise: for noisy layers and sampled quantiles, on the state's device; None: their means.

        Returns:
            what the head gives: `(B, A)`, `(B, A, atoms)`, ...
        """
        output: Tensor = self.head(self.features(state, noise), noise)
        return output

    def features(
        self, state: Tensor, noise: torch.Generator | None = None, lowered: list[Tensor] | None = None
    ) -> Tensor:
        """What the head is given: `(B, d)` in the torso's arithmetic; arguments as for `q_values`."""
        if self.fast is not None and state.dtype == self._state_dtype and not state.requires_grad:
            return self.fast(state, self.torso, self.hidden, lowered)  # type: ignore[arg-type]
        numbers: Tensor | None = None
        if isinstance(self.observation_space, ImageAndNumbers):
            state, numbers = self.observation_space.split(state)
        with arithmetic(self.precision, state.device):
            given = self._as_input(state)
            x: Tensor = self.torso(given, noise=noise) if self._torso_takes_noise else self.torso(given)
        if numbers is not None:
            if self.numbers_normalisation is not None:
                numbers = self.numbers_normalisation(numbers)
            x = torch.cat([x, numbers.flatten(1).to(x.dtype)], dim=1)
        return self.hidden(x, noise)

    def observe(self, observations: np.ndarray) -> None:
        """Let the running statistics, if there are any, count the newest frame of each of `(N, stack, ...)`."""
        newest = torch.from_numpy(observations[:, -1:])
        if self.numbers_normalisation is not None and isinstance(self.observation_space, ImageAndNumbers):
            newest, numbers = self.observation_space.split(newest)
            self.numbers_normalisation.observe(numbers[:, 0])
        if self.normalisation is not None:
            self.normalisation.observe(newest[:, 0])

    def q_values(
        self, state: Tensor, noise: torch.Generator | None = None, lowered: list[Tensor] | None = None
    ) -> Tensor:
        """Q(s, .; theta), float32 `(B, A)`.

        Args:
            state: as for `forward`.
            noise: as for `forward`.
            lowered: what `lowered_weights` gave, if the weights have not changed since; None: as they are now.
        """
        values: Tensor = self.head.values(self.head(self.features(state, noise, lowered), noise))  # type: ignore[operator]
        return values

    def values(self, output: Tensor, state: Tensor) -> Tensor:
        """Q(s, .) by an output of the head, whole or a part of its samples, float32 `(B, A)`.

        Args:
            output: of the head, `(B, A, ...)`.
            state: which it belongs to. Of no effect here; where actions are masked, it says which are allowed.
        """
        values: Tensor = self.head.values(output)  # type: ignore[operator]
        return values

    def lowered_weights(self) -> list[Tensor] | None:
        """Torso's and hidden weights as the fast pass reads them, to act with until they change; None: no fast pass."""
        return None if self.fast is None else self.fast.lowered(self.torso, self.hidden)  # type: ignore[arg-type]

    def _as_input(self, state: Tensor) -> Tensor:
        """Images `(B, channels, H, W)` in channels_last, or vectors `(B, d)`, in the torso's arithmetic."""
        if self.normalisation is not None:
            state = self.normalisation(state)
        elif self._scale != 1.0:
            state = state.to(self._dtype) * self._scale
        if state.dim() < 4:
            return state.flatten(1).to(self._dtype)
        if state.dim() == 5:
            state = state.permute(0, 1, 4, 2, 3).flatten(1, 2)
        return state.to(self._dtype).contiguous(memory_format=torch.channels_last)
