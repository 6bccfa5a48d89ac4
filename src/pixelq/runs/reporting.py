"""What a run tells at its intervals: rows of numbers, evaluations, the best policy, plots."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable

import numpy as np

from pixelq.checkpoints.kept_policies import kept_policy_folder
from pixelq.checkpoints.policy_file import save_policy
from pixelq.envs.seeded_episodes import EnvironmentFailedError
from pixelq.errors import UserError
from pixelq.files.atomic import remedy, write_bytes
from pixelq.reports.progress import Progress
from pixelq.reports.tracking import Tracker
from pixelq.runs import baseline
from pixelq.runs.evaluation import Abandoned, cap_in_training, cut_games, evaluate
from pixelq.runs.kept_best import TRAINING_GAMES, kept_best
from pixelq.runs.parts import Parts
from pixelq.runs.run_folder import RunFolder
from pixelq.runs.scores import points
from pixelq.schedules import epsilon_schedule, learning_rate_schedule
from pixelq.viewing.curves import read_table

METRICS = "metrics.json"
"""Beside a policy: what it scored, and how far the run had come."""

PLOT_SECONDS = 60.0
"""At least this long between plots: drawing one takes half a second of the training's time."""

NEAR = 0.05
"""Part of a head's range of returns, from either end: a mean Q within it is near that end."""


