"""What a run tells of itself at its intervals: rows of numbers, evaluations, the best policy, plots."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from pixelq.errors import UserError
from pixelq.schedules import epsilon_schedule, learning_rate_schedule
from pixelq.training import baseline
from pixelq.training.atomic import write_bytes
from pixelq.training.evaluation import Abandoned, evaluate
from pixelq.training.policy_file import recorded_score, save_policy
from pixelq.viewing.curves import read_table

if TYPE_CHECKING:
    from pixelq.training.run import Run

METRICS = "metrics.json"
"""Beside a policy: what it scored, and how far the run had come."""

PLOT_SECONDS = 60.0
"""At least this long between plots: drawing one takes half a second of the training's time."""


class Reports:
    """Reads the parts of an open run; nothing here changes what the run learns.

    Args:
        run: the run, its tracker and progress line open.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._epsilon, self._learning_rate = epsilon_schedule(run.config), learning_rate_schedule(run.config)
        self._last_row = (0, 0.0)
        self._plotted = time.monotonic()
        self.best_score = -math.inf
        self.evaluation_owed = False
        """An evaluation was due at the current agent step and has not been finished."""

    def log(self) -> None:
        """Append a row to progress.csv and show it."""
        run = self._run
        now, seconds = run.counters.agent_steps, run.seconds
        loss, mean_q = run.learner.take_means()
        steps_before, seconds_before = self._last_row
        self._last_row = (now, seconds)
        row: dict[str, float | int] = {
            "agent_steps": now,
            "frames": now * run.config.frame_skip,
            "episodes": run.counters.episodes,
            "updates": run.counters.updates,
            "mean_score_100": run.scores.mean,
            "loss": loss,
            "mean_q": mean_q,
            "epsilon": self._epsilon(now),
            "learning_rate": self._learning_rate(now),
            "agent_steps_per_second": (now - steps_before) / max(1e-9, seconds - seconds_before),
            "seconds": seconds,
        }
        run.tracker.write("progress.csv", row)
        run.tracker.flush()
        run.progress.show(row)
        if run.config.eval_every == 0 and run.scores.window_full and run.scores.mean > self.best_score:
            self._keep(run.scores.mean, "mean of the last 100 training games")

    def evaluate(self) -> None:
        """Play test games with the policy as it is; abandoned, and owed, if the run is asked to stop meanwhile."""
        run, config, now = self._run, self._run.config, self._run.counters.agent_steps
        self.evaluation_owed = True
        begun = run.seconds
        try:
            result = evaluate(
                run.tested_policy,
                config,
                episodes=config.eval_episodes,
                epsilon=config.eval_epsilon,
                seed=int(np.random.SeedSequence([config.seed, now]).generate_state(1)[0]),
                threads=run.threads,
                asked_to_stop=lambda: run.stop_requested,
            )
        except Abandoned:
            return
        self.evaluation_owed = False
        steps, seconds = self._last_row
        self._last_row = (steps, seconds + run.seconds - begun)  # the next row's speed is that of training
        summary = result.summary()
        run.tracker.write("evaluations.csv", {"agent_steps": now, "episodes": config.eval_episodes, **summary})
        run.tracker.flush()
        run.progress.say(
            f"evaluation at {now:,} agent steps: mean {summary['mean']:.1f} of {config.eval_episodes} games "
            f"({summary['min']:.0f} to {summary['max']:.0f})"
        )
        # Of equals the last, which has learned longest: the highest score a game has (CartPole's 500) is soon reached.
        if result.mean >= self.best_score:
            self._keep(result.mean, f"mean of {config.eval_episodes} test games at epsilon {config.eval_epsilon}")

    @property
    def baseline_owed(self) -> bool:
        """Whether the random agent's games are still to be played."""
        run = self._run
        return run.config.baseline_episodes > 0 and not (run.folder.path / baseline.FILE).is_file()

    def play_baseline(self) -> None:
        """Play the random agent's games if they are owed; still owed afterwards if the run is asked to stop.

        Raises:
            OSError: they cannot be written.
        """
        run = self._run
        if not self.baseline_owed or run.stop_requested:
            return
        run.progress.say(f"a random agent plays {run.config.baseline_episodes} games to compare with")
        with contextlib.suppress(Abandoned):
            baseline.play_baseline(
                run.folder.path, run.config, threads=run.threads, asked_to_stop=lambda: run.stop_requested
            )

    def metrics(self) -> dict[str, float | int | None]:
        """Where the run stands; scores are in points, None where there is none yet."""
        counters, mean = self._run.counters, self._run.scores.mean
        return {
            "agent_steps": counters.agent_steps,
            "frames": counters.agent_steps * self._run.config.frame_skip,
            "episodes": counters.episodes,
            "updates": counters.updates,
            "epsilon": self._epsilon(counters.agent_steps),
            "mean_score_100": None if math.isnan(mean) else mean,
            "best_score": self.best_score if math.isfinite(self.best_score) else None,
        }

    def keep_final(self) -> None:
        """Write the final policy with the run's metrics beside it, and the random agent's, if it has played.

        Raises:
            OSError: they cannot be written.
        """
        run = self._run
        facts = {name: value for name, value in self.metrics().items() if value is not None}
        if run.config.baseline_episodes:
            random = read_table(run.folder.path / baseline.FILE, baseline.COLUMNS)
            facts["random_agent_games"] = len(random["score"])
            facts["random_agent_mean_score"] = float(random["score"].mean())
            facts["random_agent_mean_length"] = float(random["length"].mean())
        save_policy(run.folder.final, run.learner.tested_network, run.config, facts)
        write_bytes(run.folder.final / METRICS, json.dumps(facts, indent=1).encode())

    def plot(self, at_once: bool = False) -> None:
        """Draw plots/progress (and plots/episodes) from what has been written, unless they were drawn a moment ago."""
        if not at_once and time.monotonic() - self._plotted < PLOT_SECONDS:
            return
        from pixelq.viewing.episode_plot import plot_episodes  # matplotlib is slow to import and not every run draws
        from pixelq.viewing.plots import plot_runs

        run = self._run
        run.tracker.flush()
        self._plotted = time.monotonic()
        try:
            run.folder.plots.mkdir(exist_ok=True)
            plot_runs([run.folder.path], run.folder.plots / "progress.png")
            if run.config.baseline_episodes:
                plot_episodes(run.folder.path, run.folder.plots / "episodes.png")
        except (OSError, UserError) as error:
            run.progress.say(f"no plot this time ({error}); training goes on")

    def state_dict(self) -> dict[str, Any]:
        """What decides which policy is kept, and whether an evaluation is owed."""
        best = self.best_score if math.isfinite(self.best_score) else None
        return {"best_score": best, "evaluation_owed": self.evaluation_owed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`, with counters and clock already where they were."""
        self._last_row = (self._run.counters.agent_steps, self._run.seconds)
        best = state["best_score"]
        # Without the file, the next policy that is measured is the best there is.
        there = recorded_score(self._run.folder.best) is not None
        self.best_score = -math.inf if best is None or not there else float(best)
        self.evaluation_owed = bool(state["evaluation_owed"])

    def _keep(self, score: float, measured_by: str) -> None:
        """Keep the policy as it is as the best."""
        run = self._run
        self.best_score = score
        # A session that died may have got further, and its better policy is not to be lost.
        recorded = recorded_score(run.folder.best)
        if recorded is not None and recorded > score:
            return
        known = {name: value for name, value in self.metrics().items() if value is not None and name != "best_score"}
        facts: dict[str, str | float | int] = {"score": score, "measured_by": measured_by, **known}
        try:
            save_policy(run.folder.best, run.learner.tested_network, run.config, facts)
            write_bytes(run.folder.best / METRICS, json.dumps(facts, indent=1).encode())
        except OSError as error:
            run.progress.say(f"the best policy could not be saved ({error.strerror}); training goes on: make room")
            self.best_score = -math.inf  # so that the next one is offered to the disk again
