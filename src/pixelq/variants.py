"""Losses, heads, torsos and the other parts of an agent that a recipe chooses by name: where they are found.

A variant is a module (or any object) with the part that its kind asks for, such as a function `loss`, and perhaps a
dataclass `Options`. There are three places to put one:

- a file in the kind's folder of this package, which is found by its name;
- an installed package of your own, with an entry point in the kind's group: `c51 = "my_package.c51"`;
- a module of your own that calls `register` and is named on the command line: `pixelq --import my_variants train ...`;
  or that has the part, which is then chosen as `--torso my_variants:MyTorso`.

A configuration names variants, never a file or a module to import: a stranger's run executes no code of its own.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
import typing
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from pixelq.errors import UserError
from pixelq.named_objects import find, innermost, named
from pixelq.typed_values import checked, nearest

RESERVED = frozenset({"help", "profile", "run_dir", "network", "average_tau"})
"""Names that mean something else beside options."""


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Options of a variant that has none."""


def option_values(options: Any) -> dict[str, Any]:
    """A variant's options by name; its dataclass may have `slots`."""
    return {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}


class _OfPart(SimpleNamespace):
    """A variant of a class or function alone; what else a variant may say (`Options`, `HEADS`) it says itself, else its
    module does. For a partial speaks what it calls."""

    def __init__(self, part: str, thing: Any, home: ModuleType | None, says: tuple[str, ...]) -> None:
        super().__init__(**{part: thing})
        self._thing, self._home, self._says = innermost(thing), home, says

    def __getattr__(self, name: str) -> Any:
        if name in ("_thing", "_home", "_says"):  # of an empty copy
            raise AttributeError(name)
        at_home = name in self._says and not hasattr(self._thing, name)
        return getattr(self._home if at_home else self._thing, name)


