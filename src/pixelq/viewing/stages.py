"""The policies that a run has kept, from the untrained network to the last: its stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelq.checkpoints.kept_policies import kept_policies
from pixelq.checkpoints.policy_file import load_agent, read_facts
from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import UserError
from pixelq.learner.learner import load_weights
from pixelq.networks import PARTS, Network, build_network
from pixelq.policy import Agent
from pixelq.recipes.reading import read_config
from pixelq.runs.parts import initial_network
from pixelq.web.newest_policy import PolicyPlace, policy_places, weights_at

MOST = 9
"""Stages shown; of more, some at equal distances, the first and the last among them."""

Make = Callable[[], Agent]


@dataclass(frozen=True)
class Stage:
    """A policy of a run."""

    caption: str
    agent: Agent


def read_stages(run: Path, device: torch.device, most: int = MOST) -> list[Stage]:
    """The policies of a run by agent steps: the untrained network, those in policies/, checkpoints', best, final.

    Of several at the same agent step one is taken. A run that began with given weights (`load`) has no untrained
    network.

    Args:
        run: its folder.
        device: where the policies compute.
        most: stages, at least 2.

    Raises:
        UserError: it is not a run's folder, it has fewer than two policies, or one is damaged.
    """
    if not (run / "config.toml").is_file():
        raise UserError(f"{run} is not a run folder (it has no config.toml); give a folder that `pixelq train` made")
    config = read_config(run / "config.toml", known=PARTS)
    found: dict[int, tuple[str, Make]] = {}
    for place in reversed(policy_places(run, "newest")):
        if place.agent_steps >= 0:
            found[place.agent_steps] = (place.kind, _from_place(place, config, device))
    for steps, file in kept_policies(run).items():
        found[steps] = ("policy", _from_file(file, device))
    if not found:
        raise UserError(f"{run}: this run has no policy yet; wait for its first checkpoint, or train it longer")
    if not config.load and 0 not in found:
        found[0] = ("untrained", _untrained(config, device))
    if len(found) < 2:
        raise UserError(
            f"{run}: it has kept one policy alone, so there are no stages; train with --keep-policies 100000, which "
            "keeps one every 100,000 agent steps"
        )
    steps_shown = _spread(sorted(found), most)
    return [Stage(_caption(steps, found[steps][0]), found[steps][1]()) for steps in steps_shown]


def policy_caption(file: Path, name: str) -> str:
    """A policy's name, and after how many agent steps of training it was saved, if its file says so."""
    steps = read_facts(file).get("agent_steps")
    known = isinstance(steps, int) or (isinstance(steps, str) and steps.isdecimal() and len(steps) < 16)
    return f"{name}, trained for {int(steps):,} agent steps" if known and steps is not None else name


def _caption(steps: int, kind: str) -> str:
    if steps == 0:
        return "untrained, 0 agent steps"
    return f"{steps:,} agent steps" + (f" ({kind})" if kind in ("best", "final") else "")


def _spread(steps: list[int], most: int) -> list[int]:
    """At most `most` of them, as evenly as they lie, the first and the last among them."""
    if len(steps) <= most:
        return steps
    return [steps[i] for i in np.linspace(0, len(steps) - 1, most).round().astype(int)]


def _from_file(file: Path, device: torch.device) -> Make:
    return lambda: load_agent(file, device)


def _from_place(place: PolicyPlace, config: Config, device: torch.device) -> Make:
    return lambda: agent_at(place, config, device)


def agent_at(place: PolicyPlace, config: Config, device: torch.device) -> Agent:
    """The policy that lies there; for that of a checkpoint the run's game is opened, which says how large it is.

    Raises:
        UserError: it is gone or damaged, does not fit its configuration, or its game cannot be made.
    """
    if place.kind != "checkpoint":
        return load_agent(place.path, device)
    weights = weights_at(place)
    network = _with_spaces(config, lambda envs: _network(config, envs))
    load_weights(network, weights, where=str(place.path))
    return Agent(network.to(device), config, device)


def _untrained(config: Config, device: torch.device) -> Make:
    def make() -> Agent:
        plain = dataclasses.replace(config, load="")
        network = _with_spaces(
            plain, lambda envs: initial_network(plain, envs.single_observation_space, _num_actions(envs))
        )
        return Agent(network.to(device), plain, device)

    return make


def _network(config: Config, envs: SeededEpisodes) -> Network:
    space: Any = envs.single_observation_space
    return build_network(config, space, _num_actions(envs), None)


def _num_actions(envs: SeededEpisodes) -> int:
    space: Any = envs.single_action_space
    return int(space.n)


def _with_spaces(config: Config, build: Callable[[SeededEpisodes], Network]) -> Network:
    """A network for the spaces of the run's game, which is opened for it."""
    envs = make_envs(config, num_envs=1, seed=0, threads=1)
    try:
        return build(envs)
    finally:
        envs.close()
