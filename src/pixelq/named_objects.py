"""Python objects by name, `module:name`: what a person hands over in Python, and what a configuration says of it.

A configuration holds the name alone. In another process the object is found only if a person names its module there
(`--import`) or hands it over again: a stranger's file never chooses what is executed.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pixelq.command_lines import IMPORTED
from pixelq.errors import UserError

ITS_OWN = {
    "gymnasium.wrappers": ("gymnasium", "Wrapper", "wrapper of Gymnasium"),
    "minigrid.wrappers": ("gymnasium", "Wrapper", "wrapper of MiniGrid"),
    "torch.optim": ("torch.optim", "Optimizer", "optimizer of torch"),
}
"""Packages whose classes may be named by a file, too: they are a part of what pixelq stands on. Each with the module
and name of what these classes are, and that in words."""

MOST_LETTERS = 200
"""Of a name."""

_HANDED: dict[str, Any] = {}
"""Objects that have been handed over for as long as a call lasts, by the names that configurations give them."""

_NAMED: set[str] = set()
"""Names of objects of modules that a person of this process has handed over. A text in a call names none: it may come
from a stranger's file."""


def name_of(thing: Any) -> str:
    """`module:name` of a function, class or other object.

    Where that is not the way to import it (a lambda, a function in a function, an object), the name only says what it
    is, and `session_only` is true of it.
    """
    if isinstance(thing, functools.partial):
        inner = name_of(thing.func)
        arguments = [*map(_shown, thing.args), *(f"{name}={_shown(value)}" for name, value in thing.keywords.items())]
        return f"{inner}({', '.join(arguments)})"[:MOST_LETTERS]
    qualified = getattr(thing, "__qualname__", None)
    if not isinstance(qualified, str):
        kind = type(thing)
        return f"{kind.__module__}:{kind.__qualname__} object"[:MOST_LETTERS]
    name = f"{getattr(thing, '__module__', None) or 'builtins'}:{qualified}"[:MOST_LETTERS]
    return name if session_only(name) or _attribute(name) is thing else f"{name} (local)"


def innermost(thing: Any) -> Any:
    """The function or class that partials of it call; anything else as it is."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return thing


def session_only(name: str) -> bool:
    """Whether no other process can find the object by its name."""
    module, _, path = name.partition(":")
    return module == "__main__" or not all(part.isidentifier() for part in (*module.split("."), *path.split(".")))


def named(thing: Any, handed: dict[str, Any]) -> str:
    """The name under which an object that a person hands over is found; its module may be named from now on.

    Args:
        thing: the object.
        handed: takes the object, if it cannot be found again by its name; give it to `handed_over`.
    """
    name = first = name_of(thing)
    if not session_only(name):
        _NAMED.add(name)
        return name
    number = 1
    while handed.get(name, thing) is not thing:
        number += 1
        name = f"{first} {number}"
    handed[name] = thing
    return name


@contextmanager
def handed_over(objects: Mapping[str, Any]) -> Iterator[None]:
    """Inside, these objects are found by these names."""
    before = dict(_HANDED)
    _HANDED.update(objects)
    try:
        yield
    finally:
        _HANDED.clear()
        _HANDED.update(before)


def find(name: str, what: str, again: str) -> Any:
    """The object of a name.

    Args:
        name: from a configuration.
        what: it is, for the message: `game`.
        again: Python that hands it over, with `{}` in its place.

    Raises:
        UserError: it is of another Python session, its module is not one that a person has named, or has no such
            object.
    """
    if name in _HANDED:
        return _HANDED[name]
    module, _, path = name.partition(":")
    if session_only(name):
        raise UserError(
            f"{what} {name}: it was handed over in Python and cannot be imported by its name, so a file cannot bring "
            f"it back; hand it over again, in Python: {again.format('...')}"
        )
    own = next((package for package in ITS_OWN if f"{module}.".startswith(f"{package}.")), None)
    if not own and name not in _NAMED and module not in IMPORTED:
        raise UserError(
            f"{what} {name}: it would run the code of the module {module!r}; if you trust it, name it yourself: pixelq "
            f"--import {module} ... (in Python hand over {module}.{path} itself: {again.format(f'{module}.{path}')})"
        )
    if own and module not in sys.modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError(f"{what} {name}: its module cannot be imported ({error})") from None
    found = _attribute(name)
    if found is None:
        raise UserError(f"{what} {name}: the module {module} has no {path}; is it called otherwise now?")
    if own and name not in _NAMED and not _is_of(own, found):
        raise UserError(f"{what} {name}: it is no {ITS_OWN[own][2]}, and only those may be named by a file")
    home = getattr(found, "__module__", module)
    # What a module has merely imported was named by nobody: `from os import abort`.
    if home != module and not own and name not in _NAMED:
        raise UserError(f"{what} {name}: it is of the module {home}; name it as {name_of(found)}, with --import {home}")
    return found


def _attribute(name: str) -> Any:
    """The object of a module that has been imported; None if there is none."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        try:
            found = getattr(found, part, None)
        except ImportError:  # of modules whose parts are imported when they are asked for
            return None
    return found


def _is_of(package: str, thing: Any) -> bool:
    """Whether it is a class of the package's: its modules have imported others' functions, too, such as all of `os`."""
    home, name, _ = ITS_OWN[package]
    base = getattr(importlib.import_module(home), name)
    return isinstance(thing, type) and issubclass(thing, base) and f"{thing.__module__}.".startswith(f"{package}.")


def _shown(value: Any) -> str:
    """A value in a name: one line, without colons, which part modules from names."""
    return " ".join(f"{value!r:.60}".replace(":", "=").split())
