"""A foreign network as a policy of pixelq: put together, held to the game, written as a folder."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gymnasium.spaces import Box

from pixelq.checkpoints.policy_file import save_policy
from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.games import Game, full_name, resolve_game
from pixelq.errors import UserError
from pixelq.files.atomic import remedy, sync_folder
from pixelq.files.plain_files import folders_for
from pixelq.imported.recognised import Recognised
from pixelq.learner.learner import load_weights
from pixelq.networks import Network, build_network
from pixelq.policy import Agent
from pixelq.recipes.validation import validate
from pixelq.recipes.values import overridden, with_all_options

ALL_ACTIONS = 18
"""Of Atari's joystick."""


@dataclass(frozen=True)
class Imported:
    """A policy that is not written yet."""

    network: Network
    config: Config
    facts: dict[str, str | float | int]
    words: tuple[str, ...]
    """What was found, assumed and left out, a line each."""

    def agent(self) -> Agent:
        """It, to act with."""
        return Agent(self.network, self.config, torch.device("cpu"))


def assembled(
    base: Config, game: str, values: Mapping[str, Any], network: Recognised, *, scale: float, where: str
) -> tuple[Network, Config]:
    """The network with its weights, and its configuration, both held to the game.

    Args:
        base: what nobody says.
        game: its name.
        values: fields of `Config`, those of `network` left out.
        network: recognised.
        scale: what the first layer's weights are multiplied by.
        where: whose it is, for messages.

    Raises:
        UserError: the game is not there, shows something else or has other actions; an option is out of its range.
    """
    try:
        config = with_all_options(
            overridden(base, {**values, **network.values, "game": full_name(game)}, "its options")
        )
        validate(config)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    config, space = _shown(config, network.num_actions)
    try:
        made = build_network(config, space, network.num_actions, None)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    weights = dict(network.weights)
    if scale != 1.0:
        first = next(name for name in ("torso.convolutions.0.weight", "hidden.linears.0.weight", "head.output.weight")
                     if name in weights)  # fmt: skip
        weights[first] = weights[first] * scale
    load_weights(made, weights, where=where)
    return made, config


def write(imported: Imported, folder: Path) -> None:
    """Write the policy and its configuration as a new folder, completely or not at all.

    Raises:
        UserError: something lies there already, or the disk refuses.
    """
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder}: is there already; give another --output, or move it away")
    unfinished = folder.with_name(f".{folder.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        with folders_for(folder):
            try:
                save_policy(unfinished, imported.network, imported.config, imported.facts)
                os.rename(unfinished, folder)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            sync_folder(folder.parent)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); {remedy(error)}") from None


def default_folder(game: str, file: Path) -> Path:
    """Where a policy goes if nobody says: `imported/CartPole-v1-best_model`."""
    words = f"{full_name(game).rpartition(':')[2]}-{file.name.removesuffix('.zip').removesuffix('.cleanrl_model')}"
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in words)
    return Path("imported") / plain[:100].lstrip(".")


def _shown(config: Config, num_actions: int) -> tuple[Config, Box]:
    """The configuration, with all of Atari's actions if the network has so many, and what the game shows.

    Raises:
        UserError: the game cannot be made, or has another number of actions.
    """
    envs = make_envs(config, num_envs=1, seed=0, threads=1)
    try:
        space, actions = envs.single_observation_space, int(envs.single_action_space.n)
    finally:
        envs.close()
    assert isinstance(space, Box)
    if actions == num_actions:
        return config, space
    if isinstance(resolve_game(config.game), Game) and num_actions == ALL_ACTIONS and not config.full_action_set:
        return _shown(dataclasses.replace(config, full_action_set=True), num_actions)
    raise UserError(f"game {config.game}: it has {actions} actions, and the file's network has {num_actions}")
