"""`pixelq verify RUN`: check a run's files and print a digest of each part."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from pixelq.cli.arguments import parse
from pixelq.command_lines import command_line
from pixelq.errors import UserError
from pixelq.named_objects import session_only
from pixelq.variants import KINDS

if TYPE_CHECKING:
    from pixelq.checkpoints.reader import LoadedCheckpoint


@dataclass(frozen=True)
class Args:
    """Check every file of a run: checkpoints by their digests, config.toml and the CSV files by the newest checkpoint.

    Exit code 1 if one is damaged; 2 if config.toml cannot be checked, for a variant of your own is not imported.

    Two runs that did the same have the same digests, even if they were interrupted or took different times.
    """

    run: Positional[Path]
    """Run folder."""
    json: bool = False
    """Print JSON: checkpoints, csv and policies (part -> digest), what is damaged, and what was not checked."""


@dataclass
class Report:
    """What was found."""

    run: str
    checkpoints: dict[str, dict[str, str]] = field(default_factory=dict)
    csv: dict[str, str] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)

    @contextmanager
    def noting_damage(self) -> Iterator[None]:
        """Note the damage that a check finds, and continue."""
        try:
            yield
        except UserError as error:
            self.damaged.append(str(error))


def run(argv: list[str]) -> int:
    """Verify and report."""
    args = parse(Args, argv, "verify")
    if not (args.run / "config.toml").is_file() and not (args.run / "checkpoints").is_dir():
        raise UserError(f"{args.run}: not a run folder (it has no config.toml)")
    report = verify(args.run)
    if args.json:
        print(json.dumps(asdict(report), indent=1))
    else:
        _print(report)
    return 1 if report.damaged else 2 if report.not_checked else 0


def verify(folder: Path) -> Report:
    """Check configuration, checkpoints, CSV files and policies of a run. Changes nothing."""
    from pixelq.checkpoints.digests import csv_digest, policy_digest
    from pixelq.checkpoints.kept_policies import kept_policies
    from pixelq.checkpoints.policy_file import FILE
    from pixelq.checkpoints.store import CheckpointStore
    from pixelq.reports.tracking import COLUMNS, check_csv_unchanged
    from pixelq.runs.session import run_configuration

    report = Report(str(folder))
    newest: LoadedCheckpoint | None = None
    for path in CheckpointStore(folder / "checkpoints").paths():
        with report.noting_damage():
            newest = _verify_checkpoint(report, path) or newest
    if not report.checkpoints and not report.damaged:
        raise UserError(f"{folder}: no checkpoint yet, so there is nothing to verify; wait or train longer")
    if missing := _missing_variants(newest):
        line = command_line("verify", folder).replace("pixelq", "pixelq --import MODULE", 1)
        for kind, name in missing:
            what_to_do = f"name the module that registers it: `{line}`"
            if ":" in name and session_only(name):
                what_to_do = "it was handed over in Python, and no file brings it back"
            report.not_checked.append(f"{folder / 'config.toml'}: {kind} {name!r} is not known here; {what_to_do}")
    else:
        with report.noting_damage():
            run_configuration(folder / "config.toml", newest)
    for name in COLUMNS:
        with report.noting_damage():
            if newest is not None:
                check_csv_unchanged(folder, newest.state.get("tracker", {}), name)
            report.csv[name] = csv_digest(folder / name)
    for name in ("best", "final"):
        if (folder / name / FILE).exists():
            with report.noting_damage():
                report.policies[name] = policy_digest(folder / name / FILE)
    for steps, file in kept_policies(folder).items():
        with report.noting_damage():
            report.policies[f"at {steps:,}"] = policy_digest(file)
    return report


def _verify_checkpoint(report: Report, path: Path) -> LoadedCheckpoint | None:
    from pixelq.checkpoints.digests import checkpoint_digests
    from pixelq.checkpoints.reader import read_checkpoint

    try:
        checkpoint = read_checkpoint(path)
        report.checkpoints[path.name] = checkpoint_digests(checkpoint)
    except UserError:
        if path.exists():  # if not, the run, which is still training, has just replaced it by a newer one
            raise
        return None
    return dataclasses.replace(checkpoint, replay=None)  # it may be large, and the next checkpoint is read after it


def _missing_variants(checkpoint: LoadedCheckpoint | None) -> list[tuple[str, str]]:
    """The variants that a checkpoint was made with and that are not known in this process: kinds and names."""
    made_with = checkpoint.state.get("config") if checkpoint is not None else None
    if not isinstance(made_with, dict):
        return []
    chosen = ((kind, made_with.get(kind.name)) for kind in KINDS.values())
    return [(kind.name, name) for kind, name in chosen if isinstance(name, str) and not kind.knows(name)]


def _print(report: Report) -> None:
    parts = {**report.checkpoints, "CSV files, without timings": report.csv, "policies": report.policies}
    for name, digests in parts.items():
        print(name)
        for part, digest in digests.items():
            print(f"  {part:<16} {digest}")
    for damage in report.damaged:
        print(f"damaged: {damage}")
    for part in report.not_checked:
        print(f"not checked: {part}")
    whole = "whole, as far as it was checked" if report.not_checked else "whole"
    print(f"{report.run}: " + (f"{len(report.damaged)} damaged" if report.damaged else whole))
