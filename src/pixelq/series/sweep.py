"""A sweep: trials of a recipe with other values, chosen by Optuna, the hopeless ones stopped early.

Everything that Optuna knows is in `study.db` (SQLite), and each trial is an ordinary run in `trial-<number>`. A trial
that was at work when the process was killed is still running in the study: it goes on from its run's checkpoint.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.shorthands import SHORTHANDS
from pixelq.recipes.validation import validate
from pixelq.runs.signals import stopped_by_signals
from pixelq.series.folder import SeriesFolder, field, new_folder, plain_name, read_series
from pixelq.series.importance import importance
from pixelq.series.progress import SeriesProgress
from pixelq.series.quiet_optuna import optuna_module
from pixelq.series.ranges import Choices, Range, applied, read_ranges
from pixelq.series.run_facts import best_evaluation, final_score, is_finished, score_at, standing
from pixelq.series.seeds import points
from pixelq.series.side_by_side import POLL_SECONDS, Job, Outcome, Room, SideBySide, prepared, room
from pixelq.series.sweep_figures import draw_history, draw_importance
from pixelq.viewing.curves import EVALUATION_COLUMNS, read_run, read_table
from pixelq.viewing.figures import write_figure

if TYPE_CHECKING:
    import optuna

REPORTS = 10
"""Times a trial is compared with the others on its way."""
UNTIL_PRUNING = 0.3
"""Share of a trial's length before which none is stopped."""
STARTUP_TRIALS = 4
"""Trials that must have ended before one is stopped for being below their median."""
BEST_SHOWN = 10
INCOMPLETE = "killed before its values were chosen"
"""Attribute of a trial that never began, and does not count."""
DATABASE = "study.db"


@dataclass(frozen=True)
class Plan:
    """What a sweep does."""

    base: Config
    train: tuple[str, ...]
    """Arguments of `pixelq train` that make `base`."""
    over: tuple[str, ...]
    """Ranges as a person wrote them."""
    trials: int
    objective: str
    """`games`: the mean of the last 100 training games; `evaluation`: the last evaluation's."""
    sampler_seed: int
    at_once: int = 0


def start_sweep(plan: Plan, run_dir: Path | None = None) -> int:
    """Make the folder and all trials; the exit code is 0, 1 if no trial came to a value, or 128 + a signal.

    Raises:
        UserError: something about the plan or the folder; nothing has been written then.
    """
    optuna_module()
    validate(plan.base)
    read_ranges(plan.over, plan.base)
    if plan.trials < 1:
        raise UserError(f"--trials {plan.trials} is out of range: it must be at least 1")
    if plan.objective == "evaluation" and not plan.base.eval_every:
        raise UserError("--objective evaluation needs evaluations; give --eval-every N, or take --objective games")
    folder = new_folder(run_dir, f"{plain_name(plan.base.game)}-{plan.base.recipe}-sweep")
    with SeriesFolder(folder) as series:
        series.write(
            "sweep", {"base": plan.base}, train=list(plan.train), over=list(plan.over), trials=plan.trials,
            objective=plan.objective, sampler_seed=plan.sampler_seed, at_once=plan.at_once,
        )  # fmt: skip
        return _run(folder, plan)


def resume_sweep(folder: Path) -> int:
    """Go on with the trials that are at work or not yet begun."""
    with SeriesFolder(folder):
        return _run(folder, read_plan(folder))


def read_plan(folder: Path) -> Plan:
    """The plan of a sweep's folder.

    Raises:
        UserError: the folder is none of a sweep, or damaged.
    """
    values = read_series(folder)
    base = values["configs"].get("base")
    if values["kind"] != "sweep" or base is None:
        raise UserError(f"{folder}: no sweep; `{command_line('resume', folder)}` goes on with what it is")
    train, over = (tuple(map(str, field(values, name, list, folder))) for name in ("train", "over"))
    names = ("trials", "sampler_seed", "at_once")
    trials, sampler_seed, at_once = (field(values, name, int, folder) for name in names)
    return Plan(base, train, over, trials, field(values, "objective", str, folder), sampler_seed, at_once)


