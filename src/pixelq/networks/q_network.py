"""The action-value network Q(phi, a; theta): convolutions, hidden linear layers, one linear output per action."""

from __future__ import annotations

import math
from typing import Literal, cast

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import convert_conv2d_weight_memory_format, skip_init

from pixelq.networks.first_layer import BlockInput, FirstLayer, PlainInput, reads_blocks
from pixelq.networks.lowered_weights import LoweredWeights
from pixelq.networks.torso_pass import Layer, TorsoPass
from pixelq.networks.torsos import Torso, output_size

PIXEL_SCALE = 1.0 / 255.0


class QNetwork(nn.Module):
    """Q(phi, .; theta) for every action in one forward pass (Mnih et al. 2013, section 4.1; 2015, Methods).

    Parameters are float32 master weights, convolutions in `channels_last`. With `precision="bf16"` the torso computes
    in bfloat16 from copies made in the forward pass, so that gradients arrive at the float32 weights; float32
    observations are rounded to it (to one part in 256). The output layer stays float32, because bfloat16's spacing is
    wider than the gap between actions.

    Args:
        torso: its layers.
        observation_space: of one environment: (stack, H, W) or (stack, H, W, channels) for convolutions, else
            (stack, d). Bytes are scaled to 0..1 (folded into the first layer's weights), floats taken as they are.
        num_actions: outputs.
        norm: "layer" normalises over all channels and positions after each hidden layer (PQN, arXiv 2407.04811).
        initialisation: "torch" (uniform within 1/sqrt(fan in)) or "orthogonal" (gain sqrt 2, output 1, zero biases).
        precision: arithmetic of the torso.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        torso: Torso,
        *,
        observation_space: Box,
        num_actions: int,
        norm: Literal["none", "layer"] = "none",
        initialisation: Literal["torch", "orthogonal"] = "torch",
        precision: Literal["float32", "bf16"] = "float32",
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.observation_space, self.num_actions = observation_space, num_actions
        strides = [*(layer.stride for layer in torso.convolutions), *(0 for _ in torso.hidden)]
        self._first = _first_layer(torso, observation_space, precision)
        if isinstance(self._first, BlockInput):
            strides[0] = 1
        self._lowered = LoweredWeights(torch.bfloat16 if precision == "bf16" else torch.float32, self._first.weight)
        # skip_init: layers are made without drawing from torch's global generator.
        self.convolutions = nn.ModuleList()
        features = math.prod(observation_space.shape)
        if torso.convolutions:
            stack, height, width, *colours = observation_space.shape
            channels = stack * math.prod(colours)
            for layer in torso.convolutions:
                self.convolutions.append(
                    skip_init(nn.Conv2d, channels, layer.channels, kernel_size=layer.kernel, stride=layer.stride)
                )
                channels = layer.channels
            features = channels * math.prod(output_size(torso, height, width))
        self.hidden = nn.ModuleList()
        for units in torso.hidden:
            self.hidden.append(skip_init(nn.Linear, features, units))
            features = units
        self.output = skip_init(nn.Linear, features, num_actions)
        self.norms = nn.ModuleList()
        if norm == "layer":
            widths = [*(layer.channels for layer in torso.convolutions), *torso.hidden]
            self.norms.extend(nn.GroupNorm(1, width) for width in widths)
        _initialise(self, initialisation, generator)
        convert_conv2d_weight_memory_format(self, torch.channels_last)
        eps = cast(nn.GroupNorm, self.norms[0]).eps if self.norms else None
        self._layers = [Layer(stride, eps) for stride in strides]

    def forward(self, state: Tensor) -> Tensor:
        """Q-values of every action.

        Args:
            state: `(B, *observation_space.shape)`, in the space's dtype.

        Returns:
            float32 `(B, num_actions)`.
        """
        masters = self._torso_parameters()
        x = self._first.observations(state, self._lowered.dtype)
        x = TorsoPass.apply(x, self._layers, self._first.gradient, self._lowered(masters), *masters)
        return F.linear(x.float(), self.output.weight, self.output.bias)

    def renew_casts(self) -> None:
        """Cast the weights if they have changed, as the next forward pass would, into the memory of their casts."""
        self._lowered(self._torso_parameters())

    def casts_are_renewed(self) -> None:
        """Take the casts for those of the weights as they are: a program that changed the weights wrote them too."""
        self._lowered.are_renewed(self._torso_parameters())

    def forget_casts(self) -> None:
        """Cast the weights anew in the next forward pass, changed or not: a CUDA graph must hold the casts it uses."""
        self._lowered.forget()

    def _torso_parameters(self) -> list[Tensor]:
        """Per layer weight and bias, then those of its normalisation."""
        layers = [*self.convolutions, *self.hidden]
        parts = [part for pair in zip(layers, self.norms, strict=True) for part in pair] if self.norms else layers
        return [parameter for part in parts for parameter in part.parameters(recurse=False)]


def _first_layer(torso: Torso, space: Box, precision: str) -> FirstLayer:
    """How the torso reads observations of the space; over blocks in bfloat16 only, for in float32 they gain nothing."""
    if space.dtype != np.uint8:
        return PlainInput(1.0)
    first = torso.convolutions[0] if torso.convolutions else None
    if first and precision == "bf16" and reads_blocks(space.shape, first.kernel, first.stride):
        return BlockInput(PIXEL_SCALE)
    return PlainInput(PIXEL_SCALE)


def _initialise(network: QNetwork, kind: str, generator: torch.Generator) -> None:
    layers = cast(list[nn.Linear], [*network.convolutions, *network.hidden, network.output])
    with torch.no_grad():
        for layer in layers:
            if kind == "orthogonal":
                gain = 1.0 if layer is network.output else math.sqrt(2.0)
                nn.init.orthogonal_(layer.weight, gain, generator=generator)
                nn.init.zeros_(layer.bias)
            else:
                bound = 1.0 / math.sqrt(layer.weight[0].numel())
                nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
