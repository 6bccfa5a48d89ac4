"""What one test changes in the process must not reach the next."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _torch_as_it_starts() -> Iterator[None]:
    """A run rounds denormals to zero, under which hypothesis draws no floats, and may allow only exact kernels."""
    torch.use_deterministic_algorithms(False)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)
