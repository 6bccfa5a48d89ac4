"""Command lines that a message gives to be copied: with the modules they need, and quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

IMPORTED: list[str] = []
"""Modules that a person has named (`--import MODULE`, `module:Game`), in this order."""


def command_line(command: str, *words: str | Path, game: str = "", modules: Sequence[str] = ()) -> str:
    """A `pixelq` command line that does what it says if it is pasted into a shell.

    Args:
        command: `resume`.
        words: its arguments.
        game: of the run; one of a module needs that module.
        modules: further ones that are needed.
    """
    named = [*IMPORTED, *([game.rpartition(":")[0]] if ":" in game else []), *modules]
    imports = [word for module in dict.fromkeys(named) for word in ("--import", module)]
    return shlex.join(["pixelq", *imports, command, *map(str, words)])