def _run(folder: Path, plan: Plan) -> int:
    ranges = read_ranges(plan.over, plan.base)
    study = _open_study(folder, plan)
    # Batch size, replay and networks may differ between trials: the largest that the ranges allow decides.
    share = room(_extreme_configs(plan.base, ranges), plan.trials, plan.base.threads, plan.at_once)
    sweep = _Sweep(folder, plan, ranges, study, share)
    signal = sweep.run()
    _report(folder, plan, ranges, study)
    if signal is not None:
        print(f"stopped; go on with: {command_line('resume', folder, game=plan.base.game)}")
        return 128 + signal
    return 0 if any(trial.state.name == "COMPLETE" for trial in study.trials) else 1


def _open_study(folder: Path, plan: Plan) -> optuna.Study:
    optuna = optuna_module()
    url = f"sqlite:///{(folder / DATABASE).absolute()}"
    steps = plan.base.steps
    try:
        storage = optuna.storages.RDBStorage(url)
        known = optuna.get_all_study_names(storage)
        # A sampler that began with the same seed again would choose the first trials' values a second time.
        begun = len(optuna.load_study(study_name="sweep", storage=storage).trials) if known else 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=plan.sampler_seed + begun, constant_liar=True)
        pruner = optuna.pruners.MedianPruner(STARTUP_TRIALS, n_warmup_steps=int(UNTIL_PRUNING * steps))
        return optuna.create_study(
            storage=storage, study_name="sweep", direction="maximize", sampler=sampler, pruner=pruner,
            load_if_exists=True,
        )  # fmt: skip
    except Exception as error:  # of SQLAlchemy and SQLite, a class for each cause
        line = " ".join(str(error).split())[:200]
        raise UserError(f"{folder / DATABASE}: Optuna cannot open it ({line}); restore it or begin anew") from None


