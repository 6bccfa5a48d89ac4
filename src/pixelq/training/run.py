"""A run: the parts a loop works with, and what happens around the loop at its intervals."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.device import choose_device, make_deterministic, prepare_cpu, prepare_cuda, refuse_missing_compiler
from pixelq.envs import make_envs
from pixelq.errors import RunError
from pixelq.learner import Learner
from pixelq.memory import refuse_too_little_memory
from pixelq.networks import build_network
from pixelq.policy import EpsilonGreedy
from pixelq.replay import Replay
from pixelq.schedules import crossed
from pixelq.training.arithmetic import arithmetic
from pixelq.training.atomic import remedy
from pixelq.training.checkpoint import CheckpointStore
from pixelq.training.checkpoint_writer import CheckpointWriter
from pixelq.training.counters import Counters
from pixelq.training.loaded_checkpoint import LoadedCheckpoint
from pixelq.training.progress import Progress
from pixelq.training.reports import Reports
from pixelq.training.run_folder import RunFolder
from pixelq.training.run_state import load_run_state, run_state
from pixelq.training.scores import Scores
from pixelq.training.tracking import Tracker


class Run:
    """Builds every part of a run from its configuration; nothing is written before `open`.

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
        self.arithmetic = arithmetic(self.device)
        self.arithmetic_before: dict[str, str | int] | None = None
        """Of the session that wrote the checkpoint this one goes on from."""
        self.stop_requested = False
        self._resumed = False

    # --- opening and resuming -----------------------------------------------------------------------------------

    def open(self, folder: RunFolder, store: CheckpointStore, resumed: LoadedCheckpoint | None = None,
             wandb_run: Any | None = None, shorter_logs: bool = False) -> None:  # fmt: skip
        """Begin to write into `folder`; with a checkpoint, continue where it was captured.

        Args:
            folder: the run's, locked.
            store: its checkpoints; the one that loaded `resumed`.
            resumed: the checkpoint to go on from, None to begin at agent step 0.
            wandb_run: an open Weights & Biases run, if the configuration asks for one.
            shorter_logs: CSV files that have lost rows since the checkpoint go on without them.

        Raises:
            UserError: the state does not fit this run.
            OSError: the folder cannot be written.
        """
        self.folder = folder
        self.seconds = 0.0
        self.progress = Progress(self.config)
        self.reports = Reports(self)
        if resumed is not None:
            load_run_state(self, resumed)
            self._resumed = True
        lengths = resumed.state.get("tracker", {}) if resumed else None
        self.tracker = Tracker(folder.path, lengths, wandb_run, shorter_logs)
        self.checkpoints = CheckpointWriter(store, self.tracker.paths)
        self.progress.begin(self.counters.agent_steps)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training, over all sessions of the run."""
        return time.monotonic() - self._started

    @seconds.setter
    def seconds(self, value: float) -> None:
        self._started = time.monotonic() - value

    def first_observations(self) -> np.ndarray:
        """Observations `(N, stack, ...)` to act on first: of new episodes, or of those left open."""
        if not self._resumed:
            return np.asarray(self.envs.reset()[0])
        if self.reports.evaluation_owed:
            self.reports.evaluate()
        return self.envs.observations

    # --- what the loop asks -------------------------------------------------------------------------------------

    def goes_on(self) -> bool:
        """Whether to take another agent step: not complete, not asked to stop."""
        return not self.stop_requested and not self._steps_are_over()

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: played out or solved, evaluated if that was due, and the baseline played."""
        return self._steps_are_over() and not self.reports.evaluation_owed and not self.reports.baseline_owed

    def learning_reward(self, rewards: np.ndarray) -> np.ndarray:
        """Rewards as learning sees them, float32 `(N,)`."""
        return np.sign(rewards) if self.config.clip_reward else rewards

    def target_ends(self, terminated: np.ndarray, life_lost: np.ndarray) -> np.ndarray:
        """Where the target has no future term, bool `(N,)`."""
        return terminated | life_lost if self.config.life_loss_ends_target else terminated

    def count_step(self, rewards: np.ndarray, episode_over: np.ndarray) -> None:
        """Count one agent step of every environment and write down the games it finished."""
        self.counters.agent_steps += self.config.num_envs
        for game in self.scores.add(rewards, episode_over):
            self.counters.episodes += 1
            row = {"agent_step": self.counters.agent_steps, "environment": game.environment}
            self.tracker.write(
                "episodes.csv", row | {"score": game.score, "length": game.length, "seconds": self.seconds}
            )

    def do_what_is_due(self, since: int) -> None:
        """Log, evaluate, keep the best policy, and checkpoint, each at its interval since agent step `since`.

        Raises:
            NotFiniteError: the loss or a weight is NaN or infinite; nothing of it has been kept.
        """
        config, now = self.config, self.counters.agent_steps
        row, evaluation, checkpoint = (
            crossed(since, now, every) for every in (config.log_every, config.eval_every, config.checkpoint_every)
        )
        if row or evaluation or checkpoint:
            self.learner.refuse_not_finite()
        if row:
            self.reports.log()
        if evaluation:
            self.reports.evaluate()
        if checkpoint and not self.stop_requested:  # else `finish` writes one at this very step
            self._checkpoint()
        if row or checkpoint:
            self.progress.say(self.checkpoints.take_message())
            self.progress.say(self.tracker.take_message())

    # --- the end ------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write the last checkpoint, the plots and, if the run is complete, the final policy.

        Raises:
            RunError: the disk refused the last checkpoint or policy.
            NotFiniteError: as `do_what_is_due`.
        """
        self.learner.refuse_not_finite()
        try:
            self.checkpoints.write_now(self.counters.agent_steps, run_state(self), self.replay)
            if self._steps_are_over():
                self.reports.play_baseline()
            if self.complete:
                self.reports.keep_final()
        except OSError as error:
            raise RunError(
                f"{error.filename or self.folder.path}: cannot be written ({error.strerror}); {remedy(error)}, then "
                f"`pixelq resume {self.folder.path}` goes on from {self.last_good}"
            ) from None
        self.reports.plot(at_once=True)

    @property
    def last_good(self) -> str:
        """The newest checkpoint that is whole, in words."""
        newest = self.checkpoints.store.newest
        return f"the last good checkpoint, {newest.name}" if newest else "agent step 0 (no checkpoint was written yet)"

    def close(self) -> None:
        """Release environments, files and the folder's lock; what is still being written is waited for."""
        try:
            self.checkpoints.close()
        finally:
            self.progress.close()
            self.tracker.close()
            self.envs.close()
            self.folder.close()

    # --- at intervals -------------------------------------------------------------------------------------------

    def _steps_are_over(self) -> bool:
        bar, games = self.config.stop_score, self.config.episodes
        solved = bar is not None and self.scores.window_full and self.scores.mean > bar
        enough = 0 < games <= self.counters.episodes
        return self.counters.agent_steps >= self.config.steps or enough or solved

    def _checkpoint(self) -> None:
        now = self.counters.agent_steps
        try:
            self.checkpoints.write_soon(now, run_state(self), self.replay)
        except OSError as error:
            self.progress.say(
                f"no checkpoint at agent step {now:,} ({error.strerror}); training goes on, {self.last_good} "
                f"stays: {remedy(error)}"
            )
        self.reports.plot()


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
