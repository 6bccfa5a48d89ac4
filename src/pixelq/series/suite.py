"""A suite: algorithms on games with seeds, as one job that goes on after any end.

Its only state are the run folders `<algorithm>/<game>/seed-<seed>` and `series.toml`, which says what they are. The
same command on the same folder goes on. Another one may name more algorithms, games and seeds, or another length; it
trains what it names, and the tables have all that the folder holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.length import decided_by_length
from pixelq.recipes.validation import validate
from pixelq.recipes.values import FIELDS
from pixelq.series.folder import FILE, SeriesFolder, field, is_series, plain_name, read_series
from pixelq.series.progress import SeriesProgress
from pixelq.series.run_facts import is_finished, newest_checkpoint, standing, with_seed
from pixelq.series.side_by_side import Job, Outcome, prepared, room, run_all
from pixelq.series.suite_report import report_suite
from pixelq.series.suite_scores import Cell

MAY_DIFFER = ("steps", "threads", "device", "seed")
"""Fields in which a command may differ from the one that began the suite."""


@dataclass(frozen=True)
class Suite:
    """What is trained."""

    name: str
    configs: Mapping[tuple[str, str], Config]
    """(algorithm, game as a person named it) -> the configuration, with any seed; in the order of the tables."""
    seeds: Mapping[tuple[str, str], tuple[int, ...]]
    """(algorithm, game) -> those of its runs."""
    hours: float | None = None
    """Time for this call, in hours; None: to the end."""
    at_once: int = 0


def start_suite(suite: Suite, run_dir: Path | None = None) -> int:
    """Begin a suite, or go on with it where its folder is there.

    Returns:
        The exit code: 0, 1 if a run failed, or 128 + the signal that stopped it.

    Raises:
        UserError: something about the configurations or the folder; nothing has been written then.
    """
    for config in suite.configs.values():
        validate(config)
    _check_folders(suite)
    folder = run_dir or Path("runs") / _default_name(suite)
    if is_series(folder):
        before = read_suite(folder)
        _check_folders(_joined(before, suite))
        _check_begun(folder, before, suite)
    elif folder.exists() and (not folder.is_dir() or any(path.name != "run.lock" for path in folder.iterdir())):
        raise UserError(f"{folder}: already taken, and not by a suite; choose another with --run-dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); choose another with --run-dir") from None
    with SeriesFolder(folder) as series:
        whole = _joined(read_suite(folder), suite) if is_series(folder) else suite
        keys = [{"algorithm": key[0], "game": key[1], "seeds": list(whole.seeds[key])} for key in whole.configs]
        configs = {f"{i}": config for i, config in enumerate(whole.configs.values())}
        series.write(
            "suite", configs, name=whole.name, runs=keys, seeds=_all_seeds(whole), at_once=whole.at_once,
            hours=whole.hours or 0.0,
        )  # fmt: skip
        return _run(folder, suite, whole)


def resume_suite(folder: Path) -> int:
    """Go on with all that was ever named of a suite; its hours begin anew."""
    with SeriesFolder(folder):
        whole = read_suite(folder)
        return _run(folder, whole, whole)


def read_suite(folder: Path) -> Suite:
    """The suite of a folder.

    Raises:
        UserError: the folder is none of a suite, or damaged.
    """
    values = read_series(folder)
    if values["kind"] != "suite":
        line = command_line("resume", folder)
        raise UserError(f"{folder}: no suite; `{line}` goes on with what it is, --run-dir names another")
    keys, seeds = field(values, "runs", list, folder), field(values, "seeds", list, folder)
    try:
        configs = {(key["algorithm"], key["game"]): values["configs"][str(i)] for i, key in enumerate(keys)}
        seeds_of = {(key["algorithm"], key["game"]): tuple(key.get("seeds", seeds)) for key in keys}
    except (KeyError, TypeError):
        raise UserError(f"{folder / FILE}: runs and configs do not agree; restore the file") from None
    hours = float(field(values, "hours", float, folder)) or None
    return Suite(field(values, "name", str, folder), configs, seeds_of, hours, field(values, "at_once", int, folder))


def cells(folder: Path, suite: Suite) -> list[Cell]:
    """All runs of a suite, in the order in which they are begun: a seed of everything before the next seed."""
    return [
        Cell(algorithm, game, seed, run_folder(folder, algorithm, game, seed), config)
        for seed in _all_seeds(suite)
        for (algorithm, game), config in suite.configs.items()
        if seed in suite.seeds[algorithm, game]
    ]


def _all_seeds(suite: Suite) -> list[int]:
    """Every seed that a run has, in the order in which they were named."""
    return list(dict.fromkeys(seed for seeds in suite.seeds.values() for seed in seeds))


def run_folder(folder: Path, algorithm: str, game: str, seed: int) -> Path:
    """Where a run of a suite lies."""
    return folder / plain_name(algorithm) / plain_name(game) / f"seed-{seed}"


def _default_name(suite: Suite) -> str:
    algorithms = list(dict.fromkeys(algorithm for algorithm, _ in suite.configs))
    return f"suite-{plain_name(suite.name)}-{plain_name(algorithms[0])}"


def _check_folders(suite: Suite) -> None:
    places: dict[Path, tuple[str, str]] = {}
    for key in suite.configs:
        other = places.setdefault(run_folder(Path(), *key, 0), key)
        if other != key:
            raise UserError(f"{' on '.join(key)} and {' on '.join(other)} would share a folder; leave one of them out")


def _joined(before: Suite, now: Suite) -> Suite:
    """What was named before and what is named now: the runs of before are not lost from the tables."""
    configs = {**before.configs, **now.configs}
    seeds = {key: tuple(dict.fromkeys((*before.seeds.get(key, ()), *now.seeds.get(key, ())))) for key in configs}
    return dataclasses.replace(now, configs=configs, seeds=seeds)


def _check_begun(folder: Path, before: Suite, now: Suite) -> None:
    """Refuse to go on with an algorithm under another configuration than its runs were begun with, of whatever seed.

    Raises:
        UserError: the folder says otherwise.
    """
    for cell in cells(folder, _joined(before, now)):
        begun = before.configs.get((cell.algorithm, cell.game))
        if begun is None or (cell.algorithm, cell.game) not in now.configs:
            continue
        where = f"{folder}: {cell.algorithm} on {cell.game}"
        for name in FIELDS:
            was, wanted = getattr(begun, name), getattr(cell.config, name)
            if was != wanted and name not in MAY_DIFFER:
                raise UserError(
                    f"{where} was begun with {name} {was!r}, and now it is {wanted!r}; choose another folder with "
                    "--run-dir"
                )
        decided = decided_by_length(cell.config) if begun.steps != cell.config.steps else []
        if decided and standing(cell.folder).agent_steps:
            raise UserError(
                f"{where} was begun with --steps {begun.steps}, which decides {' and '.join(decided)}, and now it is "
                f"{cell.config.steps}; choose another folder with --run-dir"
            )


def _run(folder: Path, suite: Suite, whole: Suite) -> int:
    """Train `suite`, and compare all of `whole` that has begun."""
    every = cells(folder, suite)
    threads = max(config.threads for config in suite.configs.values())
    share = room(suite.configs.values(), len(every), threads, suite.at_once)
    jobs: dict[Job, Cell] = {}
    for cell in every:
        job = prepared(cell.name, with_seed(cell.config, cell.seed), cell.folder, share)
        jobs[_with_length(job, cell)] = cell
    left = [job for job, cell in jobs.items() if not is_finished(cell.folder, cell.config.steps)]
    progress = SeriesProgress(list(jobs))
    try:
        limit = "" if suite.hours is None else f", for {suite.hours:g} hours"
        progress.say(
            f"{len(left)} of {len(jobs)} runs to train in {folder}, {share.at_once} at once, {share.threads} "
            f"{'thread' if share.threads == 1 else 'threads'} each{limit}"
        )
        done = [Outcome(job, "done") for job in jobs if job not in left]
        outcomes, signal = run_all(
            left, share, folder / "logs", seconds=None if suite.hours is None else 3600 * suite.hours,
            tell=progress.say, look=lambda now, ended: progress.look(now, [*done, *ended]),
        )  # fmt: skip
    finally:
        progress.close()
    report_suite(folder, suite.name, [c for c in cells(folder, whole) if (c.folder / "config.toml").is_file()])
    line = command_line("resume", folder)
    if signal is not None:
        print(f"stopped; go on with: {line}")
        return 128 + signal
    if any(outcome.end == "failed" for outcome in outcomes):
        print(f"try the others again with: {line}")
        return 1
    if any(outcome.end == "stopped" for outcome in outcomes):
        print(f"the time is over; go on with: {line}")
    return 0


def _with_length(job: Job, cell: Cell) -> Job:
    """The job with the length that is wanted now, where the run was begun with a shorter one."""
    reached = newest_checkpoint(cell.folder)
    if reached is None or reached < cell.config.steps:
        return dataclasses.replace(job, options=(*job.options, "--steps", str(cell.config.steps)))
    return job


def named_suites() -> dict[str, Sequence[str]]:
    """The suites that have a name: name -> games."""
    return {"atari-5": ATARI_5, "minatar": MINATAR}


ATARI_5 = ("battle_zone", "double_dunk", "name_this_game", "phoenix", "qbert")
"""Aitchison et al. 2022 (arXiv 2210.02019): see `pixelq.series.atari5`."""
MINATAR = tuple(f"MinAtar/{game}-v0" for game in ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders"))
"""With all six actions (v1 has each game's own), as "Revisiting Rainbow" (arXiv 2011.14826) plays them."""
