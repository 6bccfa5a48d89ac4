"""The layers that torsos and heads are built of, as the recipe wants them: kind, padding, norm, initial weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.variants import KINDS

Padding = Literal["valid", "same"]
Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Activation] = {
    "relu": F.relu, "leaky_relu": F.leaky_relu, "tanh": torch.tanh, "elu": F.elu, "silu": F.silu, "gelu": F.gelu,
}  # fmt: skip
"""By name, with torch's defaults; a leaky one lets 0.01 x through where x is below 0."""
SPARSITY = 0.9
"""Share of each unit's weights that sparse initialisation sets to zero (Elsayed et al. 2024, arXiv 2410.14606)."""


class Layers:
    """Makes layers one after the other, each with its initial weights.

    Convolution and normalisation modules take and give `(B, channels, H, W)` in any memory format. Every linear module
    is called with its input and the noise generator, which ordinary ones ignore.

    Args:
        config: `padding`, `norm`, `activation`, `linear`, `streams` and their options, `initialisation`, `output_gain`,
            `precision`.
        generator: source of the weights; None: they are left as they lie in memory, because others will be loaded.
    """

    def __init__(self, config: Config, generator: torch.Generator | None) -> None:
        self._config, self._generator = config, generator
        self.activation: Activation = ACTIVATIONS[config.activation]
        """What follows a hidden layer and its norm."""
        linear, streams = KINDS["linear"], KINDS["streams"]
        self._linear: Callable[..., nn.Module] = linear.find(config.linear).Linear
        self._linear_options = linear.read_options(config.linear, config.linear_options)
        self._streams: Callable[..., nn.Module] = streams.find(config.streams).streams
        self._streams_options = streams.read_options(config.streams, config.streams_options)

    def convolution(self, channels: int, outputs: int, kernel: int, stride: int) -> Convolution:
        """A square convolution, padded as the recipe says; kernel and stride in positions."""
        layer = Convolution(channels, outputs, kernel, stride)
        layer.padding_kind = self._config.padding
        self.initialise(layer)
        return layer

    def linear(self, features: int, units: int) -> nn.Module:
        """A hidden linear layer of the recipe's kind: `(B, features)` -> `(B, units)`."""
        return self._made(self._linear(features, units, self._linear_options))

    def output(self, features: int, outputs: int) -> nn.Module:
        """A head's last linear layer, in float32: `(B, features)` -> `(B, outputs)`."""
        return self._made(self._linear(features, outputs, self._linear_options), gain=self._config.output_gain)

    def streams(self, features: int, num_actions: int, numbers: int, hidden: Sequence[int]) -> nn.Module:
        """The recipe's way from features to a head's numbers of each action, in float32.

        Args:
            features: d.
            num_actions: A.
            numbers: of each action, k: 1 for a Q-value, atoms or quantiles of a distribution.
            hidden: units of the hidden layers that are the streams' to make.

        Returns:
            a module, called with float32 features and the noise generator: `(B, d)` -> `(B, A * k)`.
        """
        return self._streams(features, num_actions, numbers, tuple(hidden), self._streams_options, self)

    def hidden(self, features: int, units: Sequence[int]) -> HiddenLayers:
        """Hidden linear layers one after the other, in the torso's arithmetic."""
        return HiddenLayers(features, units, self, self._config.precision)

    def norm(self, channels: int, *sides: int) -> nn.Module | None:
        """The recipe's normalisation of `(B, channels, *sides)`, an image's height and width or nothing; or None."""
        kind = self._config.norm
        if kind == "none":
            return None
        if kind == "layer":
            return nn.GroupNorm(1, channels)
        if kind == "weightless":
            return WeightlessNorm()
        if kind == "channel":
            return ChannelNorm(channels)
        return nn.LayerNorm([channels, *sides])

    def initialise(self, layer: nn.Module, gain: float = math.sqrt(2.0)) -> None:
        """Draw a layer's `weight` (out, in, ...) and, if there is one, its `bias` (out,), as the recipe says.

        Args:
            layer: with a parameter `weight`.
            gain: of orthogonal and he weights: sqrt 2 where a ReLU follows, `output_gain` in the output.
        """
        if self._generator is None:
            return
        weight, bias, generator = layer.weight, getattr(layer, "bias", None), self._generator
        assert isinstance(weight, Tensor)
        with torch.no_grad():
            if self._config.initialisation == "torch":
                bound = 1.0 / math.sqrt(weight[0].numel())
                nn.init.uniform_(weight, -bound, bound, generator=generator)
            elif self._config.initialisation == "orthogonal":
                nn.init.orthogonal_(weight, gain, generator=generator)
            elif self._config.initialisation == "xavier":
                nn.init.xavier_uniform_(weight, generator=generator)
            elif self._config.initialisation == "sparse":
                sparse_(weight, generator)
            elif self._config.initialisation == "fan_in":
                bound = math.sqrt(math.sqrt(3.0) / weight[0].numel())
                nn.init.uniform_(weight, -bound, bound, generator=generator)
            else:
                nn.init.normal_(weight, std=gain / math.sqrt(weight[0].numel()), generator=generator)
            if isinstance(bias, Tensor) and self._config.initialisation == "torch":
                nn.init.uniform_(bias, -bound, bound, generator=generator)
            elif isinstance(bias, Tensor):
                nn.init.zeros_(bias)

    def _made(self, layer: nn.Module, gain: float = math.sqrt(2.0)) -> nn.Module:
        own: Callable[[Layers, float], None] | None = getattr(layer, "initialise", None)
        if own is None:
            self.initialise(layer, gain)
        elif self._generator is not None:
            own(self, gain)
        return layer

    @property
    def generator(self) -> torch.Generator | None:
        """Source of the weights; None: they are left as they lie in memory."""
        return self._generator