class Reporting:
    """Reads the parts of a run; nothing here changes what the run learns.

    Args:
        parts: of the run, at the agent step where this session begins.
        folder: the run's.
        tracker: takes the rows.
        progress: shows them.
        asked_to_stop: whether the run is asked to stop.
    """

    def __init__(
        self, parts: Parts, folder: RunFolder, tracker: Tracker, progress: Progress, asked_to_stop: Callable[[], bool]
    ) -> None:
        self._parts, self._config, self._folder = parts, parts.config, folder
        self._tracker, self._progress, self._asked_to_stop = tracker, progress, asked_to_stop
        self._epsilon, self._learning_rate = epsilon_schedule(self._config), learning_rate_schedule(self._config)
        self._last_row = (parts.counters.agent_steps, parts.clock.seconds)
        self._plotted, self._told_of_limits = time.monotonic(), False
        self._by_training_games = self._config.eval_every == 0
        kept = kept_best(folder.path)
        if kept is None or kept.is_of_other_games(self._by_training_games):
            parts.evaluations.best_score = -math.inf  # there is none to compare with: the next that is measured is best

    def log(self) -> None:
        """Append a row to progress.csv and show it."""
        parts, config, counters = self._parts, self._config, self._parts.counters
        now, seconds = counters.agent_steps, parts.clock.seconds
        loss, mean_q = parts.learner.take_means()
        steps_before, seconds_before = self._last_row
        self._last_row = (now, seconds)
        row: dict[str, float | int] = {
            "agent_steps": now,
            "frames": now * config.frame_skip,
            "episodes": counters.episodes,
            "updates": counters.updates,
            "mean_score_100": parts.scores.mean,
            "loss": loss,
            "mean_q": mean_q,
            "epsilon": float(self._epsilon(now).mean()),
            "learning_rate": self._learning_rate(now),
            "agent_steps_per_second": (now - steps_before) / max(1e-9, seconds - seconds_before),
            "seconds": seconds,
        }
        self._tracker.write("progress.csv", row)
        self._tracker.flush()
        self._progress.show(row)
        self._tell_of_limits(mean_q)
        if config.eval_every == 0 and parts.scores.window_full and self._is_best_mean():
            parts.evaluations.best_after = counters.episodes
            self._keep(parts.scores.mean, TRAINING_GAMES)

    def _tell_of_limits(self, mean_q: float) -> None:
        """Say once in a session that Q comes near the highest or lowest return that the head can express."""
        limits = getattr(self._parts.learner.network.head, "limits", None)
        if limits is None or self._told_of_limits or not math.isfinite(mean_q):
            return
        low, high = limits
        margin = NEAR * (high - low)
        if low + margin <= mean_q <= high - margin:
            return
        end, which, option = (high, "highest", "--v-max") if mean_q > high - margin else (low, "lowest", "--v-min")
        if end == 0:  # Q is near 0 wherever there is no reward yet
            return
        self._told_of_limits = True
        config = self._config
        unscaled = "" if config.clip_reward or config.scale_reward else ", or with clipped or scaled rewards"
        self._progress.say(
            f"Q is {mean_q:.3g}, and {end:g} is the {which} return that the head {config.head} can express: returns "
            f"beyond it are learned as if they were {end:g}; if there are any, begin anew with another {option}"
            f"{unscaled}"
        )

    def _is_best_mean(self) -> bool:
        """Of equals the last, as in evaluations; but only if a game has ended since, or it is the same mean again."""
        evaluations, mean = self._parts.evaluations, self._parts.scores.mean
        again = mean == evaluations.best_score and self._parts.counters.episodes > evaluations.best_after
        return again or mean > evaluations.best_score

    def evaluate(self) -> None:
        """Play test games with the policy as it is; abandoned, and pending, if the run is asked to stop meanwhile."""
        parts, config, now = self._parts, self._config, self._parts.counters.agent_steps
        parts.evaluations.pending = True
        begun = parts.clock.seconds
        try:
            result = evaluate(
                parts.test_policy,
                config,
                episodes=config.eval_episodes,
                epsilon=config.eval_epsilon,
                seed=int(np.random.SeedSequence([config.seed, now]).generate_state(1)[0]),
                threads=parts.threads,
                asked_to_stop=self._asked_to_stop,
                max_steps=cap_in_training(config),
                tell=lambda text: self._progress.note(f"evaluation at {now:,} agent steps: {text}"),
            )
        except Abandoned:
            return
        except (EnvironmentFailedError, UserError) as error:  # of other environments than those that learn
            raise EnvironmentFailedError(f"evaluation: {error}", state_is_whole=True) from error
        parts.evaluations.pending = False
        steps, seconds = self._last_row
        self._last_row = (steps, seconds + parts.clock.seconds - begun)  # the next row's speed is that of training
        summary = result.summary()
        self._tracker.write("evaluations.csv", {"agent_steps": now, "episodes": config.eval_episodes, **summary})
        self._tracker.flush()
        cut = cut_games(result, cap_in_training(config))
        mean = f"{result.mean:.1f}" if abs(result.mean) >= 1 or not result.mean else points(result.mean)
        self._progress.say(
            f"evaluation at {now:,} agent steps: mean {mean} of {config.eval_episodes} games "
            f"({points(summary['min'])} to {points(summary['max'])}){cut and '; ' + cut}"
        )
        # Of equals the last, which has learned longest: the highest score a game has (CartPole's 500) is soon reached.
        if result.mean >= parts.evaluations.best_score:
            games = f"{config.eval_episodes} test games{cut and ' (' + cut + ')'}"
            self._keep(result.mean, f"mean of {games} at epsilon {config.eval_epsilon}")

    @property
    def baseline_pending(self) -> bool:
        """Whether the random agent's games are still to be played."""
        return self._config.baseline_episodes > 0 and not (self._folder.path / baseline.FILE).is_file()

    def play_baseline(self) -> None:
        """Play the random agent's games if they are pending; they still are if the run is asked to stop meanwhile.

        Raises:
            OSError: they cannot be written.
        """
        if not self.baseline_pending or self._asked_to_stop():
            return
        self._progress.say(f"a random agent plays {self._config.baseline_episodes} games to compare with")
        with contextlib.suppress(Abandoned):
            baseline.play_baseline(
                self._folder.path, self._config, threads=self._parts.threads, asked_to_stop=self._asked_to_stop,
                tell=lambda text: self._progress.note(f"random agent: {text}"),
            )  # fmt: skip

    def metrics(self) -> dict[str, float | int | None]:
        """Where the run stands; scores are in points, None where there is none yet."""
        counters, mean, best = self._parts.counters, self._parts.scores.mean, self._parts.evaluations.best_score
        return {
            "agent_steps": counters.agent_steps,
            "frames": counters.agent_steps * self._config.frame_skip,
            "episodes": counters.episodes,
            "updates": counters.updates,
            "epsilon": float(self._epsilon(counters.agent_steps).mean()),
            "mean_score_100": None if math.isnan(mean) else mean,
            "best_score": best if math.isfinite(best) else None,
        }

    def keep_final(self) -> None:
        """Write the final policy with the run's metrics beside it, and the random agent's, if it has played.

        Raises:
            OSError: they cannot be written.
        """
        facts = {name: value for name, value in self.metrics().items() if value is not None}
        if self._config.baseline_episodes and not self.baseline_pending:
            random = read_table(self._folder.path / baseline.FILE, baseline.COLUMNS)
            facts["random_agent_games"] = len(random["score"])
            facts["random_agent_mean_score"] = float(random["score"].mean())
            facts["random_agent_mean_length"] = float(random["length"].mean())
        save_policy(self._folder.final, self._parts.learner.averaged_network, self._config, facts)
        write_bytes(self._folder.final / METRICS, json.dumps(facts, indent=1).encode())

    def keep_policy(self) -> None:
        """Keep the policy as it is for good, beside those of other agent steps."""
        now = self._parts.counters.agent_steps
        facts = {name: value for name, value in self.metrics().items() if value is not None and name != "best_score"}
        try:
            folder = kept_policy_folder(self._folder.path, now)
            save_policy(folder, self._parts.learner.averaged_network, self._config, facts)
        except OSError as error:
            reason = f"{error.strerror}; training goes on: {remedy(error)}"
            self._progress.say(f"the policy at agent step {now:,} could not be kept: {reason}")

    def plot(self, at_once: bool = False) -> None:
        """Draw plots/progress (and plots/episodes) from what has been written, unless they were drawn a moment ago."""
        if not at_once and time.monotonic() - self._plotted < PLOT_SECONDS:
            return
        self._tracker.flush()
        self._plotted = time.monotonic()
        folder = self._folder
        try:
            from pixelq.viewing.episode_plot import plot_episodes  # slow to import, and not every run draws
            from pixelq.viewing.plots import plot_runs

            folder.plots.mkdir(exist_ok=True)
            plot_runs([folder.path], folder.plots / "progress.png")
            if self._config.baseline_episodes:
                plot_episodes(folder.path, folder.plots / "episodes.png")
        except Exception as error:  # what matplotlib raises depends on a person's settings; a plot only shows
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self._progress.say(f"no plot this time ({reason}); training goes on")

    def _keep(self, score: float, measured_by: str) -> None:
        """Keep the policy as it is as the best; one that was best by other games is kept for good then."""
        evaluations = self._parts.evaluations
        evaluations.best_score = score
        before, told = kept_best(self._folder.path), ""
        of_other_games = before is not None and before.is_of_other_games(self._by_training_games)
        # A session that died may have got further, and its better policy is not to be lost.
        if before is not None and not of_other_games and before.score > score:
            evaluations.best_score = before.score
            return
        known = {name: value for name, value in self.metrics().items() if value is not None and name != "best_score"}
        facts: dict[str, str | float | int] = {"score": score, "measured_by": measured_by, **known}
        try:
            if before is not None and of_other_games:
                now, then = ("training", "test") if self._by_training_games else ("test", "training")
                told = (
                    f"best/ goes by {now} games from now on; the best by {then} games ({points(before.score)}) is kept "
                    f"in {before.keep_for_good()}"
                )
            save_policy(self._folder.best, self._parts.learner.averaged_network, self._config, facts)
            write_bytes(self._folder.best / METRICS, json.dumps(facts, indent=1).encode())
            self._progress.say(told)
        except OSError as error:
            self._progress.say(
                f"the best policy could not be saved ({error.strerror}); training goes on: {remedy(error)}"
            )
            evaluations.best_score = -math.inf  # so that the next one is offered to the disk again
