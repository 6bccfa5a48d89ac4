"""Which game a foreign network plays: files seldom say it, so a person does."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pixelq.envs.games import resolve_game
from pixelq.envs.gymnasium_games import import_module_of
from pixelq.errors import UserError

_ID = re.compile(r"(?:ALE/)?[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*-v\d+")


def asked_game(game: str | None, what: str, names: Iterable[str]) -> str:
    """The game, if a person named one.

    Args:
        game: of `--game`; None: nobody said it.
        what: the file and what it shows, for the message.
        names: of files and folders that may tell, for the message.

    Raises:
        UserError: nobody did, or there is no such game.
    """
    if game is not None:
        import_module_of(game)
        resolve_game(game)
        return game
    likely = next((found for name in names if (found := _game_in(name))), None)
    hint = f"as its name says {likely}: --game {likely}" if likely else "such as --game CartPole-v1"
    raise UserError(f"{what}, but not which game it plays; name it, {hint}")


def _game_in(name: str) -> str | None:
    """The id in a name (`dqn-CartPole-v1`, `PongNoFrameskip-v4__dqn_atari__1__1700000000`), if it is a game's."""
    match = _ID.search(name[:200])
    words = match[0].split("-") if match else []
    for i in range(len(words) - 1):
        try:
            resolve_game("-".join(words[i:]))
        except UserError:
            continue
        return "-".join(words[i:])
    return None
