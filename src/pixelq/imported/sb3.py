"""A DQN or QR-DQN of Stable-Baselines3 as a policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.imported.game_names import asked_game
from pixelq.imported.observations import shown_by
from pixelq.imported.policy import Imported, assembled
from pixelq.imported.run_lengths import run_lengths
from pixelq.imported.sb3_file import TYPE, Sb3File, read_sb3, words_of
from pixelq.imported.sb3_network import recognised_sb3, scales_images
from pixelq.imported.sb3_options import sb3_options

RECIPE = "sb3"
"""What the configuration calls itself."""
MOST_NUMBERS = 2**24
"""Of an observation."""


def import_sb3(
    path: Path, game: str | None, *, keywords: Mapping[str, Any], frame_skip: int | None, sticky_actions: float | None
) -> Imported:
    """Read a model that Stable-Baselines3 saved; nothing in it is executed.

    Args:
        path: of the zip.
        game: on which it was trained; the file does not say it.
        keywords: of the game's environment.
        frame_skip: frames per agent step; None: 4 in Atari, else 1.
        sticky_actions: None: what the game's id says, else none.

    Raises:
        UserError: it is damaged, of another algorithm, or not a network that pixelq has; no game; another game.
    """
    file = read_sb3(path)
    shape, num_actions = _observed(file), _discrete(file, "action_space")
    network = recognised_sb3(file, shape, num_actions)
    named = asked_game(game, f"{path}: shows {_words(shape)} and {num_actions} actions", [path.stem])
    shown = shown_by(named, shape, keywords, scaled=scales_images(file), where=str(path))
    options, notes = sb3_options(file, shown.values["frame_stack"])
    values: dict[str, Any] = {**options, **shown.values, "env_kwargs": dict(keywords), "recipe": RECIPE}
    values |= run_lengths(values["steps"])
    if frame_skip is not None:
        values["frame_skip"] = frame_skip
    if sticky_actions is not None:
        values["sticky_actions"] = sticky_actions
    made, config = assembled(Config(), named, values, network, scale=shown.scale, where=str(path))
    trained = file.data.get("num_timesteps")
    steps = trained if type(trained) is int and 0 <= trained < 2**63 else 0
    who = f"{file.algorithm} of Stable-Baselines3 {file.version}".strip()
    facts: dict[str, str | float | int] = {"imported": who, "source": path.name[:200], "agent_steps": steps}
    words = [
        f"{who}, trained for {steps:,} agent steps: {network.words}",
        f"observations: {shown.words}",
        *(["if it learned from VecNormalize, import cannot help: its statistics lie in another file, a pickle"]
          if len(shape) == 1 else []),
        *(f"other than there: {note}" for note in notes),
    ]  # fmt: skip
    return Imported(made, config, facts, tuple(words))


def _observed(file: Sb3File) -> tuple[int, ...]:
    """Shape of the observations: (channels, height, width), of a vector, or (n,) of n states.

    Raises:
        UserError: the network reads something else.
    """
    space = file.data.get("observation_space")
    kind = words_of(space.get(TYPE)).rpartition(".")[2] if isinstance(space, Mapping) else ""
    if kind == "Discrete":
        return (_discrete(file, "observation_space"),)
    if kind != "Box":
        raise UserError(
            f"{file.where}: its observations are of {kind[:60] or 'no'} space; pixelq imports networks that read "
            "images, vectors (Box) or Discrete states"
        )
    assert isinstance(space, Mapping)
    said = space.get("_shape", space.get("shape"))
    shape = tuple(said) if isinstance(said, list) else ()
    if not 1 <= len(shape) <= 3 or not all(type(side) is int and 1 <= side <= MOST_NUMBERS for side in shape):
        raise UserError(f"{file.where}: its observations have the shape {str(said)[:60]}; no image or vector")
    if int(np.prod(shape, dtype=np.float64)) > MOST_NUMBERS:
        raise UserError(
            f"{file.where}: its observations {shape} have more than {MOST_NUMBERS:,} numbers; it is damaged"
        )
    if len(shape) == 3 and (words_of(space.get("dtype")) != "uint8" or _bounds(space) != {"0", "255"}):
        raise UserError(
            f"{file.where}: its images are no bytes from 0 to 255, which pixelq's are; how they were made does not lie "
            "in the file"
        )
    return shape


def _bounds(space: Mapping[str, Any]) -> set[str]:
    """The numbers among the bounds of a Box, as NumPy prints them."""
    return set(
        re.findall(r"[-+.\w]+", f"{words_of(space.get('low'))} {words_of(space.get('high'))}".replace("...", " "))
    )


def _discrete(file: Sb3File, name: str) -> int:
    """How many actions or states there are.

    Raises:
        UserError: it does not say, or they do not begin at 0.
    """
    space = file.data.get(name)
    kind = words_of(space.get(TYPE)).rpartition(".")[2] if isinstance(space, Mapping) else ""
    said = str(space.get("n"))[:20] if isinstance(space, Mapping) and kind == "Discrete" else ""
    if not said.isdecimal() or not 1 <= int(said) <= MOST_NUMBERS:
        raise UserError(f"{file.where}: its {name} is {kind[:60] or 'missing'}, no Discrete space of some numbers")
    assert isinstance(space, Mapping)
    if name == "observation_space" and str(space.get("start", 0)) != "0":
        raise UserError(f"{file.where}: its states begin at {str(space.get('start'))[:20]}, not at 0; damaged")
    return int(said)


def _words(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return f"{shape[0]} images of {shape[1]} x {shape[2]} pixels"
    return f"{int(np.prod(shape))} numbers"
