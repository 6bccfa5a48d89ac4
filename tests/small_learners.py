"""Learners with weights from a seed, and batches of noise for them."""

import shutil
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.learner.learner import Learner
from pixelq.losses import Loss
from pixelq.machine.device import compiler
from pixelq.networks import build_network
from pixelq.recipes.values import overridden
from pixelq.replay import Batch

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(shutil.which(compiler()) is None, reason="needs a C++ compiler")


def screens(side: int = 84) -> Box:
    """Observations: four gray frames."""
    return Box(0, 255, (4, side, side), np.uint8)


SCREENS = screens()


def learner(seed: int = 1, observations: Box = SCREENS, device: torch.device = CPU, **fields: Any) -> Learner:
    """A learner of four actions; fields of `Config`, and options of its variants without their table."""
    config = overridden(Config(), fields)
    network = build_network(config, observations, 4, torch.Generator().manual_seed(seed))
    noise = torch.Generator() if device.type == "meta" else None  # that device has no numbers, nor a source of them
    return Learner(network.to(device), config, device, noise)


def batch(seed: int = 0, size: int = 32, side: int = 84) -> Batch:
    """Transitions of random frames, a tenth of them terminal."""
    g = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (size, 5, side, side), dtype=torch.uint8, generator=g)
    action = torch.randint(0, 4, (size,), generator=g)
    reward = torch.randint(-1, 2, (size,), generator=g).float()
    discount = 0.99 * (torch.rand(size, generator=g) > 0.1).float()
    return Batch.unweighted(frames[:, :4], action, reward, discount, frames[:, 1:])


def asks_for_a_value(one: Learner) -> None:
    """Give a learner a loss that waits for a number of the device, as a stranger's may."""
    usual = one._loss

    def loss(*given: Any) -> Loss:
        found = usual.function(*given)
        return found._replace(loss=found.loss * float(found.priority.max()))

    one._loss = usual._replace(function=loss)


def plain_forward(weights: dict[str, torch.Tensor], state: torch.Tensor) -> torch.Tensor:
    """The 2015 network in float32 and NCHW, written from the paper."""
    x = state.float().contiguous() / 255
    for i, stride in enumerate((4, 2, 1)):
        layer = f"torso.convolutions.{i}"
        x = F.relu(F.conv2d(x, weights[f"{layer}.weight"], weights[f"{layer}.bias"], stride))
    x = x.permute(0, 2, 3, 1).flatten(1)
    x = F.relu(F.linear(x, weights["hidden.linears.0.weight"], weights["hidden.linears.0.bias"]))
    return F.linear(x, weights["head.output.weight"], weights["head.output.bias"])


def gradients(one: Learner, b: Batch) -> list[torch.Tensor]:
    """Of an update that goes nowhere."""
    one.update(b, 0.0)
    return [p.grad.clone() for p in one.network.parameters() if p.grad is not None]
