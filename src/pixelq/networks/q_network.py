"""The action-value network Q(phi, a; theta): convolutions, one hidden layer, one linear output per action."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import convert_conv2d_weight_memory_format, skip_init

from pixelq.networks.lowered_weights import LoweredWeights
from pixelq.networks.torsos import TORSOS, output_side

PIXEL_SCALE = 1.0 / 255.0


class QNetwork(nn.Module):
    """Q(phi, .; theta) for every action in one forward pass (Mnih et al. 2013, section 4.1; 2015, Methods).

    Parameters are float32 master weights, convolutions in `channels_last`. With `precision="bf16"` the torso computes
    in bfloat16 from copies made in the forward pass, so that gradients arrive at the float32 weights; the output
    layer stays float32, because bfloat16's spacing is wider than the gap between actions.

    Args:
        torso: name in `TORSOS`.
        channels: input channels: frames in the stack, times 3 in colour.
        screen_size: height and width of a frame, in pixels.
        num_actions: outputs.
        norm: "layer" normalises over all channels and positions after each hidden layer (PQN, arXiv 2407.04811).
        initialisation: "torch" (uniform within 1/sqrt(fan in)) or "orthogonal" (gain sqrt 2, output 1, zero biases).
        precision: arithmetic of the torso.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        torso: str,
        *,
        channels: int,
        screen_size: int,
        num_actions: int,
        norm: Literal["none", "layer"] = "none",
        initialisation: Literal["torch", "orthogonal"] = "torch",
        precision: Literal["float32", "bf16"] = "float32",
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        shape = TORSOS[torso]
        self.num_actions = num_actions
        self._lowered = LoweredWeights(torch.bfloat16 if precision == "bf16" else torch.float32)
        # skip_init: layers are made without drawing from torch's global generator.
        self.convolutions = nn.ModuleList()
        for layer in shape.convolutions:
            self.convolutions.append(
                skip_init(nn.Conv2d, channels, layer.channels, kernel_size=layer.kernel, stride=layer.stride)
            )
            channels = layer.channels
        features = channels * output_side(shape, screen_size) ** 2
        self.hidden = skip_init(nn.Linear, features, shape.hidden)
        self.output = skip_init(nn.Linear, shape.hidden, num_actions)
        self.norms = nn.ModuleList()
        if norm == "layer":
            widths = [layer.channels for layer in shape.convolutions] + [shape.hidden]
            self.norms.extend(nn.GroupNorm(1, width) for width in widths)
        _initialise(self, initialisation, generator)
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, state: Tensor) -> Tensor:
        """Q-values of every action.

        Args:
            state: uint8 `(B, stack, H, W)`, or `(B, stack, H, W, 3)` in colour.

        Returns:
            float32 `(B, num_actions)`.
        """
        lowered = self._lowered
        if state.dim() == 5:
            state = state.permute(0, 1, 4, 2, 3).flatten(1, 2)
        # Two steps: converting and reordering at once takes 1.7 times as long. Bytes 0..255 are exact in bfloat16.
        x = state.to(lowered.dtype).contiguous(memory_format=torch.channels_last)
        for i, module in enumerate(self.convolutions):
            layer = cast(nn.Conv2d, module)
            weight = lowered(f"convolutions.{i}.weight", layer.weight)
            if i == 0:
                weight = weight * PIXEL_SCALE
            bias = None if layer.bias is None else lowered(f"convolutions.{i}.bias", layer.bias)
            x = F.conv2d(x, weight, bias, cast(tuple[int, int], layer.stride))
            x = F.relu(self._normalised(x, i))
        # Flatten in (H, W, C) order: that is how channels_last already lies in memory, so nothing is moved.
        x = x.permute(0, 2, 3, 1).flatten(1)
        x = F.linear(x, lowered("hidden.weight", self.hidden.weight), lowered("hidden.bias", self.hidden.bias))
        x = F.relu(self._normalised(x, len(self.convolutions)))
        return F.linear(x.float(), self.output.weight, self.output.bias)

    def _normalised(self, x: Tensor, i: int) -> Tensor:
        if not self.norms:
            return x
        norm = cast(nn.GroupNorm, self.norms[i])
        weight, bias = self._lowered(f"norms.{i}.weight", norm.weight), self._lowered(f"norms.{i}.bias", norm.bias)
        return F.group_norm(x, 1, weight, bias, norm.eps)


def _initialise(network: QNetwork, kind: str, generator: torch.Generator) -> None:
    layers = [*network.convolutions, network.hidden, network.output]
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
