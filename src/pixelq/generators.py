"""torch's random generators across a restart of the process."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelq.errors import UserError


def load_generator(generator: torch.Generator, state: Tensor) -> None:
    """Let a generator go on from a state; from one of another kind of device it cannot, and keeps its own.

    Raises:
        UserError: the state is damaged.
    """
    own = generator.get_state()
    if state.dtype != own.dtype or state.dim() != 1:
        raise UserError(f"the state of a random generator is {state.dtype} {tuple(state.shape)}, not {own.dtype} (n,)")
    if state.shape == own.shape:
        generator.set_state(state)
