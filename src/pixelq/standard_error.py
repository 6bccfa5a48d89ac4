"""Lines for a person, beside what a command puts out."""

from __future__ import annotations

import sys


def tell(text: str) -> None:
    """Write a line to standard error, at once."""
    print(text, file=sys.stderr, flush=True)
