"""tyro's help text as it is printed: no line too long, and options in boxes by what they are about."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_RESETS = ("\x1b[0m", "\x1b[m")
_ROW = re.compile(
    r"(?P<left>(?:\x1b\[[0-9;]*m)*│(?:\x1b\[[0-9;]*m)*)(?P<inner>.*?)(?P<right>(?:\x1b\[[0-9;]*m)*│(?:\x1b\[[0-9;]*m)*)"
)
"""A row of a box: its left side, what stands in it, its right side, each with its colours."""
_NO_DEFAULT = re.compile(r"\(default:((?:\x1b\[[0-9;]*m|[\s│])*)(None|'')?\)")


def wrapped(text: str, columns: int) -> str:
    """A help text with at most `columns` letters in a line above the boxes too, which tyro leaves as they are."""
    box = re.search(r"^(\x1b\[[0-9;]*m)*╭", text, re.M)
    head, boxes = (text[: box.start()], text[box.start() :]) if box else (text, "")
    paragraphs = [
        textwrap.fill(" ".join(paragraph.split()), columns, break_long_words=False, break_on_hyphens=False)
        if any(len(line) > columns for line in _COLOURS.sub("", paragraph).split("\n"))
        else paragraph
        for paragraph in head.split("\n\n")
    ]
    return "\n\n".join(paragraphs) + boxes


def without_empty_defaults(text: str) -> str:
    """A help text without `(default: None)` and other defaults that are nothing: the sentence before says what holds.

    The boxes keep their width; a line that has nothing else is left out.
    """
    blanked = _NO_DEFAULT.sub(lambda m: f"{' ' * 9}{m[1]}{' ' * (len(m[2] or '') + 1)}", text)
    return "".join(
        line for line in blanked.splitlines(keepends=True) if not re.fullmatch(r"│\s+│\n?", _COLOURS.sub("", line))
    )


def reflowed(text: str) -> str:
    """A help text whose sentences fill their lines: tyro breaks them where a docstring in the code does.

    Args:
        text: in one column: each option on a line, what it means on the lines below it.
    """
    lines: list[str] = []
    meaning: list[str] = []
    for line in [*text.split("\n"), ""]:
        if re.match(r"│ {5,}\S", _COLOURS.sub("", line)):
            meaning.append(line)
            continue
        lines += _filled(meaning)
        meaning.clear()
        lines.append(line)
    return "\n".join(lines[:-1])


def _filled(rows: Sequence[str]) -> list[str]:
    """Rows between the two sides of a box, each of them full; colours go on from row to row."""
    if not rows:
        return []
    parts = [_ROW.fullmatch(row) for row in rows]
    inner = [part["inner"] for part in parts if part]
    first = parts[0]
    if first is None or len(inner) < len(rows):
        return list(rows)
    room = len(_COLOURS.sub("", first["inner"]))
    indent = room - len(_COLOURS.sub("", first["inner"]).lstrip())
    filled: list[str] = []
    line, length, colour = " " * indent, indent, ""
    for word in " ".join(one.strip() for one in inner).split():
        size = len(_COLOURS.sub("", word))
        if length > indent and length + 1 + size > room - 1:
            filled.append(_padded(line, length, room, colour))
            line, length = " " * indent + colour, indent
        space = int(length > indent and size > 0)  # none before a colour alone
        line, length = line + " " * space + word, length + space + size
        for code in _COLOURS.findall(word):
            colour = "" if code in _RESETS else code
    filled.append(_padded(line, length, room, colour))
    return [f"{first['left']}{one}{first['right']}" for one in filled]


def _padded(line: str, length: int, room: int, colour: str) -> str:
    return line + ("\x1b[0m" if colour else "") + " " * (room - length)


def in_boxes(text: str, boxes: Mapping[str, Sequence[str]]) -> str:
    """tyro's help text with its options, which it has in one box and one more for each nested class, in these boxes.

    Args:
        text: the help text in one column, with or without colours.
        boxes: title -> fields whose options it has, in this order. An option of no box goes into the last one,
            `--help` into the first.
    """
    head, entries, frame = _taken_apart(text)
    titles = {name: title for title, names in boxes.items() for name in names}
    order = {name: place for place, name in enumerate(titles)}
    first, last = next(iter(boxes)), list(boxes)[-1]
    titles["h"], order["h"] = first, -1
    lines = head
    for title in boxes:
        mine = [name for name in entries if titles.get(name, last) == title]
        if mine:
            rows = [row for name in sorted(mine, key=lambda name: order.get(name, len(order))) for row in entries[name]]
            lines = [*lines, _edge(frame[0], title), *rows, frame[1]]
    return "\n".join(lines) + "\n"


def _taken_apart(text: str) -> tuple[list[str], dict[str, list[str]], tuple[str, str]]:
    """The lines above the boxes; field -> the lines of its option; the upper and the lower edge of a box."""
    head: list[str] = []
    entries: dict[str, list[str]] = {}
    frame = ("", "")
    name = ""
    for line in text.splitlines():
        plain = _COLOURS.sub("", line)
        option = re.match(r"│ --?([\w-]+)", plain)
        if plain.startswith("╭"):
            frame, name = (line, frame[1]), ""
        elif plain.startswith("╰"):
            frame = (frame[0], line)
        elif option:
            name = option[1].replace("-", "_")
            entries.setdefault(name, []).append(line)  # options of one table begin alike: --head-options.hidden
        elif name:
            entries[name].append(line)
        elif not frame[0]:
            head.append(line)
    return head, entries, frame


def _edge(edge: str, title: str) -> str:
    """The upper edge of a box with another title, in the colour it had."""
    width = len(_COLOURS.sub("", edge))
    colour = _COLOURS.match(edge)
    line = f"╭─ {title} ".ljust(width - 1, "─") + "╮"
    return f"{colour[0]}{line}\x1b[0m" if colour else line
