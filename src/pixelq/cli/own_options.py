"""Commands that take options of their own and pass all others on to `pixelq train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pixelq.errors import UserError


def own_options(kind: type, argv: Sequence[str], command: str) -> tuple[list[str], list[str]]:
    """The arguments that belong to a command's dataclass, each as `--name=value`, and the others as they are.

    Args:
        kind: the dataclass; a field of type bool takes no value.
        argv: arguments without the positional one.
        command: its name, for the message.

    Raises:
        UserError: an option of its own without a value.
    """
    names = {f.name: f.type in (bool, "bool") for f in dataclasses.fields(kind)}
    own: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        flag, equals, _ = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if word in ("-h", "--help"):
            own.append(word)
        elif not flag.startswith("--") or name not in names:
            rest.append(word)
        elif equals or names[name]:
            own.append(word)
        elif (value := next(words, None)) is None:
            raise UserError(f"{flag} needs a value; see `pixelq {command} --help`")
        else:
            own.append(f"{flag}={value}")
    return own, rest
