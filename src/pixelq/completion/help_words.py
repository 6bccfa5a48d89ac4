"""Commands, options and their values, read from the help texts that `pixelq COMMAND --help` prints.

So whatever a command takes is completed, and nothing else: there is no second list to keep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["none", "any", "words", "file", "run", "recipe", "game"]
"""Of a value: there is none (a switch), anything, one of some words, a file, a run's folder, a recipe or its file, a
game."""

LONGEST = 72
"""Letters of a meaning."""

_BY_FLAG: Mapping[str, Kind] = {"--recipe": "recipe", "--game": "game", "--games": "game"}
_ONE_OF = re.compile(r"\{?([\w.+-]+(?:[|,][\w.+-]+)+)\}?")


@dataclass(frozen=True)
class Value:
    """What may follow an option, or stand as an argument."""

    kind: Kind = "any"
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Option:
    """An option with all its names, and the beginning of what the help text says of it."""

    flags: tuple[str, ...]
    meaning: str
    value: Value


@dataclass(frozen=True)
class Command:
    """A command, what its arguments are (`also` beside their kind), and its options."""

    name: str
    meaning: str
    argument: Value = field(default_factory=Value)
    options: tuple[Option, ...] = ()


def read_command(name: str, meaning: str, text: str, names: Mapping[str, Sequence[str]] | None = None) -> Command:
    """A command as its help text describes it.

    Args:
        name: of the command.
        meaning: what it does, a few words.
        text: the help text, without colours: boxes in which every option begins its line.
        names: option -> its values where the text may not hold them all (`--loss`: also losses of your own).
    """
    options: list[Option] = []
    argument = Value()
    if usage := re.match(rf"usage: pixelq {re.escape(name)} (\S+)", text):
        argument = _value(usage[1]) if not usage[1].startswith(("-", "[-")) else argument
    if name == "train":
        argument = Value("game")
    for shown, said in _rows(text):
        flags = tuple(re.findall(r"(?<!\S)--?[\w.-]+", shown))
        metavar = re.sub(r"^(?:--?[\w.-]+(?:, )?)+", "", shown).strip()
        if not flags:
            found = _argument(name, metavar)
            argument = Value(found.kind, (*argument.words, *found.words))
            continue
        value = _value(metavar) if metavar else Value("none")
        value = Value(_BY_FLAG[flags[0]]) if flags[0] in _BY_FLAG and metavar else value
        if names and flags[0] in names:
            value = Value("words", tuple(names[flags[0]]))
        options.append(Option(flags, _beginning(said), value))
    return Command(name, meaning, argument, tuple(options))


def _rows(text: str) -> list[tuple[str, str]]:
    """What each option or argument of the boxes looks like, and what is said of it."""
    rows: list[tuple[str, str]] = []
    for line in text.splitlines():
        if not line.startswith("│ "):
            continue
        inner = line.strip("│")[1:].rstrip()
        if inner.startswith(" "):
            if rows:
                rows[-1] = (rows[-1][0], f"{rows[-1][1]} {inner.strip()}".strip())
        elif inner:
            shown, _, said = inner.partition("  ")
            if rows and rows[-1][0].startswith("-") and not rows[-1][1] and not shown.startswith("-"):
                shown = f"{rows.pop()[0]} {shown}"  # an option whose values do not fit beside it
            rows.append((shown, said.strip()))
    return rows


def _argument(command: str, metavar: str) -> Value:
    """What stands without an option: `PATH` is a run's folder in every command."""
    if command == "bench":
        return Value("game")
    if command == "sweep":
        return Value("recipe")
    value = _value(metavar)
    return Value("run", value.words) if value.kind == "file" and "PATH" in metavar else value


def _value(metavar: str) -> Value:
    """What `INT`, `{a,b}`, `a|b|FILE`, `{None}|PATH` or `[PATH ...]` stand for."""
    plain = metavar.removeprefix("{None}|").strip("[]")
    found = _ONE_OF.fullmatch(plain.partition(" ")[0])
    words = re.split(r"[|,]", found[1]) if found else [plain.partition(" ")[0]]
    own = tuple(word for word in words if word != "None" and not word.isupper())
    if {"PATH", "FILE", "FOLDER"} & set(words):
        return Value("file", own)
    if "RUN" in words:
        return Value("run", own)
    return Value("words", own) if found and own else Value("any")


def _beginning(said: str) -> str:
    """The first sentence, or as much of it as fits."""
    sentence = re.sub(r"\s*\((default|required)\b.*", "", said)
    sentence = re.split(r"(?<=[^.])\.(?: |$)", sentence)[0]
    if len(sentence) > LONGEST:
        sentence = re.split(r"[;:] ", sentence)[0]
    if len(sentence) <= LONGEST:
        return sentence
    return sentence[:LONGEST].rpartition(" ")[0].rstrip(" ,;:(") + " ..."
