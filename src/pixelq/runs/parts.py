"""What a run is made of: environments, network, learner, policy, replay, counts. Built here, used by the loops."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.device import (
    TorchSettings,
    check_compiler,
    choose_device,
    make_deterministic,
    prepare_cpu,
    prepare_cuda,
)
from pixelq.envs import make_envs
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.learner.learner import Learner
from pixelq.loops.counters import Counters
from pixelq.memory import check_memory
from pixelq.networks import build_network
from pixelq.policy import Acting, EpsilonGreedy
from pixelq.replay import Replay
from pixelq.runs.arithmetic import arithmetic
from pixelq.runs.evaluation_state import EvaluationState
from pixelq.runs.scores import Scores
from pixelq.variants import KINDS


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
        self._torch_before = TorchSettings()
        self._envs: SeededEpisodes | None = None
        try:
            self._build(config)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free the environments, and leave torch's switches as they were before this run; may be called again."""
        try:
            if self._envs is not None:
                self._envs.close()
        finally:
            self._torch_before.restore()

    def _build(self, config: Config) -> None:
        self.config = config
        self.device, self.device_reason = choose_device(config.device)
        self.threads = prepare_cpu(config.threads)
        if config.deterministic:
            make_deterministic()
        if self.device.type == "cuda":
            prepare_cuda(config.deterministic)
        if self.device.type == "cpu" and config.compile:
            check_compiler()
        check_memory(config, None)
        streams = np.random.SeedSequence(config.seed).spawn(6)
        self.envs = self._envs = make_envs(config, num_envs=config.num_envs, seed=streams[0], threads=self.threads)
        actions: Any = self.envs.single_action_space
        observations: Any = self.envs.single_observation_space
        network = build_network(config, observations, int(actions.n), _generator(streams[1], torch.device("cpu")))
        check_memory(config, observations)
        network = network.to(self.device)
        self.learner = Learner(network, config, self.device, _generator(streams[4], self.device))
        exploration, acting_noise = np.random.default_rng(streams[2]), _generator(streams[5], self.device)
        learner = self.learner
        self.policy = EpsilonGreedy(network, self.device, exploration, acting_noise, lambda: learner.changes)
        self.test_policy = Acting(learner.averaged_network, self.device, lambda: learner.changes)
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


def _generator(seed: np.random.SeedSequence, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(seed.generate_state(1, np.uint64)[0]) >> 1)


def _empty_replay(config: Config, observation_space: Box) -> Replay:
    kind = KINDS["sampler"]
    options = kind.read_options(config.sampler, config.sampler_options)
    return Replay(
        capacity=config.replay_capacity,
        num_envs=config.num_envs,
        frame_shape=observation_space.shape[1:],
        stack=config.frame_stack,
        n_step=config.n_step,
        gamma=config.gamma,
        frame_dtype=observation_space.dtype,
        make_sampler=lambda num_envs, size: kind.find(config.sampler).Sampler(num_envs, size, options),
    )
