"""What a run is made of: environments, network, learner, policy, replay, counts. Built here, used by the loops."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.device import choose_device, make_deterministic, prepare_cpu, prepare_cuda, refuse_missing_compiler
from pixelq.envs import make_envs
from pixelq.learner.learner import Learner
from pixelq.loops.counters import Counters
from pixelq.memory import refuse_too_little_memory
from pixelq.networks import build_network
from pixelq.policy import EpsilonGreedy
from pixelq.replay import Replay
from pixelq.runs.arithmetic import arithmetic
from pixelq.runs.evaluation_state import EvaluationState
from pixelq.runs.scores import Scores


class Clock:
    """Wall-clock seconds of training, over all sessions of the run."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @property
    def seconds(self) -> float:
        """Seconds so far; may be set, where a resumed run goes on."""
        return time.monotonic() - self._started

    @seconds.setter
    def seconds(self, value: float) -> None:
        self._started = time.monotonic() - value


class Parts:
    """Builds every part of a run from its configuration; nothing is written.

    Args:
        config: validated.

    Raises:
        UserError: the game, the device or the memory is not there.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.device, self.device_reason = choose_device(config.device)
        self.threads = prepare_cpu(config.threads)
        if config.deterministic:
            make_deterministic()
        if self.device.type == "cuda":
            prepare_cuda(config.deterministic)
        if self.device.type == "cpu" and config.compile:
            refuse_missing_compiler()
        refuse_too_little_memory(config, None)
        streams = np.random.SeedSequence(config.seed).spawn(4)
        self.envs = make_envs(config, num_envs=config.num_envs, seed=streams[0], threads=self.threads)
        actions: Any = self.envs.single_action_space
        observations: Any = self.envs.single_observation_space
        weights = torch.Generator().manual_seed(int(streams[1].generate_state(1, np.uint64)[0]) >> 1)
        network = build_network(config, observations, int(actions.n), weights)
        refuse_too_little_memory(config, observations)
        network = network.to(self.device)
        self.learner = Learner(network, config, self.device)
        self.policy = EpsilonGreedy(network, self.device, np.random.default_rng(streams[2]))
        # `evaluate` draws the random actions of test games; this generator is never asked.
        self.tested_policy = EpsilonGreedy(self.learner.tested_network, self.device, np.random.default_rng(0))
        self.replay_generator = np.random.default_rng(streams[3])
        self.replay = _empty_replay(config, observations) if config.loop == "replay" else None
        if self.replay is not None and self.device.type == "cuda":
            self.replay.keep_raw_frames_on(self.device)
        self.counters = Counters()
        self.scores = Scores(config.num_envs)
        self.evaluations = EvaluationState()
        self.arithmetic = arithmetic(self.device)
        self.arithmetic_before: dict[str, str | int] | None = None
        """Of the session that wrote the checkpoint this one goes on from."""
        self.clock = Clock()


def _empty_replay(config: Config, observation_space: Box) -> Replay:
    return Replay(
        capacity=config.replay_capacity,
        num_envs=config.num_envs,
        frame_shape=observation_space.shape[1:],
        stack=config.frame_stack,
        n_step=config.n_step,
        gamma=config.gamma,
        frame_dtype=observation_space.dtype,
    )
