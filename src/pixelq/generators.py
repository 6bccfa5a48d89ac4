"""torch's random generators across a restart of the process."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelq.errors import UserError

LENGTHS = {"cpu": (5056,), "cuda": (16,), "mps": (44, 36)}
"""Bytes of a generator's state, by kind of device (two versions of MPS)."""


def load_generator(generator: torch.Generator, state: Tensor) -> None:
    """Let a generator go on from a state; from one of another kind of device it cannot, and keeps its own.

    Raises:
        UserError: the state is damaged.
    """
    own = generator.get_state()
    known = {len(own), *(length for lengths in LENGTHS.values() for length in lengths)}
    if state.dtype != own.dtype or state.dim() != 1 or len(state) not in known:
        raise UserError(
            f"the state of a random generator is {state.dtype} {tuple(state.shape)}, not {own.dtype} ({len(own)},): "
            "damaged"
        )
    if state.shape == own.shape:
        generator.set_state(state)


class GlobalGenerators:
    """torch's process-wide generators, of which pixelq draws nothing itself: a user's own module may (`nn.Dropout`).

    A run begins them with a seed of its own and puts the earlier ones back when it ends.

    Args:
        device: of the run.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = self.state_dict()

    def seed(self, seed: int) -> None:
        """Begin them with a seed, 0..2^63-1."""
        torch.default_generator.manual_seed(seed)
        if self._device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def state_dict(self) -> dict[str, Tensor]:
        """Their states, uint8 `(n,)`: `cpu`, and `cuda` where the run computes there."""
        state = {"cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._device)
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from states; of a device that this run does not compute on none is taken.

        Raises:
            UserError: a state is damaged.
        """
        load_generator(torch.default_generator, state["cpu"])
        if self._device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self._device)

    def restore(self) -> None:
        """Put back what they were when this object was made."""
        self.load_state_dict(self._before)
