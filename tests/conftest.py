"""What one test changes in the process must not reach the next."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _denormals_restored() -> Iterator[None]:
    """A run lets torch round denormals to zero, under which hypothesis refuses to draw floats."""
    yield
    torch.set_flush_denormal(False)
