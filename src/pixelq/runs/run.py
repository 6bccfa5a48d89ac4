"""A run: its parts in an open folder, and what happens around the loop at its intervals."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pixelq.checkpoints.reader import LoadedCheckpoint
from pixelq.checkpoints.store import CheckpointStore
from pixelq.checkpoints.writer import CheckpointWriter
from pixelq.config import Config
from pixelq.errors import RunError
from pixelq.files.atomic import reason_of, remedy
from pixelq.machine.memory import available_memory, free_swap, transition_bytes
from pixelq.reports.progress import Progress
from pixelq.reports.tracking import Tracker
from pixelq.runs.callbacks import Callbacks
from pixelq.runs.going_on import resume_line
from pixelq.runs.memory_watch import MemoryWatch
from pixelq.runs.parts import Parts
from pixelq.runs.reporting import Reporting
from pixelq.runs.run_folder import RunFolder
from pixelq.runs.run_state import load_run_state, run_state
from pixelq.runs.thread_choice import ThreadChoice, candidates
from pixelq.schedules import crossed

MOST_FAILURES = 2
"""Checkpoints in a row that could not be written before a run stops."""
FIRST_UPDATES = 3
"""Updates of a session that are not like the later ones: of a compiled update, the third waits for the compiler."""
LEARNER_COPIES = 5
"""Tensors of the network's size in a checkpoint, at most: network, target, average, two moments."""