class Convolution(nn.Conv2d):
    """A convolution that sees the image alone (valid), or zeros around it so that `ceil(H / stride)` come out (same).

    Where the zeros cannot be the same at both sides, one more stands below and to the right, as in TensorFlow and JAX.
    """

    padding_kind: Padding = "valid"

    def reset_parameters(self) -> None:
        """Draw nothing: `Layers` does, from a generator of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """`(B, channels, H, W)` -> `(B, outputs, H', W')`."""
        around = self.zeros_around(x.shape[2], x.shape[3])
        if any(around):
            x = F.pad(x, around)
        return super().forward(x)

    def zeros_around(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Columns to the left and right, rows above and below, that are added to an image of so many positions."""
        if self.padding_kind == "valid":
            return 0, 0, 0, 0
        return *_same(width, self.kernel_size[1], self.stride[1]), *_same(height, self.kernel_size[0], self.stride[0])

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what comes out, in positions; 0 where the kernel does not fit into the image."""
        left, right, above, below = self.zeros_around(height, width)
        sides = ((height + above + below, 0), (width + left + right, 1))
        out = [max(0, (side - self.kernel_size[i]) // self.stride[i] + 1) for side, i in sides]
        return out[0], out[1]


class ChannelNorm(nn.LayerNorm):
    """Normalises over the channels of each position: `(B, channels, H, W)` or `(B, channels)`.

    Source: Flax's LayerNorm reduces the last axis, which in purejaxql's images holds the channels.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) if x.dim() == 4 else super().forward(x)


class WeightlessNorm(nn.Module):
    """Normalises over all channels and positions, without weights: `(B, ...)` (Elsayed et al. 2024)."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.layer_norm(x, x.shape[1:])


def sparse_(weight: Tensor, generator: torch.Generator) -> None:
    """Fill a weight (out, in, ...) with torch's default, of which each output keeps a tenth, drawn anew, and zeros.

    Source: Elsayed et al. 2024 (arXiv 2410.14606), SparseInit; sparse_init.py of its code. That leaves
    nothing of fewer than ten inputs, and two such layers, one on the other, never learn: here one weight is left.
    """
    inputs = weight[0].numel()
    bound = 1.0 / math.sqrt(inputs)
    values = torch.empty(len(weight), inputs).uniform_(-bound, bound, generator=generator)
    order = torch.rand(len(weight), inputs, generator=generator).argsort(dim=1)
    values.scatter_(1, order[:, : min(math.ceil(SPARSITY * inputs), inputs - 1)], 0.0)
    weight.copy_(values.view(weight.shape))


class HiddenLayers(nn.Module):
    """Linear layers one after the other, each with the recipe's norm and activation: `(B, features)` -> `(B, units)`.

    Args:
        features: of the input.
        units: of each layer; none: the input comes out as it is.
        layers: makes them.
        precision: of the arithmetic; parameters are float32.
    """

    def __init__(self, features: int, units: Sequence[int], layers: Layers, precision: str) -> None:
        super().__init__()
        self._precision, self.activation = precision, layers.activation
        self.features = features
        """Of the output."""
        self.linears, self.norms = nn.ModuleList(), nn.ModuleList()
        for size in units:
            self.linears.append(layers.linear(self.features, size))
            if (norm := layers.norm(size)) is not None:
                self.norms.append(norm)
            self.features = size

    def forward(self, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """`(B, features)` -> `(B, units)`."""
        with arithmetic(self._precision, x.device):
            for i, linear in enumerate(self.linears):
                x = linear(x, noise)
                x = self.activation(self.norms[i](x) if self.norms else x)
        return x


class Stream(nn.Module):
    """Hidden layers and an output layer in float32: `(B, features)` -> `(B, outputs)`."""

    def __init__(self, features: int, outputs: int, hidden: Sequence[int], layers: Layers) -> None:
        super().__init__()
        self.hidden = layers.hidden(features, hidden)
        self.output = layers.output(self.hidden.features, outputs)

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """`(B, features)` -> float32 `(B, outputs)`."""
        output: Tensor = self.output(self.hidden(features, noise).float(), noise)
        return output


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Inside, layers compute in bfloat16 if that is the precision; their float32 parameters are cast at every call."""
    lowered: Any = contextlib.nullcontext()
    if precision == "bf16":
        # No cache: a weight that is changed in place between two calls is cast anew.
        lowered = torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
    with lowered:
        yield


def _same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    missing = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    return missing // 2, missing - missing // 2