class _Sweep:
    """Trials at work: asks Optuna for values, tells it scores, stops the hopeless."""

    def __init__(self, folder: Path, plan: Plan, ranges: Mapping[str, Range], study: optuna.Study, share: Room) -> None:
        self._optuna = optuna_module()
        self._folder, self._plan, self._ranges, self._study, self._share = folder, plan, ranges, study, share
        self._trials: dict[str, optuna.Trial] = {}
        """Those at work, by their job's name."""
        self._reported: dict[str, int] = {}
        self._pruned: set[str] = set()

    def run(self) -> int | None:
        """Make all trials; return the signal that stopped them, or None."""
        stopping = False

        def request_stop() -> None:
            nonlocal stopping
            stopping = True

        places = [Job(f"trial {n}", self._path(n), self._plan.base.steps) for n in range(self._plan.trials)]
        progress = SeriesProgress(places)
        side_by_side = SideBySide(self._folder / "logs", progress.say)
        progress.say(
            f"{self._plan.trials} trials in {self._folder}, {self._share.at_once} at once, {self._share.threads} "
            f"{'thread' if self._share.threads == 1 else 'threads'} each"
        )
        with stopped_by_signals(request_stop) as received:
            try:
                self._go_on_with_old_ones(side_by_side, progress.say)
                while not stopping:
                    while len(side_by_side.jobs) < self._share.at_once and self._left() > 0:
                        self._begin_one(side_by_side, progress.say)
                    if not side_by_side.jobs and self._left() <= 0:
                        break
                    for job in side_by_side.jobs:
                        self._look_at(job, side_by_side)
                    for outcome in side_by_side.poll():
                        self._ended(outcome, side_by_side, progress.say)
                    done = self._study.get_trials(deepcopy=False)
                    over = [t for t in done if t.state.is_finished() and INCOMPLETE not in t.user_attrs]
                    progress.look(side_by_side.jobs, [Outcome(places[0], "done")] * len(over))
                    time.sleep(POLL_SECONDS)
                for outcome in side_by_side.stop_all():
                    if outcome.end != "stopped" or outcome.job.name in self._pruned:
                        self._ended(outcome, side_by_side, progress.say)
            except BaseException:
                for job in side_by_side.jobs:
                    side_by_side.stop(job)
                side_by_side.kill_all()
                raise
            finally:
                progress.close()
        return received[0] if received else None

    def _path(self, number: int) -> Path:
        return self._folder / f"trial-{number}"

    def _left(self) -> int:
        """How many trials are yet to begin; one that failed counts as made, or its values would fail for ever."""
        trials = self._study.get_trials(deepcopy=False)
        return self._plan.trials - sum(INCOMPLETE not in trial.user_attrs for trial in trials)

    def _go_on_with_old_ones(self, side_by_side: SideBySide, tell: Callable[[str], None]) -> None:
        states = (self._optuna.trial.TrialState.RUNNING,)
        for frozen in self._study.get_trials(deepcopy=False, states=states):
            trial = self._optuna.Trial(self._study, frozen._trial_id)
            if set(self._ranges) - set(frozen.params):
                trial.set_user_attr(INCOMPLETE, True)
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._start(trial, side_by_side, tell)

    def _begin_one(self, side_by_side: SideBySide, tell: Callable[[str], None]) -> None:
        trial = self._study.ask()
        for name, one in self._ranges.items():
            if isinstance(one, Choices):
                trial.suggest_categorical(name, one.values)
            elif one.whole:
                trial.suggest_int(name, int(one.low), int(one.high), log=one.log)
            else:
                trial.suggest_float(name, one.low, one.high, log=one.log)
        self._start(trial, side_by_side, tell)

    def _start(self, trial: optuna.Trial, side_by_side: SideBySide, tell: Callable[[str], None]) -> None:
        name = f"trial {trial.number}"
        try:
            job = prepared(name, applied(self._plan.base, dict(trial.params)), self._path(trial.number), self._share)
        except UserError as error:
            tell(f"{name} failed: {error} ({_words(trial.params)})")
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            return
        self._trials[name] = trial
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self._reported[name] = max(known, default=0)
        if is_finished(job.folder):
            self._ended(Outcome(job, "done"), side_by_side, tell)
        else:
            side_by_side.start(job)

    def _look_at(self, job: Job, side_by_side: SideBySide) -> None:
        """Tell Optuna the scores at the agent steps that a run has passed; stop it if it is below the others."""
        trial = self._trials[job.name]
        passed = standing(job.folder).agent_steps
        if self._plan.objective == "evaluation":
            passed -= 1  # an evaluation is played after the row of its agent step has been written
        for step in report_steps(job.steps):
            if self._reported[job.name] < step <= passed:
                self._reported[job.name] = step
                score = self._score_at(job.folder, step)
                if math.isnan(score):
                    continue
                trial.report(score, step)
                if job.name not in self._pruned and step < job.steps and trial.should_prune():
                    self._pruned.add(job.name)
                    side_by_side.stop(job)

    def _ended(self, outcome: Outcome, side_by_side: SideBySide, tell: Callable[[str], None]) -> None:
        name, state = outcome.job.name, self._optuna.trial.TrialState
        trial = self._trials[name]
        if outcome.end == "done":
            try:
                value = self._value(outcome.job.folder)
                no_game = "no game ended" if self._plan.objective == "games" else "there was no evaluation"
                why = f"{no_game}; train longer with --steps"
            except UserError as error:
                value, why = math.nan, str(error)
            if math.isnan(value):
                tell(f"{name} failed: {why}")
                self._study.tell(trial, state=state.FAIL)
            else:
                self._study.tell(trial, value)
                tell(f"{name}: {points(value)} ({_words(trial.params)})")
        elif name in self._pruned:
            self._study.tell(trial, state=state.PRUNED)
            at = standing(outcome.job.folder).agent_steps
            tell(f"{name} stopped at agent step {at:,}, below the median of the others ({_words(trial.params)})")
        elif outcome.end == "failed":
            self._study.tell(trial, state=state.FAIL)
            tell(f"{name} failed: {outcome.message}; its output is in {side_by_side.log(outcome.job)}")
        else:
            return  # somebody stopped it alone: it goes on when the sweep is resumed
        del self._trials[name]

    def _score_at(self, folder: Path, step: int) -> float:
        """The objective at an agent step, in points; NaN before there is one. What is damaged is told at the end."""
        try:
            if self._plan.objective == "games":
                return score_at(folder, step)
            evaluations = read_table(folder / "evaluations.csv", EVALUATION_COLUMNS)
        except UserError:
            return math.nan
        means = evaluations["mean"][evaluations["agent_steps"] <= step]
        return float(means[-1]) if len(means) else math.nan

    def _value(self, folder: Path) -> float:
        curves = read_run(folder)
        if self._plan.objective == "games":
            return final_score(curves)
        means = curves.evaluations["mean"]
        return float(means[-1]) if len(means) else math.nan