class Run:
    """The parts of a run and the folder it writes; nothing is written before `open`.

    Args:
        config: validated.
        callbacks: see `pixelq.runs.callbacks`.
        available: as for `Parts`.

    Raises:
        UserError: the game, the device or the memory is not there, or a callback is none.
    """

    def __init__(self, config: Config, callbacks: Sequence[Any] = (), available: int | None = None) -> None:
        self.config = config
        self.callbacks = Callbacks(callbacks)
        self.parts = Parts(config, available)
        self.stop_requested = False
        self._resumed = False
        self._memory = _memory_watch(self.parts)
        self._threads: ThreadChoice | None = None
        self._updates_until_ready = -1

    # --- opening and resuming -----------------------------------------------------------------------------------

    def restore(self, checkpoint: LoadedCheckpoint) -> None:
        """Bring the parts to where a checkpoint was captured; nothing is written.

        Raises:
            RefusedCheckpointError: the state does not fit this run, whose parts are closed then.
        """
        try:
            load_run_state(self.parts, checkpoint)
        except BaseException:
            self.parts.close()
            raise
        self._resumed = True

    def open(self, folder: RunFolder, store: CheckpointStore, resumed: LoadedCheckpoint | None = None,
             wandb_run: Any | None = None, shorter_logs: bool = False) -> None:  # fmt: skip
        """Begin to write into `folder`; with a checkpoint, continue where it was captured: after `restore`.

        Args:
            folder: the run's, locked.
            store: its checkpoints; the one that loaded `resumed`.
            resumed: the checkpoint that was restored, None to begin at agent step 0.
            wandb_run: an open Weights & Biases run, if the configuration asks for one.
            shorter_logs: CSV files that have lost rows since the checkpoint go on without them.

        Raises:
            UserError: the CSV files or a callback's state do not fit this run.
            OSError: the folder cannot be written.
        """
        self.folder = folder
        self.parts.clock.seconds = float(resumed.state["seconds"]) if resumed else 0.0
        lengths = resumed.state.get("tracker", {}) if resumed else None
        self.progress = Progress(self.config)
        self.tracker = Tracker(folder.path, lengths, wandb_run, shorter_logs)
        if self.callbacks:
            self.tracker.observer = self.callbacks.note
        self.checkpoints = CheckpointWriter(store, self.tracker.paths)
        self.reporting = Reporting(self.parts, folder, self.tracker, self.progress, lambda: self.stop_requested)
        self.progress.begin(self.parts.counters.agent_steps)
        self.progress.say(self.callbacks.load_state_dict(resumed.state.get("callbacks")) if resumed else "")
        if resumed is not None and resumed.state["evaluations"]["pending"] and not self.parts.evaluations.pending:
            store.outdate_newest()
            self.progress.say("the evaluation that was not finished is left out: there are none from now on")
        if resumed is None and self.config.keep_policies:
            self.reporting.keep_policy()

    def choose_threads(self) -> str:
        """From now on compute with the number of threads that is faster, if the configuration leaves it open.

        Not in deterministic runs, whose sums are added up in one order, nor with a GPU.

        Returns:
            a line for a person where it is not one thread per core from the start, else nothing.
        """
        config, most = self.config, self.parts.threads
        if config.threads or config.deterministic or self.parts.device.type != "cpu" or most == 1:
            return ""
        # The compiler makes another program for each number, which takes it ten seconds.
        numbers = [most, 1] if config.compile else candidates(most)
        unit = config.train_every if self.parts.replay is not None else 1
        self._threads = ThreadChoice(numbers, torch.set_num_threads, unit, probe=self._act_once)
        self._updates_until_ready = self.parts.counters.updates + FIRST_UPDATES
        return self._threads.look_quickly()

    def _act_once(self) -> None:
        """Q-values of as many states as there are environments, to see how long that takes."""
        network = self.parts.learner.network
        space = network.observation_space
        states = torch.from_numpy(np.zeros((self.config.num_envs, *space.shape), space.dtype))
        with torch.no_grad():
            network.q_values(states)

    def first_observations(self) -> np.ndarray:
        """Observations `(N, stack, ...)` to act on first: of new episodes, or of those left open."""
        if not self._resumed:
            self.observed(np.asarray(self.parts.envs.reset()[0]))
        if self.callbacks:
            self.callbacks.start(self)
        if self.parts.evaluations.pending:
            self.reporting.evaluate()
            if not self.parts.evaluations.pending:
                self.checkpoints.store.outdate_newest()  # which has it pending, and may be all that this session saves
            if self.callbacks:
                self.callbacks.rows(self)
        return self.parts.envs.observations

    # --- what the loop asks -------------------------------------------------------------------------------------

    def goes_on(self) -> bool:
        """Whether to take another agent step: not complete, not asked to stop."""
        if self._threads is not None:
            self._threads.begin()
        return not self.stop_requested and not self._steps_are_over()

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: played out or solved, evaluated if that was due, and the baseline played."""
        return self._steps_are_over() and not self.parts.evaluations.pending and not self.reporting.baseline_pending

    def observed(self, observations: np.ndarray) -> np.ndarray:
        """The observations `(N, stack, ...)`, whose newest frames the network's running statistics now count."""
        self.parts.learner.network.observe(observations)
        return observations

    def learning_reward(self, rewards: np.ndarray, sum_ends: np.ndarray) -> np.ndarray:
        """Rewards as learning sees them, float32 `(N,)`.

        Args:
            rewards: the game's own, float32 `(N,)`.
            sum_ends: where the sum of the rewards to come ends with this one, bool `(N,)`; for scaled rewards.
        """
        rewards = np.sign(rewards) if self.config.clip_reward else rewards
        scale = self.parts.reward_scale
        return rewards if scale is None else scale(rewards, sum_ends)

    def target_ends(self, terminated: np.ndarray, life_lost: np.ndarray) -> np.ndarray:
        """Where the target has no future term, bool `(N,)`."""
        return terminated | life_lost if self.config.life_loss_ends_target else terminated

    def count_step(self, rewards: np.ndarray, episode_over: np.ndarray) -> None:
        """Count one agent step of every environment and write down the games it finished."""
        self.parts.counters.agent_steps += self.config.num_envs
        for game in self.parts.scores.add(rewards, episode_over):
            self.parts.counters.episodes += 1
            row = {"agent_step": self.parts.counters.agent_steps, "environment": game.environment}
            self.tracker.write(
                "episodes.csv", row | {"score": game.score, "length": game.length, "seconds": self.parts.clock.seconds}
            )

    def do_what_is_due(self, since: int) -> None:
        """Log, evaluate, keep the best policy, and checkpoint, each at its interval since agent step `since`.

        Raises:
            NotFiniteError: the loss or a weight is NaN or infinite; nothing of it has been kept.
            RunError: checkpoints cannot be written, memory is about to end, or a callback has failed.
        """
        config, now = self.config, self.parts.counters.agent_steps
        if self._threads is not None:
            self.progress.say(self._threads.end(now - since))
            if self._updates_until_ready >= 0 and self.parts.counters.updates > self._updates_until_ready:
                self._updates_until_ready = -1
                self._threads.start_anew()
        intervals = (config.log_every, config.eval_every, config.checkpoint_every, config.keep_policies)
        row, evaluation, checkpoint, policy = (crossed(since, now, every) for every in intervals)
        if row or evaluation or checkpoint or policy:
            self.parts.learner.check_finite()
        if row:
            self.reporting.log()
        if policy:
            self.reporting.keep_policy()
        if evaluation:
            self.reporting.evaluate()
        if self.callbacks:  # before a checkpoint, which holds what they have been told
            self.callbacks.iteration(self)
        if checkpoint and not self.stop_requested:  # else `finish` writes one at this very step
            self._checkpoint()
        if row or checkpoint:
            self.progress.say(self.checkpoints.take_message())
            self.progress.say(self.tracker.take_message())
            self._stop_without_checkpoints()
        self._stop_before_memory_ends()

    # --- the end ------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write the last checkpoint, the plots and, if the run is complete or a callback ended it, the final policy.

        Raises:
            RunError: the disk refused the last checkpoint or policy, or a callback has failed.
            NotFiniteError: as `do_what_is_due`.
        """
        self.parts.learner.check_finite()
        try:
            self.checkpoints.write_now(self.parts.counters.agent_steps, self.state(), self.parts.replay)
            if self._steps_are_over():
                self.reporting.play_baseline()
            if self.complete or self.callbacks.stopped_by:
                self.reporting.keep_final()
        except OSError as error:
            raise RunError(self._not_written(error)) from None
        self.reporting.plot(at_once=True)
        if self.callbacks:
            self.callbacks.end(self)

    @property
    def last_good(self) -> str:
        """The newest checkpoint that is whole, in words."""
        with contextlib.suppress(Exception):  # what a writing thread fails by is told elsewhere
            self.checkpoints.close()  # the one that is being written may be the newest
        newest = self.checkpoints.store.newest
        if newest is None:
            return "agent step 0 (no checkpoint was written yet)"
        if not newest.is_dir():
            return f"{newest.name}, if its folder is put back to {newest.parent}"
        return f"the last good checkpoint, {newest.name}"

    def close(self) -> None:
        """Release environments, files and the folder's lock; what is still being written is waited for."""
        try:
            self.checkpoints.close()
        finally:
            self.progress.close()
            self.tracker.close()
            self.parts.close()
            self.folder.close()

    # --- at intervals -------------------------------------------------------------------------------------------

    def _steps_are_over(self) -> bool:
        bar, games = self.config.stop_score, self.config.episodes
        solved = bar is not None and self.parts.scores.window_full and self.parts.scores.mean > bar
        enough = 0 < games <= self.parts.counters.episodes
        return self.parts.counters.agent_steps >= self.config.steps or enough or solved

    def state(self, with_callbacks: bool = True) -> dict[str, Any]:
        """Everything that decides the run's future, but the replay; see `run_state`.

        Raises:
            OSError: the CSV files, whose lengths are a part of it, could not be written.
            CallbackFailedError: a callback's state cannot be saved.
        """
        state = run_state(self.parts, self.tracker.state_dict(), self.reporting.metrics())
        callbacks = self.callbacks.state_dict() if with_callbacks else {}
        return state | {"callbacks": callbacks} if callbacks else state

    def _stop_without_checkpoints(self) -> None:
        """End a run of which nothing would be left: of checkpoints that cannot be written, the second ends it.

        Raises:
            RunError: the last two checkpoints could not be written.
        """
        failures = self.checkpoints.failures
        if len(failures) >= MOST_FAILURES:
            raise RunError(f"{len(failures)} checkpoints in a row: {self._not_written(failures[-1])}")

    def _stop_before_memory_ends(self) -> None:
        """Say once that the replay will not fit, and save everything before the system ends this process.

        Raises:
            RunError: memory is about to end.
        """
        if self._memory is None:
            return
        warning, reason = self._memory.look()
        self.progress.say(warning)
        if not reason:
            return
        now, fitting = self.parts.counters.agent_steps, self._memory.fitting_capacity()
        saved = "everything is saved"
        try:
            self.parts.learner.check_finite()
            self.checkpoints.write_now(now, self.state(), self.parts.replay)
        except (OSError, MemoryError) as error:
            saved = f"the last steps could not be saved ({reason_of(error)})"
        raise RunError(
            f"{reason}; training stopped at agent step {now:,}, {saved}: make room, then "
            f"`{resume_line(self.config, self.folder.path)}` goes on from {self.last_good}, or "
            f"train anew with --replay-capacity {fitting}"
        )

    def _not_written(self, error: OSError | MemoryError) -> str:
        place = getattr(error, "filename", None) or self.folder.path
        return (
            f"{place}: cannot be written ({reason_of(error)}); {remedy(error)}, then "
            f"`{resume_line(self.config, self.folder.path)}` goes on from {self.last_good}"
        )

    def _checkpoint(self) -> None:
        now = self.parts.counters.agent_steps
        try:
            self.checkpoints.write_soon(now, self.state(), self.parts.replay)
        except (OSError, MemoryError) as error:
            self.checkpoints.failures.append(error.with_traceback(None))
            self.progress.say(
                f"no checkpoint at agent step {now:,} ({reason_of(error)}); training goes on, {self.last_good} "
                f"stays: {remedy(error)}"
            )
        self.reporting.plot()


def _memory_watch(parts: Parts) -> MemoryWatch | None:
    """Of a run with a replay, which has just been built and is empty."""
    if parts.replay is None:
        return None
    space: Any = parts.envs.single_observation_space
    weights = sum(parameter.nbytes for parameter in parts.learner.network.parameters())
    assumed = transition_bytes(space) if space.dtype == np.uint8 else 0
    return MemoryWatch(parts.replay, assumed, LEARNER_COPIES * weights, available_memory, free_swap)
