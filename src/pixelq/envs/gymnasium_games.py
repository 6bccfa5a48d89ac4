"""Gymnasium environments by their ids: which exist, which package each needs, and which modules may be imported."""

from __future__ import annotations

import contextlib
import copy
import difflib
import importlib
import importlib.util
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixelq.command_lines import IMPORTED
from pixelq.envs.factory_names import find_factory, is_factory
from pixelq.envs.minigrid import has_mission, is_minigrid, of_missions
from pixelq.errors import UserError

if TYPE_CHECKING:
    import gymnasium

_VERSION = re.compile(r"-v(\d+)$")
_SKIP = re.compile(r"(-ram)?(NoFrameskip|Deterministic)?$")
_OLD_VERSIONS = (0, 4)
"""Of ale-py's ids without a namespace: `Pong-v0`, `PongNoFrameskip-v4`."""

_PLUGINS = {
    "MinAtar/": ("minatar.gym", "minatar"),
    "MiniGrid-": ("minigrid", "minigrid"),
    "BabyAI-": ("minigrid", "minigrid"),
}
"""Beginning of an id -> the module that registers it, and the extra of pixelq that installs it."""

_EXTRAS = {
    "gymnasium.envs.box2d": "pixelq[box2d]",
    "gymnasium.envs.classic_control": "pixelq[classic-control]",
    "gymnasium.envs.toy_text": "pixelq[toy-text]",
    "gymnasium.envs.mujoco": "gymnasium[mujoco]",
    "gymnasium.envs.phys2d": "gymnasium[jax]",
    "gymnasium.envs.tabular": "gymnasium[jax]",
    "minatar": "pixelq[minatar]",
    "minigrid": "pixelq[minigrid]",
}
"""Package of an environment -> what to install if it needs a missing package."""


