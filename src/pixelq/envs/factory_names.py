"""Names of games whose environments a person's own function or class makes: `my_games:make_corridor()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pixelq.errors import UserError
from pixelq.named_objects import find

AGAIN = "pixelq.resume(run, env={0}) or pixelq.load(run, env={0})"
"""Python that hands a factory over once more."""


def is_factory(game: str) -> bool:
    """Whether a game's name is that of a factory, as `factory_name` writes it: no id of Gymnasium has its letters."""
    return ":" in game and game.endswith((")", " object"))


def factory_name(name: str) -> str:
    """The game's name for a function or class `module:name`: `module:name()`; others say already what is called."""
    return name if is_factory(name) else f"{name}()"


def object_name(game: str) -> str:
    """The name of the function, class or object behind a game's name."""
    return game.removesuffix("()")


def find_factory(game: str) -> Callable[..., Any]:
    """The callable that makes the environments of a game.

    Raises:
        UserError: as `named_objects.find`, or it cannot be called.
    """
    found = find(object_name(game), "game", AGAIN)
    if not callable(found):
        raise UserError(f"game {game}: it is a {type(found).__name__}, which cannot be called to make an environment")
    made: Callable[..., Any] = found
    return made