class Kind:
    """All variants of one kind.

    Args:
        name: the field of `Config` that chooses one: `loss`.
        folder: of the files, a package below `pixelq`; also the entry points' group.
        part: what a variant must have: `loss`, `Head`.
        options: the field of `Config` with its options: `loss_options`.
        no_variants: files in the folder that are none.
        presets: names that stand for a file with other defaults: name -> (file, default options).
        methods: what the part, a class, must have.
        suffix: what the files' names have after the variants': the others in the folder are none.
        says: what a variant may say beside its part and `Options`.
    """

    def __init__(
        self, name: str, folder: str, part: str, options: str, no_variants: frozenset[str] = frozenset(),
        presets: Mapping[str, tuple[str, Mapping[str, Any]]] | None = None, methods: tuple[str, ...] = (),
        suffix: str = "", says: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.name, self.part, self.options = name, part, options
        self.package = f"pixelq.{folder}"
        self.group = "pixelq." + folder.rpartition(".")[2]
        """Of the entry points."""
        self._no_variants, self._presets = no_variants, dict(presets or {})
        self._methods, self._suffix = methods, suffix
        self.says = ("Options", *says)
        """What a variant may say beside its part."""
        self._registered: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Every name that a recipe can give: presets and files, then what was added from outside."""
        return [*self._own(), *sorted({*self._registered, *self._installed()} - {*self._own()})]

    def register(self, name: str, variant: Any) -> None:
        """Add a variant under a new name; once more under its own name replaces it.

        Raises:
            UserError: the name is one of pixelq's, or the variant lacks its part.
        """
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
            raise UserError(f"{self.name} {name!r}: a name has letters, digits, '_', '.' and '-', at most 64")
        if name in self._own():
            raise UserError(f"{self.name} {name!r} is one of pixelq's own; register yours under another name")
        variant = self._variant(variant)
        self._check(name, variant)
        self._registered[name] = variant

    def handed(self, thing: Any, handed: dict[str, Any]) -> str:
        """The name of a variant that a person hands over in Python: a class or function, or a module that has it.

        Args:
            thing: the variant.
            handed: takes it, if it cannot be found again by its name; see `named_objects`.

        Raises:
            UserError: it lacks its part, or what is said beside the part is not the part's.
        """
        part = getattr(thing, self.part, thing) if isinstance(thing, ModuleType) else thing
        variant = self._variant(part)
        self._check(repr(thing)[:60], variant)
        if isinstance(thing, ModuleType) and (lost := self._said_otherwise(thing, variant)):
            raise UserError(
                f"{self.name} {thing.__name__}: its {self.part} is of the module {part.__module__}, which does not say "
                f"its {', '.join(lost)}; choose it by name: pixelq.register({self.name!r}, NAME, {thing.__name__})"
            )
        return named(part, handed)

    def find(self, name: str) -> Any:
        """The module or object of a variant.

        Raises:
            UserError: there is none of that name, or its module fails.
        """
        if name in self._registered:
            return self._registered[name]
        if ":" in name:
            variant = self._variant(
                find(name, self.name, f"pixelq.resume(run, {self.name}={{0}}) or pixelq.load(run, {self.name}={{0}})")
            )
            self._check(name, variant)
            return variant
        if name in self._own():
            return importlib.import_module(f"{self.package}.{self._presets.get(name, (name,))[0]}{self._suffix}")
        if name not in (installed := self._installed()):
            known = self.names()
            raise UserError(
                f"unknown {self.name} {name!r}{nearest(name, known)}; choose one of {', '.join(known)} (one of your "
                "own: pixelq --import MODULE ...)"
            )
        try:
            variant = installed[name].load()
        except Exception as error:
            raise UserError(
                f"{self.name} {name!r} of {installed[name].value} cannot be imported ({type(error).__name__}: {error})"
            ) from None
        self._check(name, variant)
        return variant

    def knows(self, name: str) -> bool:
        """Whether a variant is known in this process, by its name alone or in a module that a person has named."""
        if ":" not in name:
            return name in self.names()
        try:
            self.find(name)
        except UserError:
            return False
        return True

    def options_class(self, name: str) -> type:
        """The dataclass of a variant's options; `NoOptions` if it has none.

        Raises:
            UserError: as `find`, or `Options` is no dataclass whose fields all have defaults.
        """
        found: type = getattr(self.find(name), "Options", NoOptions)
        if not isinstance(found, type) or not dataclasses.is_dataclass(found):
            raise UserError(f"{self.name} {name!r}: its Options must be a dataclass")
        try:
            kinds, defaults = typing.get_type_hints(found), found()
            for f in dataclasses.fields(found):
                default = checked(
                    f.name, kinds[f.name], getattr(defaults, f.name), f"{self.name} {name!r}: its Options"
                )
                if default is not None and type(None) in typing.get_args(kinds[f.name]):
                    raise UserError(
                        f"{self.name} {name!r}: its option {f.name} may be None, so that must be its default"
                    )
                if f.name in RESERVED or not f.init:
                    raise UserError(f"{self.name} {name!r}: an option cannot be called {f.name}, or be without a value")
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{self.name} {name!r}: its Options must be a dataclass whose fields have defaults, of the types int, "
                f"float, bool, str, Literal, tuple[int, ...] or one of them | None ({type(error).__name__}: {error})"
            ) from None
        return found

    def read_options(self, name: str, given: Mapping[str, Any], where: str = "") -> Any:
        """A variant's options: its `Options` with what is given, and else with its defaults.

        Args:
            name: of the variant.
            given: field -> value.
            where: what is being read, for the message.

        Raises:
            UserError: an unknown option, a value of the wrong type, or out of its range (`Options` itself raises
                ValueError then).
        """
        kind = self.options_class(name)
        where = f"{where}: {self.options}" if where else self.options
        types = typing.get_type_hints(kind)
        known = [f.name for f in dataclasses.fields(kind)]
        values: dict[str, Any] = dict(self._presets.get(name, ("", {}))[1])
        for option, value in given.items():
            if option not in known:
                has = f"{nearest(option, known)} (it has {', '.join(known)})" if known else " (it has none)"
                raise UserError(f"{where}: {self.name} {name!r} has no option {option!r}{has}")
            values[option] = checked(option, types[option], value, where)
        try:
            options = kind(**values)
        except (ValueError, TypeError) as error:
            raise UserError(f"{where}: {error}") from None
        if nan := [option for option in known if (value := getattr(options, option)) != value]:
            raise UserError(f"{where}: {nan[0]} = nan is no number")
        return options

    def describe(self, name: str) -> str:
        """What a variant is: the first line of its docstring, or its part's."""
        variant = self.find(name)
        for documented in (variant, getattr(variant, self.part)):
            if not isinstance(documented, SimpleNamespace) and (text := inspect.getdoc(documented)):
                return text.partition("\n")[0]
        return ""

    def is_own(self, name: str) -> bool:
        """Whether a variant is one of pixelq's."""
        return name in self._own()

    def _own(self) -> dict[str, None]:
        folder = Path(__file__).parent.joinpath(*self.package.split(".")[1:])
        found = (file.stem for file in sorted(folder.glob(f"*{self._suffix}.py")) if not file.stem.startswith("_"))
        files = (stem.removesuffix(self._suffix) for stem in found)
        return dict.fromkeys([*self._presets, *(name for name in files if name not in self._no_variants)])

    def _variant(self, thing: Any) -> Any:
        """What has the kind's part: a module or object, or one made of a class or function, which is the part.

        Raises:
            UserError: its module has another such part, too, so that nobody knows of which the module speaks.
        """
        if not callable(thing) or callable(getattr(thing, self.part, None)):
            return thing
        inner = innermost(thing)
        home = sys.modules.get(getattr(inner, "__module__", None) or "")
        usual = getattr(home, self.part, None)
        if home is None or usual is thing:
            return home or _OfPart(self.part, thing, None, ())
        unclear = [name for name in self.says if hasattr(home, name) and not hasattr(inner, name)]
        another = usual is not inner and getattr(usual, "__module__", None) == home.__name__
        if another and unclear:  # one that is merely imported is used
            own = getattr(inner, "__name__", repr(inner))
            raise UserError(
                f"{self.name} {own}: its module {home.__name__} has a second {self.part}, and its {', '.join(unclear)} "
                f"may be meant for either; say it on {own} itself ({own}.{unclear[0]} = ...), or put {own} into a "
                "module of its own"
            )
        return _OfPart(self.part, thing, home, self.says)

    def _said_otherwise(self, module: ModuleType, variant: Any) -> list[str]:
        """What a module says that a variant, made of its part, does not."""
        said = {name: getattr(module, name) for name in self.says if hasattr(module, name)}
        return [name for name, value in said.items() if getattr(variant, name, None) is not value]

    def _installed(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}

    def _check(self, name: str, variant: Any) -> None:
        part = getattr(variant, self.part, None)
        if not callable(part):
            raise UserError(f"{self.name} {name!r}: {_in_one_line(variant)} has no {self.part}")
        if missing := [method for method in self._methods if not hasattr(innermost(part), method)]:
            raise UserError(f"{self.name} {name!r}: its {self.part} has no {', '.join(missing)}")
        for said in ("HEADS", "LOOPS", "TAKES", "USES", "COMPILES_WITHOUT"):
            names = getattr(variant, said, ())
            if not isinstance(names, tuple | list) or not all(isinstance(one, str) for one in names):
                raise UserError(f"{self.name} {name!r}: its {said} must be a tuple of names, not {names!r}")
        for said, kinds in (("GIVES", str), ("DOUBLE", str), ("MUNCHAUSEN", str), ("NEEDS_TARGET", (bool, str))):
            if not isinstance(value := getattr(variant, said, ""), kinds):
                what = "one text" if kinds is str else "True or an option's name"
                raise UserError(f"{self.name} {name!r}: its {said} must be {what}, not {value!r}")
        if not isinstance(options := getattr(variant, "HEAD_OPTIONS", {}), Mapping):
            raise UserError(f"{self.name} {name!r}: its HEAD_OPTIONS must be a table of options, not {options!r}")


def _in_one_line(thing: Any) -> str:
    return " ".join(repr(thing).split())[:80]


TORSOS: dict[str, tuple[str, dict[str, Any]]] = {
    # Mnih et al. 2013 (arXiv 1312.5602), section 4.1.
    "2013": ("plain", {"channels": (16, 32), "kernels": (8, 4), "strides": (4, 2), "hidden": (256,)}),
    # Mnih et al. 2015 (Nature), Methods, "Model architecture".
    "2015": ("plain", {"channels": (32, 64, 64), "kernels": (8, 4, 3), "strides": (4, 2, 1), "hidden": (512,)}),
    # Young & Tian 2019 (arXiv 1903.03176), section 3: for MinAtar's 10x10 images.
    "minatar": ("plain", {"channels": (16,), "kernels": (3,), "strides": (1,), "hidden": (128,)}),
    # rl-baselines3-zoo (Raffin 2020), hyperparams/dqn.yml: net_arch of LunarLander-v2 and MountainCar-v0.
    "mlp": ("plain", {"channels": (), "kernels": (), "strides": (), "hidden": (256, 256)}),
}
"""Sizes of the named torsos, in channels, pixels and units."""

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("torso", "networks.torsos", "Torso", "torso_options", presets=TORSOS, says=("USES_PADDING",)),
        Kind("linear", "networks.linear", "Linear", "linear_options"),
        Kind("memory", "networks.memories", "Memory", "memory_options"),
        Kind("streams", "networks.streams", "streams", "streams_options", says=("TAKES_HIDDEN",)),
        Kind("head", "networks.heads", "Head", "head_options", methods=("forward", "values")),
        Kind(
            "loss",
            "losses",
            "loss",
            "loss_options",
            frozenset({"penalty"}),
            says=("HEADS", "HEAD_OPTIONS", "TAKES", "LOOPS", "NEEDS_TARGET", "DOUBLE", "MUNCHAUSEN", "returns"),
        ),
        Kind(
            "optimizer",
            "learner.optimizers",
            "optimizer",
            "optimizer_options",
            frozenset({"fused_adam", "plain_adam", "rectified_adam", "running_averages", "weight_groups"}),
            says=("USES", "TAKES", "COMPILES_WITHOUT"),
        ),
        Kind(
            "sampler",
            "replay.samplers",
            "Sampler",
            "sampler_options",
            methods=("uses_priorities", "added", "draw", "learned", "state_dict", "load_state_dict"),
        ),
        Kind("epsilon_schedule", "schedules.epsilon", "epsilon", "epsilon_options", says=("USES", "in_words")),
        Kind(
            "loop",
            "loops",
            "loop",
            "loop_options",
            suffix="_loop",
            says=(
                *("Learner", "HAS_REPLAY", "build_replay", "WITH_MEMORY_AS", "WITH_MEMORY", "OWN_FIELDS", "check"),
                *("GIVES", "kept_bytes", "least_capacity", "updates_per_step", "learns_from"),
            ),
        ),
    )
}
"""By the field of `Config` that chooses a variant."""


def from_outside(config: Any, kinds: Iterable[str] = KINDS) -> list[str]:
    """The variants of a configuration, of these kinds, that are none of pixelq's own, in words: `loss 'mine'`."""
    chosen = ((KINDS[name], getattr(config, name)) for name in kinds)
    return [f"{kind.name} {name!r}" for kind, name in chosen if not kind.is_own(name)]


def register(kind: str, name: str, variant: Any = None, **parts: Any) -> None:
    """Add a variant of your own, from a module that is named by `--import` or imported before `pixelq.train`.

    Args:
        kind: torso, linear, memory, streams, head, loss, optimizer, sampler, epsilon_schedule or loop.
        name: what recipes call it.
        variant: a module or object with the kind's part (and perhaps `Options`); or its parts one by one:
        parts: `register("head", "mine", Head=MyHead, Options=MyOptions)`.

    Raises:
        UserError: an unknown kind, a name of pixelq's own, or a part is missing.
    """
    if kind not in KINDS:
        hint = nearest(str(kind), list(KINDS))
        raise UserError(f"unknown kind of variant {kind!r}{hint}; one of {', '.join(KINDS)}")
    KINDS[kind].register(name, SimpleNamespace(**parts) if variant is None else variant)
