"""A DQN, C51, Rainbow or PQN of CleanRL as a policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelq.envs.games import Game, resolve_game
from pixelq.errors import UserError
from pixelq.imported.cleanrl_file import CleanrlFile, read_cleanrl
from pixelq.imported.cleanrl_network import SIDE, recognised_cleanrl
from pixelq.imported.cleanrl_options import cleanrl_base, cleanrl_options
from pixelq.imported.game_names import asked_game
from pixelq.imported.observations import shown_by
from pixelq.imported.policy import Imported, assembled
from pixelq.imported.run_lengths import run_lengths

_ENVPOOL = re.compile(r"(?P<game>[A-Za-z]+)-v5")
"""An Atari game's id in EnvPool."""


def import_cleanrl(
    path: Path, game: str | None, *, keywords: Mapping[str, Any], frame_skip: int | None, sticky_actions: float | None
) -> Imported:
    """Read a model that CleanRL saved; nothing in it is executed.

    Args:
        path: of the `.cleanrl_model`.
        game: on which it was trained; None: the one among the file's arguments, which C51's files have.
        keywords: of the game's environment.
        frame_skip: frames per agent step; None: 4 in Atari, else 1.
        sticky_actions: None: what the game's id says, else none.

    Raises:
        UserError: it is damaged, or not a network of CleanRL's that pixelq has; no game; another game.
    """
    file = read_cleanrl(path)
    network = recognised_cleanrl(file)
    images = network.values["torso"] == "impala" or bool(network.values["torso_options"].get("channels", True))
    shape = (network.inputs, SIDE, SIDE) if images else (network.inputs,)
    what = f"{network.inputs} images" if images else f"{network.inputs} numbers"
    names = [path.name, path.absolute().parent.name]
    named = asked_game(game or _own_game(file), f"{path}: shows {what} and {network.num_actions} actions", names)
    shown = shown_by(named, shape, keywords, scaled=True, where=str(path))
    base = cleanrl_base(network.values, images=images)
    # The recipe for images has its own openings of a game, which are the script's.
    own = {"frame_stack"} if images and isinstance(resolve_game(named), Game) else set(shown.values)
    values = {name: value for name, value in shown.values.items() if name in {*own, "sticky_actions"}}
    options, notes = cleanrl_options(file, base, shown.values["frame_stack"])
    values |= options | {"env_kwargs": dict(keywords)}
    values |= run_lengths(values.get("steps", base.steps))
    if frame_skip is not None:
        values["frame_skip"] = frame_skip
    if sticky_actions is not None:
        values["sticky_actions"] = sticky_actions
    made, config = assembled(base, named, values, network, scale=shown.scale, where=str(path))
    facts: dict[str, str | float | int] = {"imported": "CleanRL", "source": path.name[:200]}
    said = "options from the file's arguments" if file.args else "options: the script's defaults, the file has none"
    other = [f"other than there: {note}" for note in notes]
    words = (f"CleanRL, {network.words}", f"observations: {shown.words}", said, *other)
    return Imported(made, config, facts, words)


def _own_game(file: CleanrlFile) -> str | None:
    """The game among the file's arguments, by the name that it has here."""
    said = file.text("env_id")
    if not said or ":" in said:  # a module of a stranger's file is not imported
        return None
    match = _ENVPOOL.fullmatch(said)
    for name in (said, match["game"] if match else said):
        try:
            resolve_game(name)
        except UserError:
            continue
        return name
    return None
