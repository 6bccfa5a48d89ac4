"""A run: the parts a loop works with, and what happens around the loop at its intervals."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import torch

from pixelq.config import Config
from pixelq.device import choose_device, make_deterministic, set_threads
from pixelq.envs import make_envs
from pixelq.errors import UserError
from pixelq.learner import Learner, load_weights
from pixelq.memory import available_memory, memory_needed
from pixelq.networks import build_network
from pixelq.policy import EpsilonGreedy
from pixelq.replay import Replay, ReplaySnapshot
from pixelq.schedules import crossed, epsilon_schedule, learning_rate_schedule
from pixelq.training.atomic import write_bytes
from pixelq.training.checkpoint import CheckpointStore, LoadedCheckpoint
from pixelq.training.checkpoint_writer import CheckpointWriter
from pixelq.training.counters import Counters
from pixelq.training.evaluation import evaluate
from pixelq.training.policy_file import save_policy
from pixelq.training.progress import Progress
from pixelq.training.run_folder import RunFolder
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
        self.threads = set_threads(config.threads)
        if config.deterministic:
            make_deterministic()
        _refuse_too_little_memory(config)
        streams = np.random.SeedSequence(config.seed).spawn(4)
        self.envs = make_envs(config, num_envs=config.num_envs, seed=streams[0], threads=self.threads)
        space: Any = self.envs.single_action_space
        weights = torch.Generator().manual_seed(int(streams[1].generate_state(1, np.uint64)[0]) >> 1)
        network = build_network(config, int(space.n), weights).to(self.device)
        self.learner = Learner(network, config, self.device)
        self.policy = EpsilonGreedy(network, self.device, np.random.default_rng(streams[2]))
        self.replay_generator = np.random.default_rng(streams[3])
        self.replay = _empty_replay(config, self.envs.single_observation_space.shape) if config.loop == "replay" else None
        self.counters = Counters()
        self.scores = Scores(config.num_envs)
        self.best_score = -math.inf
        self.stop_requested = False
        self._resumed = False
        self._seconds_before = 0.0

    # --- opening and resuming -----------------------------------------------------------------------------------

    def open(self, folder: RunFolder, store: CheckpointStore, resumed: LoadedCheckpoint | None = None,
             wandb_run: Any | None = None) -> None:  # fmt: skip
        """Begin to write into `folder`; with a checkpoint, continue where it was captured.

        Args:
            folder: the run's, locked.
            store: its checkpoints; the one that loaded `resumed`.
            resumed: the checkpoint to go on from, None for a new run.
            wandb_run: an open Weights & Biases run, if the configuration asks for one.

        Raises:
            UserError: the state does not fit this run.
        """
        self.folder = folder
        if resumed is not None:
            self._load_state_dict(resumed.state)
            self._restore_replay(resumed.replay)
        self.tracker = Tracker(folder.path, resumed.state["tracker"] if resumed else None, wandb_run)
        self.checkpoints = CheckpointWriter(store)
        self._started = time.monotonic() - self._seconds_before
        self._last_row = (self.counters.agent_steps, self.seconds)
        self.progress = Progress(self.config, self.counters.agent_steps)
        self._epsilon, self._learning_rate = epsilon_schedule(self.config), learning_rate_schedule(self.config)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training, over all sessions of the run."""
        return time.monotonic() - self._started

    def load_initial_weights(self, weights: dict[str, torch.Tensor], where: str) -> None:
        """Start from a trained network's weights instead of fresh ones."""
        load_weights(self.learner.network, weights, where)
        self.learner.copy_to_target()

    def first_observations(self) -> np.ndarray:
        """Observations uint8 `(N, stack, H, W)` to act on first: of new episodes, or of those a checkpoint left open."""
        if self._resumed:
            return self.envs.observations
        observations: np.ndarray = self.envs.reset()[0]
        return observations

    # --- what the loop asks -------------------------------------------------------------------------------------

    def goes_on(self) -> bool:
        """Whether to take another agent step: not played out, not solved, not asked to stop."""
        bar = self.config.stop_score
        solved = bar is not None and self.scores.window_full and self.scores.mean > bar
        return self.counters.agent_steps < self.config.steps and not solved and not self.stop_requested

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
        """Log, evaluate, keep the best policy, and checkpoint, each at its interval since agent step `since`."""
        now = self.counters.agent_steps
        if crossed(since, now, self.config.log_every):
            self._log()
        if crossed(since, now, self.config.eval_every):
            self._evaluate()
        if crossed(since, now, self.config.checkpoint_every):
            self.checkpoints.write_soon(now, self.state_dict(), self.replay)
            self.progress.say(self.checkpoints.take_message())
            self._plot()

    # --- the end ------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write the last checkpoint, the final policy and the plots; close everything.

        Raises:
            UserError: the disk refused the last checkpoint or policy.
        """
        try:
            self.checkpoints.write_now(self.counters.agent_steps, self.state_dict(), self.replay)
            if not self.stop_requested:
                save_policy(self.folder.final, self.learner.network, self.config)
            self._plot()
        except OSError as error:
            raise UserError(
                f"{error.filename or self.folder.path}: cannot be written ({error.strerror}); make room, then "
                f"`pixelq resume {self.folder.path}` goes on from the last good checkpoint"
            ) from None
        finally:
            self.close()

    def close(self) -> None:
        """Release environments, files and the folder's lock."""
        self.checkpoints.close()
        self.progress.close()
        self.tracker.close()
        self.envs.close()
        self.folder.close()

    # --- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the run's future, except the replay."""
        return {
            "counters": self.counters.state_dict(),
            "learner": self.learner.state_dict(),
            "policy": self.policy.state_dict(),
            "replay_generator": self.replay_generator.bit_generator.state,
            "envs": self.envs.state_dict(),
            "scores": self.scores.state_dict(),
            "best_score": self.best_score if math.isfinite(self.best_score) else None,
            "tracker": self.tracker.state_dict(),
            "seconds": self.seconds,
        }

    def _load_state_dict(self, state: dict[str, Any]) -> None:
        try:
            self.counters.load_state_dict(state["counters"])
            self.learner.load_state_dict(state["learner"])
            self.policy.load_state_dict(state["policy"])
            self.replay_generator.bit_generator.state = state["replay_generator"]
            self.envs.load_state_dict(state["envs"])
            self.scores.load_state_dict(state["scores"])
            best = state["best_score"]
            self.best_score = -math.inf if best is None else float(best)
            self._seconds_before = float(state["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"checkpoint does not fit this run's config.toml ({type(error).__name__}: {error})") from None
        self._resumed = True

    def _restore_replay(self, snapshot: ReplaySnapshot | None) -> None:
        if (snapshot is None) != (self.replay is None):
            raise UserError(f"checkpoint does not fit this run's config.toml: loop = {self.config.loop!r}")
        if self.replay is not None and snapshot is not None:
            self.replay.restore(snapshot.meta, snapshot.arrays, snapshot.sealed)

    # --- at intervals -------------------------------------------------------------------------------------------

    def _log(self) -> None:
        now, seconds = self.counters.agent_steps, self.seconds
        loss, mean_q = self.learner.take_means()
        steps_before, seconds_before = self._last_row
        self._last_row = (now, seconds)
        row: dict[str, float | int] = {
            "agent_steps": now,
            "frames": now * self.config.frame_skip,
            "episodes": self.counters.episodes,
            "updates": self.counters.updates,
            "mean_score_100": self.scores.mean,
            "loss": loss,
            "mean_q": mean_q,
            "epsilon": self._epsilon(now),
            "learning_rate": self._learning_rate(now),
            "agent_steps_per_second": (now - steps_before) / max(1e-9, seconds - seconds_before),
            "seconds": seconds,
        }
        self.tracker.write("progress.csv", row)
        self.tracker.flush()
        self.progress.show(row)
        if self.config.eval_every == 0 and self.scores.window_full:
            self._keep_if_best(self.scores.mean, "mean of the last 100 training games")

    def _evaluate(self) -> None:
        config, now = self.config, self.counters.agent_steps
        seed = int(np.random.SeedSequence([config.seed, now]).generate_state(1)[0])
        result = evaluate(
            self.policy, config, episodes=config.eval_episodes, epsilon=config.eval_epsilon, seed=seed, threads=self.threads
        )
        summary = result.summary()
        self.tracker.write("evaluations.csv", {"agent_steps": now, "episodes": config.eval_episodes, **summary})
        self.tracker.flush()
        self.progress.say(
            f"evaluation at {now:,} agent steps: mean {summary['mean']:.1f} of {config.eval_episodes} games "
            f"({summary['min']:.0f} to {summary['max']:.0f})"
        )
        self._keep_if_best(result.mean, f"mean of {config.eval_episodes} test games at epsilon {config.eval_epsilon}")

    def _keep_if_best(self, score: float, measured_by: str) -> None:
        if score <= self.best_score:
            return
        self.best_score = score
        facts = {"score": score, "measured_by": measured_by, "agent_steps": self.counters.agent_steps}
        try:
            save_policy(self.folder.best, self.learner.network, self.config)
            write_bytes(self.folder.best / "metrics.json", json.dumps(facts, indent=1).encode())
        except OSError as error:
            self.progress.say(f"the best policy could not be saved ({error.strerror}); training goes on")

    def _plot(self) -> None:
        from pixelq.viewing.plots import plot_runs  # matplotlib is slow to import and not every run draws

        self.tracker.flush()
        try:
            self.folder.plots.mkdir(exist_ok=True)
            plot_runs([self.folder.path], self.folder.plots / "progress.png")
        except (OSError, UserError) as error:
            self.progress.say(f"no plot this time ({error}); training goes on")


def _empty_replay(config: Config, observation_shape: tuple[int, ...] | None) -> Replay:
    assert observation_shape is not None
    return Replay(
        capacity=config.replay_capacity,
        num_envs=config.num_envs,
        frame_shape=observation_shape[1:],
        stack=config.frame_stack,
        n_step=config.n_step,
        gamma=config.gamma,
    )


def _refuse_too_little_memory(config: Config) -> None:
    needed, available = memory_needed(config), available_memory()
    if available is not None and needed > available:
        raise UserError(
            f"replay_capacity = {config.replay_capacity}: the run needs about {needed / 1e9:.1f} GB and "
            f"{available / 1e9:.1f} GB are free; choose fewer transitions with --replay-capacity"
        )