WELL_KNOWN = (
    *("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "LunarLander-v3", "CarRacing-v3"),
    *("CliffWalking-v1", "FrozenLake-v1", "FrozenLake8x8-v1"),
    *(f"MinAtar/{game}-v1" for game in ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")),
    *(f"MiniGrid-{room}-v0" for room in ("Empty-5x5", "Empty-8x8", "DoorKey-5x5", "FourRooms", "LavaGapS5")),
)
"""Ids that `pixelq list games` shows; any other one with actions to choose among works too."""


@dataclass(frozen=True, order=True)
class GymnasiumGame:
    """One environment of Gymnasium's registry."""

    id: str
    """Its id there, without a module in front, e.g. `CartPole-v1`, `MinAtar/Breakout-v1`; or `my_games:make()`."""

    @property
    def name(self) -> str:
        """The name that identifies the game: the id."""
        return self.id

    @property
    def title(self) -> str:
        """Name for display, e.g. `CartPole`, `MinAtar Breakout`."""
        return _VERSION.sub("", self.id.partition(":")[2] or self.id).replace("/", " ")


def find_gymnasium_game(name: str) -> GymnasiumGame:
    """Return the environment that an id means. Imports only modules of pixelq's extras.

    Args:
        name: a registered id, or `module:id` of a module that has been imported already (`import_module_of`).

    Raises:
        UserError: an unknown id (the message names similar ones), a missing extra, or a module that is not imported.
    """
    if is_factory(name):
        find_factory(name)
        return GymnasiumGame(name)
    module, _, plain = name.rpartition(":")
    if module and module not in sys.modules:
        raise UserError(
            f"game {name}: it would run the code of the module {module!r}; if you trust it, name it yourself: "
            f"pixelq --import {module} ... (in Python: import {module})"
        )
    _register_plugin(plain)
    if plain in _registry():
        return GymnasiumGame(plain)
    versions = sorted((known for known in _registry() if _base(known) == _base(plain)), key=_version)
    if versions:
        raise UserError(f"unknown game {name!r}: this Gymnasium has {' and '.join(versions)}")
    raise UserError(f"unknown game {name!r}{_did_you_mean(nearest_ids(plain))} see `pixelq list games`")


def newest_version(name: str) -> str:
    """The id that Gymnasium means by one without a version: the one with the highest; empty if there is none.

    Args:
        name: `CartPole`, `MinAtar/Breakout`, `ALE/Pong`, `PongNoFrameskip`, without a module.
    """
    import gymnasium

    _register_plugin(name)
    if name in gymnasium.registry:
        return name
    versions = [known for known in gymnasium.registry if _base(known) == name]
    return max(versions, key=_version, default="")


def own_ids() -> list[str]:
    """Registered ids that come neither from Gymnasium nor from a package that pixelq knows: those of a person's own."""
    known = {"gymnasium", *(module.partition(".")[0] for module, _ in _PLUGINS.values())}
    return sorted(name for name, spec in _registry().items() if _package(spec) not in known)


def is_gymnasium_id(name: str) -> bool:
    """Return whether `name` is a registered id of an environment that is not ale-py's."""
    return name in _registry()


def nearest_ids(word: str) -> list[str]:
    """Return at most three registered ids similar to `word` (with or without a version), each in its newest version."""
    by_key = {_key(_base(known)): known for known in sorted(_registry(), key=_version)}
    key = _key(_base(word))
    if key in by_key:
        return [by_key[key]]
    return [by_key[close] for close in difflib.get_close_matches(key, list(by_key), n=3, cutoff=0.7)]


def import_module_of(name: str) -> None:
    """Import the module of a `module:id` that a person typed. Never call it with a name that was read from a file.

    Raises:
        UserError: there is no such module, or its code fails.
    """
    if ":" in name:
        import_typed(name.rpartition(":")[0])


def import_typed(module: str) -> None:
    """Import a module that a person named; the current folder is searched last.

    Raises:
        UserError: there is no such module, or its code fails.
    """
    here = os.getcwd()
    sys.path.append(here)
    try:
        importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserError(f"module {module!r} cannot be imported ({type(error).__name__}: {error})") from None
    finally:
        sys.path.remove(here)
    if module not in IMPORTED:
        IMPORTED.append(module)


def extra_of(game_id: str) -> str:
    """Return what must be installed for an id of `WELL_KNOWN` (`pixelq[box2d]`); empty: nothing more than pixelq."""
    for prefix, (_, extra) in _PLUGINS.items():
        if game_id.startswith(prefix):
            return f"pixelq[{extra}]"
    return _EXTRAS["gymnasium.envs.box2d"] if game_id in ("LunarLander-v3", "CarRacing-v3") else ""


def make_environment(
    game: GymnasiumGame,
    render_mode: str | None = None,
    keywords: Mapping[str, Any] | None = None,
    wrappers: Sequence[str] = (),
) -> gymnasium.Env[Any, Any]:
    """Make one environment, with the time limit of its registration. MiniGrid's observations are reduced to the image:
    after MiniGrid's own wrappers and before others, or, under another name, after all.

    Args:
        game: from `find_gymnasium_game`.
        render_mode: Gymnasium's; None: nothing is drawn.
        keywords: of the environment, or of `gymnasium.make` (`max_episode_steps`); they are copied.
        wrappers: names of a person's own around it, the innermost first.

    Raises:
        UserError: a package is missing (with the command that installs it), or it cannot be made (with the
            environment's own reason).
    """
    import gymnasium

    from pixelq.envs.factories import made_by_factory, wrapped

    options = copy.deepcopy(dict(keywords or {}))
    if render_mode is not None:  # a user's own environment may not take one
        options["render_mode"] = render_mode
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about newer versions; what matters is raised as an error
            if is_factory(game.id):
                env = made_by_factory(game.id, render_mode, copy.deepcopy(dict(keywords or {})))
            else:
                env = gymnasium.make(game.id, disable_env_checker=True, **options)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise missing_package(game, error) from None
    except (KeyboardInterrupt, UserError):
        raise
    except BaseException as error:
        said = f" with env_kwargs {dict(keywords)}" if keywords else ""
        raise UserError(f"game {game.id} cannot be made{said} ({type(error).__name__}: {error})") from None
    # Wrappers around an environment under another name may have been made for what it shows itself.
    inside = of_missions(wrappers) if is_minigrid(game.id) else wrappers
    env = wrapped(env, inside, game.id)
    if has_mission(getattr(env, "observation_space", None)):
        from minigrid.wrappers import ImgObsWrapper

        env = ImgObsWrapper(env)
    return wrapped(env, wrappers[len(inside) :], game.id)


@contextlib.contextmanager
def opened_environment(
    game: GymnasiumGame, keywords: Mapping[str, Any] | None = None, wrappers: Sequence[str] = ()
) -> Iterator[gymnasium.Env[Any, Any]]:
    """An environment to look at its spaces and metadata, closed afterwards; as `make_environment`."""
    env = make_environment(game, keywords=keywords, wrappers=wrappers)
    try:
        yield env
    finally:
        close_environment(env)


def close_environment(env: gymnasium.Env[Any, Any]) -> None:
    """Close an environment. One that fails at that is left as it is: nothing is asked of it any more."""
    try:
        env.close()
    except KeyboardInterrupt:
        raise
    except BaseException:  # of a stranger's code
        return


def missing_package(game: GymnasiumGame, error: Exception) -> UserError:
    """Return the error that names the command to install the package that the environment needs."""
    entry = "" if is_factory(game.id) else f"{_registry()[game.id].entry_point}.".replace(":", ".")
    package = next((extra for start, extra in _EXTRAS.items() if entry.startswith(f"{start}.")), None)
    fix = f"fix it with: python -m pip install '{package}'" if package else "install what it needs"
    return UserError(f"game {game.id}: a package that it needs is missing ({error}); {fix}")


def _register_plugin(name: str) -> None:
    """Import the extra that registers ids that begin like `name`; Gymnasium does not do that itself."""
    for prefix, (module, extra) in _PLUGINS.items():
        if name.startswith(prefix):
            try:
                plugin = importlib.import_module(module)
            except ImportError as error:
                raise UserError(
                    f"game {name}: it needs {extra} ({error}); fix it with: python -m pip install 'pixelq[{extra}]'"
                ) from None
            if extra == "minatar" and not any(known.startswith(prefix) for known in _registry()):
                plugin.register_envs()


def _registry() -> dict[str, Any]:
    """Registered environments by id, without ale-py's (pixelq has its own) and Gymnasium's compatibility wrappers."""
    import gymnasium

    return {
        name: spec
        for name, spec in gymnasium.registry.items()
        if not _is_ale_pys(name, spec) and _package(spec) != "shimmy" and not name.startswith("GymV2")
    }


def _is_ale_pys(name: str, spec: Any) -> bool:
    """Whether ale-py registered this id: all of its namespace, and the old ones without, made of their ROM's name."""
    if _package(spec) != "ale_py":
        return False
    if spec.namespace is not None:
        return bool(spec.namespace == "ALE")
    old = spec.version in _OLD_VERSIONS and _key(_SKIP.sub("", _base(name))) == _key(str(spec.kwargs.get("game", "")))
    return bool(old)


def _package(spec: Any) -> str:
    """The package of an environment's entry point: `module:Class`, a class or a function."""
    entry = spec.entry_point
    module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    return str(module or "").partition(".")[0]


def _did_you_mean(close: Iterable[str]) -> str:
    names = " or ".join(close)
    return f"; did you mean {names}?" if names else ";"


def _base(name: str) -> str:
    return _VERSION.sub("", name)


def _version(name: str) -> int:
    found = _VERSION.search(name)
    return int(found[1]) if found else -1


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
