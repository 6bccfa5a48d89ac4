"""The word that belongs to no option, wherever it stands: the game in `pixelq train --seed 2 pong`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

SEVERAL = -1
"""Words of an option that takes any number of them."""

_MANY = re.compile(r"\b(tuple|list|set|dict|Sequence|Mapping)\b")
_NUMBER = re.compile(r"[+-]?\.?\d[\d.eE+-]*")


def option_lengths(kinds: Iterable[type]) -> dict[str, int]:
    """How many words an option takes after it: 0, 1 or `SEVERAL`, by the names of the fields of dataclasses.

    Args:
        kinds: the dataclasses. A name that they do not agree on may take several.
    """
    lengths: dict[str, int] = {}
    for kind in kinds:
        for field in dataclasses.fields(kind):
            text = field.type.__name__ if isinstance(field.type, type) else str(field.type)
            length = SEVERAL if _MANY.search(text) else 0 if text == "bool" else 1
            for name in (field.name, f"no_{field.name}") if length == 0 else (field.name,):
                lengths[name] = length if lengths.get(name, length) == length else SEVERAL
    return lengths


def loose_words(argv: Sequence[str], lengths: dict[str, int]) -> tuple[list[int], list[int]]:
    """Places of words that belong to no option, and of those that may, because the option takes several words.

    A number belongs to an option in any case.

    Args:
        argv: arguments after the command.
        lengths: as `option_lengths`; an option that is not in it may take several words.
    """
    loose: list[int] = []
    doubtful: list[int] = []
    length = 0
    for place, word in enumerate(argv):
        if length == 1:
            length = 0
        elif word.startswith("-") and not _NUMBER.fullmatch(word):
            flag, equals, _ = word.partition("=")
            known = lengths.get(flag.removeprefix("--").replace("-", "_")) if flag.startswith("--") else 0
            length = 0 if equals and known != SEVERAL else SEVERAL if known is None else known
        elif not _NUMBER.fullmatch(word):
            (doubtful if length == SEVERAL else loose).append(place)
    return loose, doubtful
