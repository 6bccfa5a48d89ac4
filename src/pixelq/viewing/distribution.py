"""The distribution of returns that a distributional head predicts for each action, as a histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

BINS = 48
"""Of a histogram of quantiles."""


@dataclass(frozen=True)
class Histogram:
    """Probabilities of returns for each action, in bins of equal width."""

    low: float
    """Centre of the first bin."""
    high: float
    """Centre of the last bin."""
    probabilities: np.ndarray
    """float32 `(A, bins)`; each row sums to 1."""


def predicted_returns(head: nn.Module, output: Tensor) -> tuple[Tensor, Tensor] | None:
    """Returns and their probabilities, each float32 `(A, n)`, of one state's output `(1, A, n)`; None: it has none.

    A head says itself how its output is meant by a method `distribution(output)` that gives both for a batch, each
    `(B, A, n)` or broadcast to that. Without it, an output of three dimensions is read by what the head holds: with a
    buffer `support` `(n,)` as logits of its atoms (Bellemare et al. 2017), otherwise as quantiles of equal weight
    (Dabney et al. 2018).
    """
    own = getattr(head, "distribution", None)
    if own is not None:
        returns, probabilities = own(output)
    elif output.dim() != 3:
        return None
    elif isinstance(support := getattr(head, "support", None), Tensor) and support.shape == output.shape[2:]:
        returns, probabilities = support, output.softmax(dim=2)
    else:
        returns, probabilities = output, torch.full_like(output, 1 / output.shape[2])
    shape = torch.broadcast_shapes(returns.shape, probabilities.shape)
    returns, probabilities = returns.expand(shape), probabilities.expand(shape)
    return returns[0].float(), probabilities[0].float()


def histogram(returns: Tensor, probabilities: Tensor) -> Histogram:
    """Predicted returns and their probabilities, each `(A, n)`, as bins that all actions share.

    Atoms at the same, evenly spaced places for all actions are the bins; anything else is sorted into `BINS`.
    """
    z, p = returns.detach().cpu().double().numpy(), probabilities.detach().cpu().double().numpy()
    steps = np.diff(z[0])
    even = z.shape[1] > 1 and bool((steps > 0).all()) and np.allclose(steps, steps[0], rtol=1e-3)
    if even and bool((z == z[0]).all()):
        return Histogram(float(z[0, 0]), float(z[0, -1]), p.astype(np.float32))
    low, high = float(z.min()), float(z.max())
    high = high if high > low else low + 1e-6
    places = np.rint((z - low) / (high - low) * (BINS - 1)).astype(np.int64)
    bins = np.zeros((len(z), BINS))
    for row, (place, weight) in enumerate(zip(places, p, strict=True)):
        np.add.at(bins[row], place, weight)
    return Histogram(low, high, bins.astype(np.float32))
