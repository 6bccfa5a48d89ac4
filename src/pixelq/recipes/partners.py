"""Which loss goes with which head and loop, and which optimizer with which loop: by what they say of themselves."""

from __future__ import annotations

import contextlib
from typing import Any

from pixelq import loops
from pixelq.errors import UserError
from pixelq.named_objects import innermost
from pixelq.variants import KINDS

USUAL = ("transitions", "rollouts")
"""What a loss can learn from that says nothing of it."""


def learns_head(loss: str, head: str) -> bool:
    """Whether a loss can learn the output of a head: one that it names, or one's own whose class extends such a one's.

    A head of pixelq's that extends another gives something else, and so does one's own that extends that one.
    """
    heads = getattr(KINDS["loss"].find(loss), "HEADS", None)
    if heads is None or head in heads:
        return True
    part = innermost(KINDS["head"].find(head).Head)
    named = [_class_of(name) for name in heads]
    own = [_class_of(name) for name in KINDS["head"].names() if KINDS["head"].is_own(name)]
    nearest = next((kind for kind in getattr(part, "__mro__", ()) if kind in named or kind in own), None)
    return nearest is not None and nearest in named


def learns_in(loss: str, loop: str) -> bool:
    """Whether a loss can learn from what a loop gives.

    Of a loop that does not say what it gives, nothing is known: it takes what says nothing of loops, or names it.
    """
    variant = KINDS["loss"].find(loss)
    if loop in getattr(variant, "LOOPS", ()):
        return True
    given = loops.gives(loop)
    if given is None:
        return not hasattr(variant, "TAKES") and not hasattr(variant, "LOOPS")
    return given in takes(loss)


def takes(loss: str) -> tuple[str, ...]:
    """What a loss can learn from, of what loops give."""
    variant = KINDS["loss"].find(loss)
    said: tuple[str, ...] | None = getattr(variant, "TAKES", None)
    named = getattr(variant, "LOOPS", None)
    if said is None and named is None:
        return USUAL
    found = dict.fromkeys(said or ())
    for name in named or ():
        with contextlib.suppress(UserError):  # there is no such loop here
            if (given := loops.gives(name)) is not None:
                found[given] = None
    return tuple(found)


def steps_in(optimizer: str, loop: str) -> bool:
    """Whether an optimizer can make the steps of a loop.

    One that says nothing takes gradients of minibatches, as every loop of pixelq's has but the stream's; a loop of
    one's own may have them, whatever it gives.
    """
    said: tuple[str, ...] | None = getattr(KINDS["optimizer"].find(optimizer), "TAKES", None)
    given = loops.gives(loop)
    if said is None:
        return given != "stream" or not KINDS["loop"].is_own(loop)
    return given in said


def _class_of(head: str) -> Any:
    """A head's class; None: there is no such head here."""
    try:
        return innermost(KINDS["head"].find(head).Head)
    except UserError:
        return None
