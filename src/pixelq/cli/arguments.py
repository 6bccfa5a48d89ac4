"""Command lines into typed values by tyro, with a parse error as one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from pixelq.errors import UserError

T = TypeVar("T")

MARKERS = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.SuppressFixed)
"""Fields marked `Fixed` are neither shown nor taken."""


def parse(kind: type[T], argv: Sequence[str], command: str, default: T | None = None) -> T:
    """Parse `argv` into a dataclass; `--help` prints every field's meaning and exits.

    Args:
        kind: the dataclass.
        argv: arguments after the command.
        command: its name, for the help text and errors.
        default: values that the arguments override.

    Raises:
        UserError: what tyro would print in a frame, as one line.
    """
    frame = io.StringIO()
    try:
        with contextlib.redirect_stderr(frame):
            options: dict[str, Any] = {} if default is None else {"default": default}
            return tyro.cli(kind, args=argv, prog=f"pixelq {command}", config=MARKERS, **options)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(f"{_one_line(frame.getvalue())}; see `pixelq {command} --help`") from None


def _one_line(text: str) -> str:
    """tyro's message without its frame, colours and list of similar options."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [line.strip("╭╮╰╯│─━ ").strip() for line in plain.splitlines()]
    useful = [
        x
        for x in lines
        if x and not x.lower().startswith(("parsing error", "for full help", "unrecognized options", "missing from"))
    ]
    return " ".join(useful) or "arguments not understood"