def report_steps(steps: int) -> list[int]:
    """Agent steps at which trials are compared: the same in all."""
    return [steps * i // REPORTS for i in range(1, REPORTS + 1)]


def _extreme_configs(base: Config, ranges: Mapping[str, Range]) -> list[Config]:
    """The base with each end of each range, one at a time: what needs most memory is most likely among them."""
    configs = [base]
    for name, one in ranges.items():
        values: Sequence[Any] = one.values if isinstance(one, Choices) else (one.low, one.high)
        configs += [applied(base, {name: value}) for value in values]
    return configs


def _words(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value_text(value)}" for name, value in params.items())


def _value_text(value: Any) -> str:
    """A value as a command line has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def best_command(plan: Plan, params: Mapping[str, Any]) -> str:
    """The command line that trains with a trial's values."""
    words = []
    for name, value in params.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [flag] if value else ([] if name in SHORTHANDS else [f"--no-{flag[2:]}"])
        else:
            words += [flag, repr(value) if isinstance(value, float) else str(value)]
    return command_line("train", *plan.train, *words, game=plan.base.game)


def _report(folder: Path, plan: Plan, ranges: Mapping[str, Range], study: optuna.Study) -> None:
    trials = study.get_trials(deepcopy=False)
    whole = sorted((t for t in trials if t.state.name == "COMPLETE"), key=lambda t: -(t.value or 0.0))
    counts = {name: sum(t.state.name == name for t in trials) for name in ("COMPLETE", "PRUNED", "RUNNING")}
    failed = sum(t.state.name == "FAIL" and INCOMPLETE not in t.user_attrs for t in trials)
    what = "mean of the last 100 games" if plan.objective == "games" else "last evaluation"
    table = Table(title=f"{plan.base.game} {escape(plan.base.recipe)}: the best trials")
    for name in ("trial", what, *ranges, "best evaluation"):
        table.add_column(name, justify="right")
    for trial in whole[:BEST_SHOWN]:
        try:
            evaluation = best_evaluation(read_run(folder / f"trial-{trial.number}"))
        except UserError:  # the run's folder was taken away or damaged: the study has what it needs
            evaluation = math.nan
        values = [_value_text(trial.params[name]) for name in ranges]
        cells = (str(trial.number), points(trial.value or 0.0), *values, points(evaluation))
        table.add_row(*cells)
    table.caption = (
        f"{counts['COMPLETE']} whole, {counts['PRUNED']} stopped early, {failed} failed, {counts['RUNNING']} at work"
    )
    (Console() if sys.stdout.isatty() else Console(width=130)).print(table)
    importances = importance(study)
    figures = [(draw_history(trials, what), "history"), (draw_importance(importances), "importance")]
    for figure, name in figures:
        for path in write_figure(figure, folder / name):
            print(path)
    if whole:
        print(f"train with the best values: {best_command(plan, whole[0].params)}")
