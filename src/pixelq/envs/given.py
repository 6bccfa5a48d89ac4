"""An environment that a person hands over in Python, and how it can be made again: as an id, or by a function."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from pixelq.envs.factories import OneEnvironment
from pixelq.envs.factory_names import factory_name
from pixelq.envs.gymnasium_games import find_gymnasium_game
from pixelq.envs.minigrid import is_minigrid
from pixelq.errors import UserError
from pixelq.named_objects import named
from pixelq.recipes.keywords import checked_keywords

Wrapper = Callable[[Any], Any]
"""Puts something around an environment."""


@dataclasses.dataclass
class Given:
    """What a configuration says of an environment that was handed over, and what it cannot hold."""

    game: str
    """Its name there."""
    keywords: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of the environment, for `env_kwargs`."""
    wrappers: tuple[str, ...] = ()
    """Names of the wrappers around it, the innermost first."""
    handed: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Objects that only this process has, by name; see `named_objects.handed_over`."""
    factory: Callable[..., Any] | None = None
    """Makes the environment without its wrappers; None where `game` is a text."""
    message: str = ""
    """What a person should know of it, in a line."""

    @property
    def one(self) -> bool:
        """Whether there is this one environment and no other."""
        return isinstance(self.factory, OneEnvironment)


def given_environment(env: Any, wrappers: Sequence[Wrapper | str] = ()) -> Given:
    """How to make what a person has given.

    Args:
        env: a name, an environment, its `EnvSpec`, or a function or class that makes one.
        wrappers: further ones around it, each a callable or its name.

    Raises:
        UserError: it is something else.
    """
    if isinstance(env, str):
        given = Given(env)
    elif isinstance(env, gymnasium.vector.VectorEnv):
        raise UserError(
            f"{type(env).__name__} is several environments in one; pixelq plays several itself: give a function that "
            "makes one environment, and num_envs"
        )
    elif isinstance(env, EnvSpec):
        given = _of_spec(env, {}) or _of_factory(functools.partial(gymnasium.make, env))
    elif isinstance(env, gymnasium.Env):
        given = _of_object(env)
    elif callable(env):
        given = _of_factory(env)
    elif hasattr(env, "reset") and hasattr(env, "step"):
        raise UserError(
            f"{type(env).__name__} has reset and step, but is no gymnasium.Env; derive it from gymnasium.Env, with "
            "observation_space and action_space"
        )
    else:
        raise UserError(
            f"game {env!r:.80} is no name; give one as text, such as 'pong' or 'CartPole-v1', or an environment, or a "
            "function that makes one"
        )
    given.wrappers += tuple(wrapper_names(wrappers, given.handed))
    return given


def wrapper_names(wrappers: Any, handed: dict[str, Any]) -> list[str]:
    """The names of wrappers that a person hands over.

    Args:
        wrappers: callables or names.
        handed: takes those that cannot be found again by their names.

    Raises:
        UserError: something else is among them, or they are in no list.
    """
    if not isinstance(wrappers, list | tuple):
        raise UserError(f"wrappers = {wrappers!r:.80} must be a list of callables, each around one environment")
    names = []
    for wrapper in wrappers:
        if isinstance(wrapper, str):
            names.append(wrapper)
        elif isinstance(wrapper, gymnasium.Env) or not callable(wrapper):
            raise UserError(
                f"wrapper {wrapper!r:.80}: give what makes the wrapper of an environment: a class such as "
                "FlattenObservation, or lambda env: TimeLimit(env, 100)"
            )
        else:
            names.append(named(wrapper, handed))
    return names


def _of_factory(factory: Callable[..., Any], name: str = "") -> Given:
    handed: dict[str, Any] = {}
    if name:
        handed[name] = factory
    return Given(factory_name(name or named(factory, handed)), handed=handed, factory=factory)


def _of_object(env: gymnasium.Env[Any, Any]) -> Given:
    """As its spec says it is made, else copies of it, else it alone."""
    spec = _spec(env)
    if spec is not None:
        given = _of_spec(spec, _kinds(env))
        if given is not None:
            return given
        if all(wrapper.kwargs is not None for wrapper in spec.additional_wrappers):
            given = _of_factory(functools.partial(gymnasium.make, spec), f"gymnasium:make({spec.id})")
            given.message = f"each environment is made by gymnasium.make(env.spec), {spec.id}; yours is left as it is"
            return given
    kind = type(env.unwrapped)
    name = f"{kind.__module__}:{kind.__qualname__} object"
    try:
        template = copy.deepcopy(env)
        given = _of_factory(functools.partial(copy.deepcopy, template), name)
        given.message = f"each environment is a copy of your {kind.__qualname__} object, which is left as it is"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of a stranger's code, or what holds a file, a window, an emulator
        given = _of_factory(OneEnvironment(env), name)
        given.message = (
            f"your {kind.__qualname__} object cannot be copied ({type(error).__name__}), so it is the only "
            "environment; evaluation is off (a function that makes such environments allows it)"
        )
    return given


def _of_spec(spec: EnvSpec, kinds: dict[str, Any]) -> Given | None:
    """By its id, keywords and wrappers, which a configuration can hold; None where they do not say everything.

    Args:
        spec: of an environment.
        kinds: of its wrappers.
    """
    registered = gymnasium.registry.get(spec.id)
    if registered is None or registered.entry_point != spec.entry_point:
        return None
    inherited = registered.additional_wrappers
    wrappers = spec.additional_wrappers[len(inherited) :]
    if spec.additional_wrappers[: len(inherited)] != inherited or (wrappers and is_minigrid(spec.id)):
        return None
    keywords = {
        name: value
        for name, value in spec.kwargs.items()
        if name != "render_mode" and (name not in registered.kwargs or not _equal(registered.kwargs[name], value))
    }
    if spec.max_episode_steps != registered.max_episode_steps:
        keywords["max_episode_steps"] = spec.max_episode_steps
    try:
        game = find_gymnasium_game(spec.id)
        keywords = checked_keywords(keywords, spec.id)
    except UserError:  # an Atari game, of which pixelq has its own environments; keywords that TOML cannot hold
        return None
    callables = [_wrapper(wrapper, kinds) for wrapper in wrappers]
    if any(one is None for one in callables):
        return None
    handed: dict[str, Any] = {}
    made = functools.partial(gymnasium.make, game.id, **keywords)
    return Given(game.id, keywords, tuple(named(one, handed) for one in callables), handed, made)


def _wrapper(spec: WrapperSpec, kinds: dict[str, Any]) -> Wrapper | None:
    """What a recorded wrapper is made by; None where its arguments were not recorded and there may be some."""
    kind: Any = kinds.get(spec.name)
    try:
        kind = kind or gymnasium.envs.registration.load_env_creator(spec.entry_point)
    except Exception:  # of a function's inside
        return None
    if spec.kwargs is None:
        parameters = list(inspect.signature(kind).parameters.values())
        return kind if len(parameters) == 1 else None
    return functools.partial(kind, **spec.kwargs) if spec.kwargs else kind


def _spec(env: gymnasium.Env[Any, Any]) -> EnvSpec | None:
    """The spec with all wrappers; None where there is none, or it cannot be told."""
    try:
        return env.spec
    except Exception:  # wrappers with arguments that cannot be copied
        return None


def _kinds(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """The classes of the wrappers around an environment, by name."""
    found: dict[str, Any] = {}
    while isinstance(env, gymnasium.Wrapper):
        found[type(env).__name__] = type(env)
        env = env.env
    return found


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # arrays
        return False
