"""Damage every file of a real run, in many places, and see that none of it is ever trained on.

    python benchmarks/corruption.py --places 200 --json results/reliability/corruption.json

A short run is trained. Then each file of its newest checkpoint is changed in one place after another (a flipped bit, a
changed byte), cut at each of these places, lengthened, emptied, zeroed and deleted: every time loading must name the
file, and with `--fallback` must give the checkpoint before. `config.toml`, the CSV files and the policies are treated
in the same way, and must be named by what `resume`, `verify` and `eval` hold them to. What nothing reads again
(TensorBoard's file, plots, metrics) is damaged in the end: the run, resumed, must be the same to the byte as one that
was left alone.
Exit code 1 if anything got through. About three minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pixelq.checkpoints.digests import policy_digest
from pixelq.checkpoints.manifest import read_manifest
from pixelq.checkpoints.store import CheckpointStore
from pixelq.cli import main as pixelq
from pixelq.cli.verify import verify
from pixelq.errors import UserError
from pixelq.recipes.reading import read_config
from pixelq.reports.tracking import COLUMNS, check_csv_unchanged
from pixelq.runs.session import MAY_CHANGE, run_configuration

TRAIN = (
    "train breakout --recipe nature2015 --num-envs 4 --steps 2400 --batch-size 8 --replay-start 500 "
    "--replay-capacity 2000 --target-every 400 --epsilon-start 0.5 --log-every 100 --checkpoint-every 800 "
    "--eval-every 1200 --eval-episodes 2 --max-frames-per-episode 1200 --device cpu --threads 1 --deterministic"
)
LONGER = "3200"
EDGES = (0, 1, 7, 8, 11, 12)
"""Places that are always tried, from the beginning: lengths, magic numbers, versions; and the last two."""


@dataclass
class Outcome:
    """What became of the damages to one file."""

    file: str
    bytes: int
    tried: Counter[str] = field(default_factory=Counter)
    """Kind of damage -> how often."""
    found: int = 0
    """Refused in one line that names the file; for a checkpoint's file also: the checkpoint before was given."""
    harmless: Counter[str] = field(default_factory=Counter)
    """Why nothing is lost although it was not refused -> how often."""
    missed: list[str] = field(default_factory=list)


def damages(content: bytes, places: int) -> Iterator[tuple[str, bytes]]:
    """Kind and content of each damage: at the edges and at so many places spread over the file, and of the whole."""
    length = len(content)
    chosen = {*EDGES, length - 1, length - 2, *np.linspace(0, length - 1, places).astype(int).tolist()}
    for i, place in enumerate(sorted(p for p in chosen if 0 <= p < length)):
        kind, mask = ("changed byte", 0xFF) if i % 2 else ("flipped bit", 1 << i % 8)
        yield kind, content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]
        yield "cut", content[:place]
    yield "lengthened", content + b"\0"
    if any(content):
        yield "zeroed", bytes(length)
        half = length // 2
        yield "second half zeroed", content[:half] + (bytes(length - half) if any(content[half:]) else b"")


def sweep(file: Path, places: int, check: Callable[[], str], name: str = "") -> Outcome:
    """Damage one file again and again, and restore it.

    Args:
        file: the file.
        places: how many.
        check: raises `UserError` where the damage is found; else says why it is harmless, empty if it is not.
        name: in the report.
    """
    content = file.read_bytes()
    outcome = Outcome(name or file.name, len(content))

    def judge(kind: str) -> None:
        outcome.tried[kind] += 1
        try:
            excuse = check()
        except UserError as error:
            if str(file) in str(error) and "\n" not in str(error):
                outcome.found += 1
            else:
                outcome.missed.append(f"{kind}: {error}")
            return
        if excuse:
            outcome.harmless[excuse] += 1
        else:
            outcome.missed.append(kind)

    for kind, damaged in damages(content, places):
        file.write_bytes(damaged)
        judge(kind)
    file.unlink()
    judge("deleted")
    file.write_bytes(content)
    return outcome


def checkpoint_files(checkpoints: Path) -> list[Path]:
    """Every file that the newest checkpoint consists of."""
    newest = CheckpointStore(checkpoints).paths()[-1]
    segments = [checkpoints / "replay" / segment.name for segment in read_manifest(newest).segments]
    return [*sorted(newest.iterdir()), *segments]


