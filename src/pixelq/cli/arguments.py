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
    except ValueError as error:  # of a dataclass that holds its fields to their ranges
        raise UserError(f"{error}; see `pixelq {command} --help`") from None
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(f"{_one_line(frame.getvalue())}; see `pixelq {command} --help`") from None


def _one_line(text: str) -> str:
    """tyro's message without its frame and colours: what is wrong, and the options that may have been meant.

    In the frame, lines of "─" set apart: what is wrong; options or a help text; where to find help.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    sections: list[list[str]] = [[]]
    for line in plain.splitlines():
        inner = line.strip().strip("│").strip()
        if re.fullmatch(r"─+", inner):
            sections.append([])
        elif inner and not inner.startswith(("╭", "╰")):
            sections[-1].append(inner)
    message = " ".join(sections[0]).removesuffix(".") or "arguments not understood"
    meant = [line for section in sections[1:] if section[:1] == ["Perhaps you meant:"] for line in section]
    meant = [line.split(maxsplit=1)[0].rstrip(",") for line in meant if line.startswith("--")]
    hint = f"; did you mean {' or '.join(meant[:3])}?" if meant else ""
    return message[0].lower() + message[1:] + hint
