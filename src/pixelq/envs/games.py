"""Game names: what a person may type, the ROM it means, and whether that ROM is there."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from pixelq.errors import UserError

# ale-py ships these, but they have no single-player mode (ale_py.registration leaves them out for the same reason).
_TWO_PLAYERS_ONLY = frozenset({"combat", "joust", "maze_craze", "warlords"})
_ID = re.compile(r"(?P<ale>ALE/)?(?P<game>[^/]+?)(?P<skip>NoFrameskip|Deterministic)?-v(?P<version>\d+)")
_MEND = "python -m pip install --force-reinstall ale-py"


@dataclass(frozen=True, order=True)
class Game:
    """One Atari 2600 game, as it was asked for."""

    rom: str
    """Name of the ROM in ale-py, e.g. `ms_pacman`."""
    title: str
    """Name in a Gymnasium id, e.g. `MsPacman`."""
    sticky_actions: float | None = None
    """Probability of a repeated action that a full id asks for; None for a bare name: the recipe's holds."""


def list_games() -> list[Game]:
    """Return every single-player game whose ROM ale-py ships, by ROM name."""
    return [Game(rom, _title(rom)) for rom in sorted(set(_shipped_roms()) - _TWO_PLAYERS_ONLY)]


def resolve_game(name: str) -> Game:
    """Return the game that `name` means.

    Args:
        name: a bare name in any spelling (`pong`, `MsPacman`, `ms-pacman`) or a Gymnasium id with its Gymnasium
            meaning: `ALE/Pong-v5` and `PongNoFrameskip-v0` have sticky actions 0.25, `PongNoFrameskip-v4` 0.0.

    Raises:
        UserError: an unknown game (the nearest are named), one without a single-player mode, or an id whose frame skip
            pixelq does not have.
    """
    match = _ID.fullmatch(name.strip())
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


def rom_file(rom: str) -> Path:
    """Return the path of a shipped ROM, its checksum verified.

    Raises:
        UserError: the file is missing, unreadable or not the ROM that ale-py knows; with the command that mends it.
    """
    import ale_py.roms

    folder = os.environ.get("ALE_ROMS_DIR")
    path = Path(folder or Path(ale_py.roms.__file__).parent) / f"{rom}.bin"
    mend = f"unset ALE_ROMS_DIR, or put the ROM there (now {folder})" if folder else _MEND
    try:
        with contextlib.redirect_stdout(sys.stderr):  # ale-py prints the folder, and stdout may be somebody's JSON.
            ale_py.roms.get_rom_path(rom)
    except FileNotFoundError:
        raise UserError(f"ROM {path}: the file is missing; mend it with: {mend}") from None
    except NotADirectoryError:
        raise UserError(f"ROM {path}: its folder does not exist; mend it with: {mend}") from None
    except OSError as error:
        reason = "its checksum is wrong" if "hash" in str(error) else f"it cannot be read ({error})"
        raise UserError(f"ROM {path}: {reason}; mend it with: {mend}") from None
    return path


def _rom(game: str, name: str) -> str:
    """Return the ROM whose name is `game` but for capitals and separators; `name` is what the person typed."""
    by_key = {_key(rom): rom for rom in _shipped_roms()}
    rom = by_key.get(_key(game)) if re.fullmatch(r"[\w -]*", game) else None
    if rom is None:
        close = [by_key[key] for key in difflib.get_close_matches(_key(game), list(by_key), n=3, cutoff=0.6)]
        hint = f"; did you mean {' or '.join(close)}?" if close else ";"
        raise UserError(f"unknown game {name!r}{hint} see `pixelq list games`")
    if rom in _TWO_PLAYERS_ONLY:
        raise UserError(
            f"game {name}: {_title(rom)} has no single-player mode; see `pixelq list games` for those that do"
        )
    return rom


def _shipped_roms() -> list[str]:
    # Imported late: ale-py loads its C++ library, and a person who asks for --help should not wait for it.
    from ale_py.roms import get_all_rom_ids

    return get_all_rom_ids()


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _title(rom: str) -> str:
    return rom.title().replace("_", "")
