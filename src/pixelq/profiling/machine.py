"""What `pixelq bench` measures: each part of a recipe's loop alone, and the highest speed of a loop of these parts."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from pixelq import loops
from pixelq.action_masks import random_actions
from pixelq.config import Config
from pixelq.learner.learner import Learner
from pixelq.loops.rollout import Rollout
from pixelq.losses import bound_loss
from pixelq.networks import Network, build_network
from pixelq.policy import EpsilonGreedy
from pixelq.profiling.rates import acting_flops, calls_per_second, update_flops
from pixelq.profiling.recorded_play import RecordedPlay
from pixelq.recipes.values import overridden
from pixelq.replay.batch import Batch
from pixelq.replay.sequence_replay import SequenceReplay
from pixelq.runs.run import Run
from pixelq.variants import KINDS

Precision = Literal["float32", "bf16"]
PLAYED = 4_000
"""Agent steps of real play with which the parts are measured."""
STORED = 20_000
"""Transitions in the replay from which minibatches are sampled."""


@dataclass(frozen=True)
class PlayRates:
    """Rates that depend on the number of environments: agent steps and minibatches per second over all of them."""

    num_envs: int
    emulator: float
    storing: float
    sampling: float


@dataclass(frozen=True)
class NetworkRates:
    """Rates that depend on network and precision: actions a second by number of environments, and updates a second."""

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
    """The speed of one recipe if its parts run one after the other: seconds of each part for one agent step."""

    num_envs: int
    network: str
    precision: Precision
    seconds: dict[str, float]
    floor_seconds: float
    """Seconds of the emulator, plus the arithmetic of acting and updates at this machine's best rate."""

    @property
    def agent_steps_per_second(self) -> float:
        """With the parts one after the other."""
        return 1 / sum(self.seconds.values())

    @property
    def bound(self) -> str:
        """The part that takes longest."""
        return max(self.seconds, key=lambda part: self.seconds[part])


def measured_capacity(config: Config, env_counts: tuple[int, ...]) -> int:
    """Transitions of the replay that is measured: few, and as many as it needs with each number of environments."""
    least = (loops.least_capacity(overridden(config, {"num_envs": n})) for n in env_counts)
    return max(min(config.replay_capacity, STORED), *least)


def play_rates(run: Run, seconds: float) -> tuple[PlayRates, RecordedPlay]:
    """Measure emulator, storing and sampling of a run's own parts, each for `seconds`; return also the play used."""
    config, generator = run.config, np.random.default_rng(run.config.seed)
    n = run.parts.envs.num_envs
    run.parts.envs.reset()
    count = int(run.parts.envs.single_action_space.n)
    actions = itertools.cycle(generator.integers(0, count, (1000, n)))

    def step() -> None:
        masks = run.parts.envs.action_masks
        run.parts.envs.step(next(actions) if masks is None else random_actions(generator, n, count, masks))

    emulator = n * calls_per_second(step, seconds)
    play = RecordedPlay(run, PLAYED, generator)
    if run.parts.replay is not None:
        replay = run.parts.replay
        play.fill(replay, min(max(STORED, loops.least_capacity(config)), replay.capacity))
        storing = PLAYED * calls_per_second(lambda: play.fill(replay, PLAYED), seconds)
        sampling = calls_per_second(lambda: replay.sample(config.batch_size, generator), seconds)
    else:
        storing, sampling = _rollout_rates(run, seconds)
    return PlayRates(n, emulator, storing, sampling), play


def _rollout_rates(run: Run, seconds: float) -> tuple[float, float]:
    """Transitions stored and minibatches taken a second (parallel loop)."""
    config, n = run.config, run.parts.envs.num_envs
    rollout = Rollout(config.rollout_length, run.parts.envs, config.gamma)
    observations, numbers = run.parts.envs.observations, np.zeros(n, np.float32)
    rows = itertools.cycle(range(config.rollout_length))
    storing = n * calls_per_second(
        lambda: rollout.store(next(rows), observations, numbers.astype(np.int64), numbers, numbers, numbers), seconds
    )
    order = torch.randperm(config.rollout_length * n, generator=torch.Generator().manual_seed(config.seed))
    returns = None if _bootstraps(config) else torch.zeros(config.rollout_length, n)
    chosen = itertools.cycle(order.split(config.batch_size))
    return storing, calls_per_second(lambda: rollout.batch(next(chosen), returns), seconds)


