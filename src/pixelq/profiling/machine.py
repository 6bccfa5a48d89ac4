"""What `pixelq bench` measures: each part of a recipe's loop alone, and what a loop of them can make at most."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from pixelq.config import Config
from pixelq.learner.learner import Learner
from pixelq.loops.rollout import Rollout
from pixelq.networks import QNetwork, build_network
from pixelq.policy import EpsilonGreedy
from pixelq.profiling.rates import acting_flops, calls_per_second, update_flops
from pixelq.profiling.recorded_play import RecordedPlay
from pixelq.replay.batch import Batch
from pixelq.runs.run import Run

Precision = Literal["float32", "bf16"]
PLAYED = 4_000
"""Agent steps of real play that the parts work on."""
STORED = 20_000
"""Transitions in the replay that is sampled from."""


@dataclass(frozen=True)
class PlayRates:
    """What depends on the number of environments, per second: agent steps over all of them, and minibatches."""

    num_envs: int
    emulator: float
    storing: float
    sampling: float


@dataclass(frozen=True)
class NetworkRates:
    """What depends on network and precision: states acted on a second by number of environments, updates a second."""

    network: str
    precision: Precision
    acting: dict[int, float]
    update: float
    acting_flops: float
    """Floating-point operations for one state."""
    update_flops: int
    """Floating-point operations of one update."""


@dataclass(frozen=True)
class Estimate:
    """What one recipe can make if its parts take turns: seconds of each part for one agent step."""

    num_envs: int
    network: str
    precision: Precision
    seconds: dict[str, float]
    floor_seconds: float
    """Emulator, and the arithmetic of acting and updates at this machine's best rate."""

    @property
    def agent_steps_per_second(self) -> float:
        """Of the parts one after the other."""
        return 1 / sum(self.seconds.values())

    @property
    def bound(self) -> str:
        """The part that takes longest."""
        return max(self.seconds, key=lambda part: self.seconds[part])


def play_rates(run: Run, seconds: float) -> tuple[PlayRates, RecordedPlay]:
    """Measure emulator, storing and sampling of a run's own parts, each for `seconds`; the play it was done with."""
    config, generator = run.config, np.random.default_rng(run.config.seed)
    n = run.parts.envs.num_envs
    run.parts.envs.reset()
    actions = itertools.cycle(generator.integers(0, run.parts.envs.single_action_space.n, (1000, n)))
    emulator = n * calls_per_second(lambda: run.parts.envs.step(next(actions)), seconds)
    play = RecordedPlay(run, PLAYED, generator)
    if run.parts.replay is not None:
        replay = run.parts.replay
        play.fill(replay, min(STORED, replay.capacity))
        storing = PLAYED * calls_per_second(lambda: play.fill(replay, PLAYED), seconds)
        sampling = calls_per_second(lambda: replay.sample(config.batch_size, generator), seconds)
    else:
        storing, sampling = _rollout_rates(run, play, seconds)
    return PlayRates(n, emulator, storing, sampling), play


def _rollout_rates(run: Run, play: RecordedPlay, seconds: float) -> tuple[float, float]:
    """Transitions stored and minibatches taken a second (parallel loop)."""
    config, n = run.config, run.parts.envs.num_envs
    rollout = Rollout(config.rollout_length, run.parts.envs)
    observations, numbers = run.parts.envs.observations, np.zeros(n, np.float32)
    rows = itertools.cycle(range(config.rollout_length))
    storing = n * calls_per_second(
        lambda: rollout.store(next(rows), observations, numbers.astype(np.int64), numbers, numbers, numbers), seconds
    )
    order = torch.randperm(config.rollout_length * n, generator=torch.Generator().manual_seed(config.seed))
    chosen = itertools.cycle(order.split(config.batch_size))
    return storing, calls_per_second(lambda: rollout.states(next(chosen)), seconds)


def network_rates(
    run: Run, play: RecordedPlay, network: str, precision: Precision, env_counts: tuple[int, ...], seconds: float
) -> NetworkRates:
    """Measure acting and updates of one network in one precision, each for `seconds`, on what a run has played."""
    config = dataclasses.replace(run.config, network=network, precision=precision)  # type: ignore[arg-type]
    generator = np.random.default_rng(config.seed)
    q = _fresh_network(run, config)
    learner, policy = Learner(q, config, run.parts.device), EpsilonGreedy(q, run.parts.device, generator)
    states = play.batches(1, max(env_counts), generator)[0].state.numpy()

    def acts(n: int) -> Callable[[], object]:
        observations = np.ascontiguousarray(states[:n])
        return lambda: policy.q_values(observations)

    acting = {n: n * calls_per_second(acts(n), seconds / len(env_counts)) for n in env_counts}
    batches = play.batches(8, config.batch_size, generator)
    turns = itertools.cycle(_targets_known(batches) if config.loop == "parallel" else batches)
    update = calls_per_second(lambda: learner.update(next(turns), config.learning_rate), seconds, run.parts.device)
    flops = update_flops(q, batches[0], bootstraps=config.loop == "replay")
    return NetworkRates(network, precision, acting, update, acting_flops(q, batches[0]), flops)


def estimate(config: Config, play: PlayRates, network: NetworkRates, multiplications: float) -> Estimate:
    """What the recipe can make with these rates.

    Args:
        config: says how many updates there are for an agent step.
        play: with the number of environments in question.
        network: in the precision in question.
        multiplications: floating-point operations a second in that precision.
    """
    updates = 1 / config.train_every if config.loop == "replay" else config.epochs / config.batch_size
    seconds = {
        "emulator": 1 / play.emulator,
        "acting": 1 / network.acting[play.num_envs],
        "storing": 1 / play.storing,
        "sampling": updates / play.sampling,
        "update": updates / network.update,
    }
    arithmetic = (network.acting_flops + updates * network.update_flops) / multiplications
    return Estimate(
        play.num_envs, network.network, network.precision, seconds, floor_seconds=arithmetic + seconds["emulator"]
    )


def _fresh_network(run: Run, config: Config) -> QNetwork:
    weights = torch.Generator().manual_seed(config.seed)
    actions = int(run.parts.envs.single_action_space.n)
    network: QNetwork = build_network(config, run.parts.envs.single_observation_space, actions, weights)  # type: ignore[arg-type]
    return network.to(run.parts.device)


def _targets_known(batches: list[Batch]) -> list[Batch]:
    """As the parallel loop hands them over: nothing left to bootstrap from."""
    return [Batch(b.state, b.action, b.return_n, torch.zeros_like(b.discount_n), b.state) for b in batches]
