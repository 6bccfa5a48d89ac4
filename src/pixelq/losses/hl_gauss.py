"""HL-Gauss: a scalar TD target spread over the bins of a histogram, learned as a class (Farebrother et al. 2024).

Source: arXiv 2403.03950, section 3.1 and appendix A; the histogram loss itself is Imani & White's (2018, 1806.04613).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.losses.c51 import CategoricalOptions, cross_entropy, of_action
from pixelq.networks.heads.categorical import Head
from pixelq.replay.batch import Batch

__all__ = ["HEADS", "HEAD_OPTIONS", "Options", "gaussian_histogram", "loss", "two_hot"]

HEADS = ("categorical",)
NEEDS_TARGET = "double"
HEAD_OPTIONS = {"ends": "edges"}
"""A histogram has bins, and its N + 1 edges go from v_min to v_max (appendix A)."""


@dataclass(frozen=True)
class Options(CategoricalOptions):
    """Options of a scalar target on a categorical head; the defaults are those of sections 3.1 and 4.1."""

    projection: Literal["gaussian", "two_hot"] = "gaussian"
    """How a target becomes a histogram: a Gaussian around it (HL-Gauss), or its two nearest atoms alone (two_hot)."""
    sigma_to_bin: float = 0.75
    """Standard deviation of the Gaussian, in widths of a bin."""

    def __post_init__(self) -> None:
        if not 0.0 < self.sigma_to_bin < float("inf"):
            raise ValueError(f"sigma_to_bin = {self.sigma_to_bin} must be above 0 and finite")


def gaussian_histogram(y: Tensor, head: Head, sigma_to_bin: float) -> Tensor:
    """The mass of a Gaussian around y in each bin, made to sum to 1 (section 3.1; appendix A, `transform_to_probs`).

    A target beyond the outer edges of the bins is taken to them.

    Args:
        y: targets, float32 `(B,)`.
        head: whose atoms are the middles of the bins.
        sigma_to_bin: standard deviation, in widths of a bin.

    Returns:
        float32 `(B, N)`.
    """
    # In widths of a bin, the outermost edges are at 0 and N.
    place = ((y - head.first) / head.step + 0.5).clamp(0.0, head.atoms)
    edges = torch.arange(head.atoms + 1, device=y.device)
    cdf = torch.special.erf((edges - place.unsqueeze(1)) / (math.sqrt(2.0) * sigma_to_bin))
    mass = cdf.diff(dim=1).clamp(min=0.0)
    return mass / mass.sum(dim=1, keepdim=True)


def two_hot(y: Tensor, head: Head) -> Tensor:
    """All mass on the two atoms around y, so that their mean is y (section 3.1, "Two-Hot").

    A target beyond the outermost atoms is taken to them.

    Args:
        y: targets, float32 `(B,)`.
        head: with the atoms.

    Returns:
        float32 `(B, N)`.
    """
    place = ((y - head.first) / head.step).clamp(0.0, head.atoms - 1.0).unsqueeze(1)
    return (1.0 - (torch.arange(head.atoms, device=y.device) - place).abs()).clamp(min=0.0)


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Cross-entropy between the histogram of y = r + gamma Q(s', a*; theta-) and the prediction."""
    head = network.head
    assert isinstance(head, Head)
    with torch.no_grad():
        following = target_network.q_values(batch.next_state, noise)
        chooser = network.q_values(batch.next_state, noise) if options.double else following
        best = chooser.argmax(dim=1, keepdim=True)
        y = batch.return_n + batch.discount_n * following.gather(1, best).squeeze(1)
        if options.projection == "two_hot":
            target = two_hot(y, head)
        else:
            target = gaussian_histogram(y, head, options.sigma_to_bin)
    return cross_entropy(target, of_action(network(batch.state, noise), batch.action), head, options.priority)
