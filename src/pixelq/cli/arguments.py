"""Command lines into typed values by tyro, with a parse error as one line."""

from __future__ import annotations

import contextlib
import dataclasses
import decimal
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from pixelq.cli.help_text import in_boxes, reflowed, without_empty_defaults, wrapped
from pixelq.errors import UserError

T = TypeVar("T")

MARKERS = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.SuppressFixed)
"""Fields marked `Fixed` are neither shown nor taken."""

NARROWEST, WIDEST = 40, 100
"""Columns; a help text for a narrower or wider terminal is written for this many."""

Paths = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="[PATH ...]", help_behavior_hint="(at least one)")]
"""Several paths, as `Positional[Paths]`."""

Output = Annotated[str | None, tyro.conf.arg(metavar="{None}|PATH")]
"""A place for what is written, for `pixelq.files.plain_files.output_path`: as it was typed, a last slash included."""


def parse(
    kind: type[T],
    argv: Sequence[str],
    command: str,
    default: T | None = None,
    boxes: Mapping[str, Sequence[str]] | None = None,
) -> T:
    """Parse `argv` into a dataclass; `--help` prints every field's meaning and exits.

    Args:
        kind: the dataclass.
        argv: arguments after the command.
        command: its name, for the help text and errors.
        default: values that the arguments override.
        boxes: of the help text, title -> fields whose options it has; none: all in one box.

    Raises:
        UserError: what tyro would print in a frame, as one line.
    """
    argv = _whole_numbers_written_out(kind, _one_word_for_outputs(kind, argv))
    frame, shown = io.StringIO(), _Kept(sys.stdout.isatty())
    try:
        with (
            contextlib.redirect_stderr(frame),
            contextlib.redirect_stdout(shown),
            _neither_narrow_nor_wide() as columns,
        ):
            options: dict[str, Any] = {} if default is None else {"default": default}
            parsed = tyro.cli(kind, args=argv, prog=f"pixelq {command}", config=MARKERS, **options)
    except ValueError as error:  # of a dataclass that holds its fields to their ranges
        raise UserError(f"{error}; see `pixelq {command} --help`") from None
    except SystemExit as stop:
        if not stop.code:
            text = reflowed(without_empty_defaults(wrapped(shown.getvalue(), columns)))
            print(in_boxes(text, boxes) if boxes else text, end="", flush=True)
            raise
        raise UserError(f"{_one_line(frame.getvalue())}; see `pixelq {command} --help`") from None
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value = getattr(parsed, field.name)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise UserError(f"--{field.name.replace('_', '-')} is a number beyond 64 bits; choose a smaller one")
    return parsed


def flags(argv: Sequence[str]) -> list[str]:
    """The options among the arguments, as fields are called: `--no-max-pool=x` is `no_max_pool`."""
    return [word[2:].partition("=")[0].replace("-", "_") for word in argv if word.startswith("--")]


def _one_word_for_outputs(kind: type, argv: Sequence[str]) -> list[str]:
    """`--out` and `--output` are one option in every command; a help text has one of them."""
    names = {field.name for field in dataclasses.fields(kind)}
    words = list(argv)
    for mine, other in (("out", "output"), ("output", "out")):
        if mine in names and other not in names:
            begins = f"--{other}="
            words = [f"--{mine}" if word == f"--{other}" else word for word in words]
            words = [f"--{mine}={word.removeprefix(begins)}" if word.startswith(begins) else word for word in words]
    return words


def _whole_numbers_written_out(kind: type, argv: Sequence[str]) -> list[str]:
    """The arguments with `1e6` as 1000000 where an option takes a whole number; what is none stays as it is."""
    whole = {f.name for f in dataclasses.fields(kind) if f.type in (int, "int", "int | None")}
    result: list[str] = []
    for i, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if equals and flags([flag])[:1] and flags([flag])[0] in whole:
            word = f"{flag}={_written_out(value)}"
        elif i and argv[i - 1].startswith("--") and flags([argv[i - 1]])[0] in whole:
            word = _written_out(word)
        result.append(word)
    return result


def _written_out(word: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?[eE]\+?\d{1,2}", word):
        return word
    number = decimal.Decimal(word)
    return str(int(number)) if number == int(number) else word


class _Kept(io.StringIO):
    """A help text on its way to a terminal, which has colours, or to a file."""

    encoding = "utf-8"
    """What tyro may write; frames on a terminal that lacks their letters are `cli`'s business."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Whether there are colours."""
        return self._terminal


@contextlib.contextmanager
def _neither_narrow_nor_wide() -> Iterator[int]:
    """Have tyro write for `NARROWEST` to `WIDEST` columns; with very few it never ends, with many it makes two columns.

    Yields:
        The number of columns.
    """
    before = os.environ.get("COLUMNS")
    columns = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
    os.environ["COLUMNS"] = str(columns)
    try:
        yield columns
    finally:
        if before is not None:
            os.environ["COLUMNS"] = before
        else:
            os.environ.pop("COLUMNS", None)


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
