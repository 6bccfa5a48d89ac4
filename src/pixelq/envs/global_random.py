"""The random state that a whole process shares, which some environments draw from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def kept_global_random() -> Iterator[None]:
    """Around what may draw from Python's and NumPy's global generators: afterwards they are as before."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