def loaded(checkpoints: Path) -> str:
    """Load as `resume` does; a refusal counts only if `--fallback` then gives the checkpoint before."""
    before = CheckpointStore(checkpoints).paths()[0]
    try:
        CheckpointStore(checkpoints).load()
    except UserError:
        if CheckpointStore(checkpoints).load(fallback=True).path != before:
            raise SystemExit("--fallback did not give the checkpoint before") from None
        raise
    return ""


def files_beside(run: Path) -> dict[Path, Callable[[], str]]:
    """The run's other files that are read again, each with what holds it to what it was."""
    newest = CheckpointStore(run / "checkpoints").load()
    config = read_config(run / "config.toml")

    def check_config() -> str:
        found = run_configuration(run / "config.toml", newest)
        changed = [name for name, value in vars(config).items() if getattr(found, name) != value]
        if not changed:
            return "the same values, written in another way"
        return "steps, threads or device, which a person may change" if set(changed) <= set(MAY_CHANGE) else ""

    def check_csv(name: str) -> Callable[[], str]:
        def check() -> str:
            check_csv_unchanged(run, newest.state["tracker"], name)
            return "after the checkpoint, which resuming cuts off"

        return check

    def check_policy(folder: str) -> Callable[[], str]:
        file = run / folder / "policy.safetensors"
        digest = policy_digest(file)
        return lambda: "the same weights" if policy_digest(file) == digest else ""

    checks = {run / "config.toml": check_config, **{run / name: check_csv(name) for name in COLUMNS}}
    return checks | {run / folder / "policy.safetensors": check_policy(folder) for folder in ("best", "final")}


def unread(run: Path) -> list[Path]:
    """Files that training only writes."""
    return [*(run / "tensorboard").iterdir(), *(run / "plots").iterdir(), run / "best/metrics.json"]


def resumed(run: Path) -> dict[str, Any]:
    """Train further; returns the digests of everything."""
    command("resume", str(run), "--steps", LONGER)
    report = asdict(verify(run))
    return {name: report[name] for name in ("checkpoints", "csv", "policies", "damaged")}


def command(*words: str) -> None:
    """Run pixelq in this process."""
    if pixelq(list(words)):
        raise SystemExit(f"pixelq {' '.join(words)} failed")


def show(outcomes: list[Outcome]) -> None:
    """Print a table."""
    table = Table(title="Damage to the files of a run, one place at a time")
    for heading in ("file", "bytes", "changed", "cut", "otherwise", "found and named", "harmless", "missed"):
        table.add_column(heading, justify="left" if heading == "file" else "right")
    rows = []
    for o in outcomes:
        changed, cut = o.tried["flipped bit"] + o.tried["changed byte"], o.tried["cut"]
        other, harmless = o.tried.total() - changed - cut, o.harmless.total()
        rows.append((o.bytes, changed, cut, other, o.found, harmless, len(o.missed)))
        table.add_row(o.file, *(f"{n:,}" for n in rows[-1]))
    table.add_section()
    table.add_row("all", *(f"{sum(column):,}" for column in zip(*rows, strict=True)))
    Console(width=130).print(table)


def main() -> int:
    """Train, damage, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--places", type=int, default=200, help="in each file")
    parser.add_argument("--json", type=Path, help="where the figures go")
    args = parser.parse_args()
    begun, outcomes = time.monotonic(), []
    with tempfile.TemporaryDirectory() as name:
        run, untouched = Path(name) / "run", Path(name) / "untouched"
        command(*TRAIN.split(), "--run-dir", str(run))
        shutil.copytree(run, untouched)
        checkpoints = run / "checkpoints"
        for file in checkpoint_files(checkpoints):
            outcomes.append(sweep(file, args.places, lambda: loaded(checkpoints), str(file.relative_to(checkpoints))))
        for file, check in files_beside(run).items():
            outcomes.append(sweep(file, args.places, check, str(file.relative_to(run))))
        ruined = unread(run)
        for file in ruined:
            file.write_bytes(file.read_bytes()[:-1] + b"?")
        same = resumed(run) == resumed(untouched)
        names = sorted(file.relative_to(run).parts[0] for file in ruined)
    show(outcomes)
    print(f"{', '.join(names)}: damaged, and the resumed run is {'the same to the byte' if same else 'ANOTHER ONE'}")
    if args.json:
        report = {
            "command": f"python benchmarks/corruption.py --places {args.places}",
            "run": f"pixelq {TRAIN}",
            "machine": f"{platform.platform()}, {os.cpu_count()} cores, torch {torch.__version__}",
            "seconds": round(time.monotonic() - begun),
            "files": [vars(o) for o in outcomes],
            "never read again": {"files": names, "resumed run is the same": same},
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return int(not same or any(o.missed for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
