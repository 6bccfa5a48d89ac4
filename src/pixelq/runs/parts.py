"""What a run is made of: environments, network, learner, policy, replay, counts. Built here, used by the loops."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import UserError
from pixelq.generators import GlobalGenerators
from pixelq.learner import checked_learner
from pixelq.learner.learner import Learner
from pixelq.loops import has_replay
from pixelq.loops.counters import Counters
from pixelq.machine.device import (
    TorchSettings,
    check_compiler,
    choose_device,
    make_deterministic,
    prepare_cpu,
    prepare_cuda,
)
from pixelq.machine.memory import check_memory
from pixelq.networks import PARTS, Network, build_network
from pixelq.own_code import told_as_own_code
from pixelq.policy import EpsilonGreedy
from pixelq.policy.acting import acting_with
from pixelq.replay import BaseReplay, Replay
from pixelq.replay.samplers import sampler_maker
from pixelq.runs.arithmetic import arithmetic
from pixelq.runs.evaluation_state import EvaluationState
from pixelq.runs.reward_scale import RewardScale
from pixelq.runs.scores import Scores
from pixelq.variants import KINDS, from_outside


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
        available: bytes of memory that were free before a checkpoint was read; None: what is free now.

    Raises:
        UserError: the game, the device or the memory is not there.
    """

    def __init__(self, config: Config, available: int | None = None) -> None:
        self._torch_before: TorchSettings | None = TorchSettings()
        self._envs: SeededEpisodes | None = None
        self._global_generators: GlobalGenerators | None = None
        try:
            self._build(config, available)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free the environments, and leave torch's settings as they were before this run, its number of threads too.

        It may be called again, and changes nothing then: another run may have begun.
        """
        try:
            if self._envs is not None:
                self._envs.close()
        finally:
            if self._torch_before is not None:
                self._torch_before.restore()
                self._torch_before = None
            if self._global_generators is not None:
                self._global_generators.restore()
                self._global_generators = None

    def examine(self) -> None:
        """Look at what the environments show before a new run begins, on some made for it.

        Raises:
            UserError: an observation is not what its space says, an action mask is none, or masks take too much memory.
        """
        self.envs.examine()
        if self.envs.masked_actions:
            observations: Any = self.envs.single_observation_space
            check_memory(self.config, observations, self.envs.masked_actions)

    def _build(self, config: Config, available: int | None) -> None:
        self.config = config
        self.device, self.device_reason = choose_device(config.device)
        self.threads = prepare_cpu(config.threads, computes=self.device.type == "cpu")
        if config.deterministic:
            make_deterministic()
        if self.device.type == "cuda":
            prepare_cuda(config.deterministic)
        if self.device.type == "cpu" and config.compile:
            check_compiler()
        check_memory(config, None, 0, available)
        streams = np.random.SeedSequence(config.seed).spawn(7)
        self.global_generators = self._global_generators = GlobalGenerators(self.device)
        self.global_generators.seed(_torch_seed(streams[6]))
        self.envs = self._envs = make_envs(config, num_envs=config.num_envs, seed=streams[0], threads=self.threads)
        actions: Any = self.envs.single_action_space
        observations: Any = self.envs.single_observation_space
        check_memory(config, observations, 0, available)
        network = initial_network(config, observations, int(actions.n))
        if config.normalise_observations and self.device.type not in ("cpu", "cuda"):
            raise UserError(
                f"normalise_observations = True counts in float64, which {self.device.type} lacks; use --device cpu"
            )
        network = network.to(self.device)
        made_by = getattr(KINDS["loop"].find(config.loop), "Learner", Learner)
        noise = _generator(streams[4], self.device)
        with told_as_own_code(from_outside(config, ("loop", "loss", *PARTS)), "making the learner"):
            made = made_by(network, config, self.device, noise)
        learner = checked_learner(made, config.loop)
        self.learner: Any = learner
        """What the loop asks to learn; a `Learner` unless the loop names another. A run asks what `Learning` has."""
        exploration, acting_noise = np.random.default_rng(streams[2]), _generator(streams[5], self.device)
        self.policy = EpsilonGreedy(network, self.device, exploration, acting_noise, lambda: learner.changes)
        self.policy.acting.begin(config.num_envs)
        self.test_policy = acting_with(learner.averaged_network, self.device, lambda: learner.changes)
        self.replay_generator = np.random.default_rng(streams[3])
        self.replay = _empty_replay(config, observations, network) if has_replay(config) else None
        if self.replay is not None and self.device.type == "cuda":
            self.replay.keep_raw_frames_on(self.device)
        self.counters = Counters()
        self.reward_scale = RewardScale(config.num_envs, config.gamma) if config.scale_reward else None
        self.scores = Scores(config.num_envs)
        self.evaluations = EvaluationState()
        self.arithmetic = arithmetic(self.device)
        self.arithmetic_before: dict[str, str | int] | None = None
        """Of the session that wrote the checkpoint this one goes on from."""
        self.not_reproduced = ""
        """Why the checkpoint's open episodes could not be played again, in words; empty if they could."""
        self.clock = Clock()


def initial_network(config: Config, observations: Any, num_actions: int) -> Network:
    """The network that a run of this configuration begins with, on the CPU; its seed decides the weights."""
    seed = np.random.SeedSequence(config.seed).spawn(2)[1]  # as the second of the run's streams
    return build_network(config, observations, num_actions, _generator(seed, torch.device("cpu")))


def _generator(seed: np.random.SeedSequence, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(_torch_seed(seed))


def _torch_seed(seed: np.random.SeedSequence) -> int:
    return int(seed.generate_state(1, np.uint64)[0]) >> 1


def _empty_replay(config: Config, observation_space: Box, network: Network) -> BaseReplay:
    sampler = sampler_maker(config)
    sizes: dict[str, Any] = {
        "capacity": config.replay_capacity,
        "num_envs": config.num_envs,
        "frame_shape": observation_space.shape[1:],
        "stack": config.frame_stack,
        "n_step": config.n_step,
        "gamma": config.gamma,
        "frame_dtype": observation_space.dtype,
    }
    build = getattr(KINDS["loop"].find(config.loop), "build_replay", None)
    if build is None:
        return Replay(make_sampler=sampler, **sizes)
    with told_as_own_code(from_outside(config, ("loop",)), "making the replay"):
        replay: BaseReplay = build(config, network, sampler, sizes)
    return replay
