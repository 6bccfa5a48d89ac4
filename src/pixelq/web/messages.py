"""The messages between a player's process, the server and the page."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Times the game's own pace."""
SALIENCY = ("off", "perturbation", "gradient")
POLICIES = ("newest", "best", "final")
MOST_ACTIONS = 1024
LONGEST = 2**26
"""Bytes of one message of a player; more means that its process is broken."""


def packed(header: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """A message: the header's length (4 bytes, big-endian), the header as JSON with the blobs' sizes, the blobs."""
    text = json.dumps(header | {"sizes": [len(blob) for blob in blobs]}, allow_nan=False).encode()
    return b"".join((struct.pack(">I", len(text)), text, *blobs))


def header_of(message: bytes) -> dict[str, Any]:
    """The header of a message that `packed` made."""
    (length,) = struct.unpack_from(">I", message)
    header: dict[str, Any] = json.loads(message[4 : 4 + length])
    return header


def replace_older(waiting: dict[str, Any], command: dict[str, Any]) -> None:
    """Put a command behind those that wait, in place of an older one of its name.

    Every command replaces what an older one of its name asked for, so no more wait than there are names, however often
    somebody clicks.
    """
    for name, value in command.items():
        waiting.pop(name, None)
        waiting[name] = value


def checked_control(message: Any) -> dict[str, Any] | None:
    """What the page may ask of a player, as the player takes it; None: anything else, which is refused.

    One of `{"paused": bool}`, `{"step": true}`, `{"speed": one of SPEEDS}`, `{"saliency": one of SALIENCY}`,
    `{"policy": one of POLICIES}`, `{"hold": action}` (a person's, until another or `{"hold": null}`).
    """
    if not isinstance(message, dict) or len(message) != 1:
        return None
    ((name, value),) = message.items()
    if name == "hold":
        allowed = value is None or (type(value) is int and 0 <= value < MOST_ACTIONS)
    elif name == "paused":
        allowed = isinstance(value, bool)
    elif name == "step":
        allowed = value is True
    else:
        choices: dict[str, tuple[Any, ...]] = {"speed": SPEEDS, "saliency": SALIENCY, "policy": POLICIES}
        allowed = (
            not isinstance(value, bool) and isinstance(value, str | int | float) and value in choices.get(name, ())
        )
    return {name: value} if allowed else None
