"""Seeds as a person writes them: `1-5`, `1,3,7`, `1-3,10`."""

from __future__ import annotations

import re

from pixelq.errors import UserError

MOST = 1_000
BELOW = 2**31
"""As of `Config.seed`, which `pixelq.recipes.validation` holds to it: a run of any larger one cannot begin."""


def read_seeds(text: str, where: str = "--seeds") -> list[int]:
    """The seeds in their order, each once.

    Raises:
        UserError: it is no list of seeds that runs can have.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,100})\s*(?:-\s*(\d{1,100})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise UserError(f"{where} {text}: {part.strip() or 'nothing'!r} is no seed; write 1-5 or 1,3,7")
        if last >= BELOW:
            raise UserError(f"{where} {text}: {last} is too large for a seed, which must be below 2^31; choose another")
        if last - first >= MOST or len(seeds) > MOST:
            raise UserError(f"{where} {text}: more than {MOST:,} seeds; write fewer")
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))
