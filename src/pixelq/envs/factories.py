"""Environments that a person's own function or class makes, and wrappers of a person's own around any."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium

from pixelq.envs.factory_names import find_factory, is_factory
from pixelq.errors import UserError
from pixelq.named_objects import find

_MADE: dict[int, weakref.ref[Any]] = {}
"""Environments that factories have made and that are still there, without their wrappers, by identity."""


def made_by_factory(game: str, render_mode: str | None, keywords: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """A new environment.

    Args:
        game: its name.
        render_mode: handed to a factory that takes one; another must have set it.
        keywords: of the factory.

    Raises:
        UserError: what comes back is no `gymnasium.Env`, or one that it has given before, or draws otherwise.
        Exception: the factory's own.
    """
    factory = find_factory(game)
    options = dict(keywords)
    if render_mode is not None and _takes(factory, "render_mode"):
        options["render_mode"] = render_mode
    env = factory(**options)
    if not isinstance(env, gymnasium.Env):
        kind = type(env).__name__
        instead = "; give a function that makes one environment, and num_envs" if _is_vector(env) else ""
        raise UserError(f"game {game}: it returned a {kind}, which is no gymnasium.Env{instead}")
    _check_new(env, game)
    if render_mode is not None and env.render_mode != render_mode:
        env.close()
        raise UserError(
            f"game {game}: it is drawn only in render mode {render_mode}: let its function take render_mode and hand "
            "it to the environment"
        )
    return env


def wrapped(env: gymnasium.Env[Any, Any], wrappers: Sequence[str], game: str) -> gymnasium.Env[Any, Any]:
    """An environment in wrappers, the first one innermost; if one fails, the environment is closed.

    Raises:
        UserError: a wrapper is not known here, fails, or gives no environment.
    """
    try:
        for name in wrappers:
            wrapper = find(name, "wrapper", "pixelq.resume(run, wrappers=[{0}]) or pixelq.load(run, wrappers=[{0}])")
            try:
                env, inner = wrapper(env), env
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise UserError(
                    f"wrapper {name}: it cannot be put around {game} ({type(error).__name__}: {error})"
                ) from None
            if not isinstance(env, gymnasium.Env):
                env, given = inner, env
                raise UserError(f"wrapper {name}: it returned a {type(given).__name__}, which is no gymnasium.Env")
    except BaseException:
        env.close()
        raise
    return env


class OneEnvironment:
    """Lends the one environment that there is to whoever asks for one, and never closes it.

    Args:
        env: the environment.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env
        self._lent = False

    def __call__(self) -> gymnasium.Env[Any, Any]:
        """The environment, until it is closed.

        Raises:
            UserError: it is lent already.
        """
        if self._lent:
            raise UserError(
                f"there is one {type(self._env.unwrapped).__name__} object, which cannot be copied; give a function "
                "that makes such environments"
            )
        self._lent = True
        return _Lent(self._env, self._back)

    def _back(self) -> None:
        self._lent = False


class _Lent(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that belongs to somebody else: closing it gives it back."""

    def __init__(self, env: gymnasium.Env[Any, Any], back: Callable[[], None]) -> None:
        super().__init__(env)
        self._back = back

    def close(self) -> None:
        """Give it back."""
        self._back()


def is_one(game: str) -> bool:
    """Whether the game's only environment is an object that cannot be copied."""
    return is_factory(game) and isinstance(find_factory(game), OneEnvironment)


def _check_new(env: gymnasium.Env[Any, Any], game: str) -> None:
    """Hold a factory to making a new environment each time; two that are one would play each other's games.

    Raises:
        UserError: it gave this one before.
    """
    if isinstance(env, _Lent):
        return
    plain = env.unwrapped
    before = _MADE.get(id(plain))
    if before is not None and before() is plain:
        raise UserError(
            f"game {game}: it returned the same environment twice; it must make a new one at each call (one "
            "environment that is there already: pixelq.train(env))"
        )
    key = id(plain)
    try:
        _MADE[key] = weakref.ref(plain, lambda _: _MADE.pop(key, None))
    except TypeError:  # its class has slots without one for weak references
        return


def _takes(factory: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # of a built-in
        return False
    return name in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def _is_vector(thing: Any) -> bool:
    return isinstance(thing, gymnasium.vector.VectorEnv)