def network_rates(
    run: Run, play: RecordedPlay, network: str, precision: Precision, env_counts: tuple[int, ...], seconds: float
) -> NetworkRates:
    """Measure acting and updates of one network in one precision, each for `seconds`, on what a run has played."""
    config = overridden(run.config, {"torso": network, "precision": precision})
    generator = np.random.default_rng(config.seed)
    q = _fresh_network(run, config)
    made_by = getattr(KINDS["loop"].find(config.loop), "Learner", Learner)
    noise = torch.Generator(run.parts.device).manual_seed(config.seed)
    learner = made_by(q, config, run.parts.device, noise)
    states = play.batches(1, max(env_counts), generator)[0].state.numpy()

    def acts(n: int) -> Callable[[], object]:
        observations, calls = np.ascontiguousarray(states[:n]), itertools.count()
        # Weights are cast anew as often as in the loop: after updates.
        updates = n * loops.updates_per_step(config)
        policy = EpsilonGreedy(q, run.parts.device, generator, noise, lambda: int(next(calls) * updates))
        policy.acting.begin(n)
        return lambda: policy.q_values(observations)

    acting = {n: n * calls_per_second(acts(n), seconds / len(env_counts)) for n in env_counts}
    batches = play.batches(8, config.batch_size, generator)
    learned = batches if _bootstraps(config) else _without_bootstrap(batches)
    if isinstance(run.parts.replay, SequenceReplay):
        learned = [run.parts.replay.sample(config.batch_size, generator) for _ in batches]
    elif q.recurrent_size:
        learned = _in_sequences(learned, q, config.rollout_length)
    turns = itertools.cycle(learned)
    update = calls_per_second(lambda: learner.update(next(turns), config.learning_rate), seconds, run.parts.device)
    flops = update_flops(q, batches[0], bootstraps=_bootstraps(config))
    return NetworkRates(network, precision, acting, update, acting_flops(q, batches[0]), flops)


def estimate(config: Config, play: PlayRates, network: NetworkRates, multiplications: float) -> Estimate:
    """Estimate the speed of the recipe with these rates.

    Args:
        config: decides the number of updates per agent step.
        play: rates for the recipe's number of environments.
        network: rates in the recipe's precision.
        multiplications: floating-point operations a second in that precision.
    """
    updates = loops.updates_per_step(config)
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


def _fresh_network(run: Run, config: Config) -> Network:
    weights = torch.Generator().manual_seed(config.seed)
    actions = int(run.parts.envs.single_action_space.n)
    network: Network = build_network(config, run.parts.envs.single_observation_space, actions, weights)  # type: ignore[arg-type]
    return network.to(run.parts.device)


def _bootstraps(config: Config) -> bool:
    """Whether the loss looks at next states; it does not where the parallel loop hands it returns."""
    return loops.has_replay(config) or bound_loss(config).returns is None


def _without_bootstrap(batches: list[Batch]) -> list[Batch]:
    """The minibatches as the parallel loop makes them: returns are complete targets, nothing is bootstrapped."""
    return [
        dataclasses.replace(
            b, discount_n=torch.zeros_like(b.discount_n), next_state=b.state, next_action_mask=b.action_mask
        )
        for b in batches
    ]


def _in_sequences(batches: list[Batch], network: Network, length: int) -> list[Batch]:
    """The minibatches as the parallel loop of networks with a memory makes them: rollouts of so many agent steps."""
    made = []
    for batch in batches:
        before = torch.zeros(len(batch.action) // length, network.recurrent_size)
        made.append(dataclasses.replace(batch, recurrent_state=before, starts=torch.zeros(len(batch.action)).bool()))
    return made
