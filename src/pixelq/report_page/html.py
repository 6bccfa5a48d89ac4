"""HTML from plain values: whatever comes from a file is escaped here."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class Html(str):
    """Text that is HTML already; every other text is escaped."""

    __slots__ = ()


@dataclass(frozen=True)
class Column:
    """Of a table."""

    title: str
    number: bool = False
    hint: str = ""
    """What it means, where the title does not say it."""


def escaped(value: object) -> Html:
    """Any value as HTML. Letters that turn the direction of writing around are shown as what they are."""
    if isinstance(value, Html):
        return value
    text = "".join(
        letter if letter.isprintable() or letter in "\n\t" else f"\\u{ord(letter):04x}" for letter in str(value)
    )
    return Html(html.escape(text, quote=True))


VOID = {"img", "input"}
"""Elements without an end."""


def element(tag: str, /, *content: object, **attributes: object) -> Html:
    """An element. An attribute's trailing underscore is left out, other underscores become hyphens; None: none."""
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escaped(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{tag}{told}>" if tag in VOID else f"<{tag}{told}>{joined(content)}</{tag}>")


def joined(parts: Sequence[object], between: str = "") -> Html:
    """Parts one after the other."""
    return Html(between.join(escaped(part) for part in parts))


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[object]], **attributes: object) -> Html:
    """A table whose first column names its rows, in a box that scrolls sideways where the screen is narrow."""
    head = joined(
        [
            element(
                "th", column.title, scope="col", title=column.hint or None, class_="number" if column.number else None
            )
            for column in columns
        ]
    )
    body = joined([_row(columns, row) for row in rows], "\n")
    inner = joined([element("caption", caption), element("thead", element("tr", head)), element("tbody", body)])
    return element("div", element("table", inner, **attributes), class_="scroll", tabindex="0", role="region",
                   aria_label=caption)  # fmt: skip


def _row(columns: Sequence[Column], row: Sequence[object]) -> Html:
    cells = [
        element("td" if i else "th", value, scope=None if i else "row", class_="number" if column.number else None)
        for i, (column, value) in enumerate(zip(columns, row, strict=True))
    ]
    return element("tr", joined(cells))


def script_data(values: Any) -> Html:
    """JSON that may stand in a script element: nothing in it ends the element or begins another."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def number(value: float | None, digits: int = 2) -> str:
    """A number of a table; a dash if there is none."""
    if value is None or math.isnan(value):
        return "–"  # noqa: RUF001
    return f"{value:,.{digits}f}"


def whole(value: float | None) -> str:
    """A count of a table; a dash if there is none."""
    return number(value, 0)


def duration(seconds: float | None) -> str:
    """A time for a person: 3 h 05 min, 12 min, 40 s."""
    if seconds is None or not math.isfinite(seconds):
        return "–"  # noqa: RUF001
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def size(count: int) -> str:
    """Bytes for a person."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
