"""Game names: the ROM or the Gymnasium environment that a name means, and whether the ROM is there."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from pixelq.envs.factory_names import factory_name, is_factory
from pixelq.envs.gymnasium_games import (
    GymnasiumGame,
    find_gymnasium_game,
    is_gymnasium_id,
    nearest_ids,
    newest_version,
)
from pixelq.errors import UserError

# ale-py ships these, but they have no single-player mode (ale_py.registration leaves them out for the same reason).
_TWO_PLAYERS_ONLY = frozenset({"combat", "joust", "maze_craze", "warlords"})
_ID = re.compile(r"(?P<ale>ALE/)?(?P<game>[^/]+?)(?P<skip>NoFrameskip|Deterministic)?-v(?P<version>\d+)")
_VERSION = re.compile(r"-v\d+$")
_REINSTALL = "python -m pip install --force-reinstall ale-py"


@dataclass(frozen=True, order=True)
class Game:
    """One Atari 2600 game."""

    rom: str
    """Name of the ROM in ale-py, e.g. `ms_pacman`."""
    title: str
    """Name in a Gymnasium id, e.g. `MsPacman`."""
    sticky_actions: float | None = None
    """Probability of a repeated action, from a Gymnasium id; None for a bare name: the recipe's value is used."""

    @property
    def name(self) -> str:
        """The name that identifies the game: the ROM's."""
        return self.rom


def list_games() -> list[Game]:
    """Return every single-player Atari game whose ROM ale-py ships, by ROM name."""
    return [Game(rom, _title(rom)) for rom in sorted(set(_shipped_roms()) - _TWO_PLAYERS_ONLY)]


def resolve_game(name: str) -> Game | GymnasiumGame:
    """Return the game that `name` means.

    Args:
        name: an Atari game's bare name in any spelling (`pong`, `MsPacman`, `ms-pacman`) or a Gymnasium id with its
            Gymnasium meaning: `ALE/Pong-v5` and `PongNoFrameskip-v0` have sticky actions 0.25, `PongNoFrameskip-v4`
            0.0; `CartPole-v1` and every other registered id is that environment, `CartPole` its newest version,
            `car-racing` is CarRacing-v3, `module:id` one of a module that is already imported.

    Raises:
        UserError: an unknown game (the message names similar ones), one without a single-player mode, an id whose
            frame skip pixelq does not have, a missing extra, or a module that was not imported.
    """
    name = full_name(name)
    if _key(name) == "carracing":
        return find_gymnasium_game("CarRacing-v3")
    match = _ID.fullmatch(name)
    if _means_gymnasium(name, match):
        return find_gymnasium_game(name)
    rom = _rom(match["game"] if match else name, name)
    title = _title(rom)
    if match is None:
        return Game(rom, title)
    known = {("ALE/", None, "5"): 0.25, (None, "NoFrameskip", "0"): 0.25, (None, "NoFrameskip", "4"): 0.0}
    sticky = known.get((match["ale"], match["skip"], match["version"]))
    if sticky is not None:
        return Game(rom, title, sticky)
    if match["ale"] is None and match["skip"] is None and match["version"] in ("0", "4"):
        raise UserError(
            f"game {name}: this id repeats an action for a random 2 to 4 frames, which pixelq does not do; "
            f"use {title}NoFrameskip-v{match['version']} (the recipe's frame_skip applies)"
        )
    raise UserError(
        f"game {name}: no such Gymnasium id; use ALE/{title}-v5, {title}NoFrameskip-v4 or the bare name {rom}"
    )


def full_name(name: str) -> str:
    """The name with the version that Gymnasium gives an id without one (its newest); any other name as it is.

    A configuration records it, so that a newer version of the game is not taken for the one that was trained on.

    Args:
        name: as for `resolve_game`. A bare name of an Atari game stays one: `breakout` is no id.
    """
    name = name.strip()
    if is_factory(name):
        return name
    module, colon, plain = name.rpartition(":")
    if _VERSION.search(plain) or (colon and module not in sys.modules):
        return name
    if not colon and ("/" not in plain and _key(plain) in ("", "carracing", *map(_key, _shipped_roms()))):
        return name
    newest = newest_version(plain)
    if colon and not newest and callable(getattr(sys.modules[module], plain, None)):
        return factory_name(name)  # `my_games:make_corridor`
    return f"{module}{colon}{newest or plain}"


def rom_file(rom: str) -> Path:
    """Return the path of a shipped ROM, its checksum verified.

    Raises:
        UserError: the file is missing, unreadable or not the ROM that ale-py knows. The message says how to fix it.
    """
    import ale_py.roms

    folder = os.environ.get("ALE_ROMS_DIR")
    path = Path(folder or Path(ale_py.roms.__file__).parent) / f"{rom}.bin"
    fix = f"unset ALE_ROMS_DIR, or put the ROM there (now {folder})" if folder else _REINSTALL
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # ale-py prints the folder, and stdout may be JSON
            ale_py.roms.get_rom_path(rom)
    except FileNotFoundError:
        raise UserError(f"ROM {path}: the file is missing; fix it with: {fix}") from None
    except NotADirectoryError:
        raise UserError(f"ROM {path}: its folder does not exist; fix it with: {fix}") from None
    except OSError as error:
        reason = "its checksum is wrong" if "hash" in str(error) else f"it cannot be read ({error})"
        raise UserError(f"ROM {path}: {reason}; fix it with: {fix}") from None
    return path


def _means_gymnasium(name: str, match: re.Match[str] | None) -> bool:
    """Whether `name` belongs to Gymnasium's registry: `module:id`, a registered id, or `.../Name-v0` of no ROM."""
    has_version = _VERSION.search(name) is not None
    # An id without a version is a user's own: Gymnasium, slow to import, has been imported by whoever registered it.
    if ":" in name or ((has_version or "gymnasium" in sys.modules) and is_gymnasium_id(name)):
        return True
    if name.startswith("ALE/") or not has_version:
        return False
    return match is None or not _like_a_rom(match["game"])


def _like_a_rom(game: str) -> bool:
    keys = [_key(rom) for rom in _shipped_roms()]
    if _key(game) in keys:
        return all(_key(_VERSION.sub("", other)) != _key(game) for other in nearest_ids(game))
    return bool(difflib.get_close_matches(_key(game), keys, n=1, cutoff=0.6)) and not nearest_ids(game)


def _rom(game: str, name: str) -> str:
    """Return the ROM named `game`, ignoring case and separators; `name` is what the user typed."""
    by_key = {_key(rom): rom for rom in _shipped_roms()}
    rom = by_key.get(_key(game)) if re.fullmatch(r"[\w -]*", game) else None
    if rom is None:
        close = nearest_ids(game)
        if not close:
            close = [by_key[key] for key in difflib.get_close_matches(_key(game), list(by_key), n=3, cutoff=0.6)]
        hint = f"; did you mean {' or '.join(close)}?" if close else ";"
        raise UserError(f"unknown game {name!r}{hint} see `pixelq list games`")
    if rom in _TWO_PLAYERS_ONLY:
        raise UserError(
            f"game {name}: {_title(rom)} has no single-player mode; see `pixelq list games` for those that do"
        )
    return rom


def _shipped_roms() -> list[str]:
    # Imported late: ale-py loads its C++ library, and --help should not wait for it.
    from ale_py.roms import get_all_rom_ids

    return get_all_rom_ids()


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _title(rom: str) -> str:
    return rom.title().replace("_", "")
