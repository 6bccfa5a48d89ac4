"""`pixelq doctor`: what this machine has, compared with what a recipe needs."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from pixelq.cli.arguments import parse
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.validation import validate

MOST_ROMS_NAMED = 10
OLDEST_PYTHON = (3, 11)
OLDEST_TORCH, TOO_NEW_TORCH = (2, 11), (2, 14)  # as in pyproject.toml


@dataclass(frozen=True)
class Args:
    """Check Python, torch, device, cores, memory, disk and every ROM. Exit code 1 if something is missing."""

    recipe: str = "default"
    """Recipe whose needs are checked: a name (pixelq list recipes) or a TOML file."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class Finding:
    """The result of one check. note: works but could be better. missing: stops a run; `detail` says how to fix it."""

    name: str
    status: Literal["ok", "note", "missing"]
    detail: str


def run(argv: list[str]) -> int:
    """Check the machine; the exit code is 0 if all is well, 1 if something is missing.

    Raises:
        UserError: no such recipe, or it is not valid.
    """
    args = parse(Args, argv, "doctor")
    config = read_recipe(args.recipe)
    validate(config)
    findings = inspect_machine(config)
    well = all(finding.status != "missing" for finding in findings)
    if args.json:
        report = {"ok": well, "recipe": config.recipe, "findings": [dataclasses.asdict(f) for f in findings]}
        print(json.dumps(report, indent=1))
    else:
        _print(findings)
    return 0 if well else 1


def inspect_machine(config: Config) -> list[Finding]:
    """Check everything that a run of this recipe needs, in the order in which it is needed."""
    return [_python(), _torch(), *_device(config), _cores(), _memory(config), _disk(config), *_roms()]


def _print(findings: list[Finding]) -> None:
    colours = {"ok": "green", "note": "yellow", "missing": "bold red"}
    console = Console(highlight=False)
    for finding in findings:
        line = Text.assemble((f"{finding.status:<8}", colours[finding.status]), f"{finding.name:<8}{finding.detail}")
        console.print(line, soft_wrap=True)


def _python() -> Finding:
    good = sys.version_info >= OLDEST_PYTHON
    fix = "" if good else "; pixelq needs 3.11 or newer"
    return Finding("python", "ok" if good else "missing", f"{platform.python_version()} on {platform.platform()}{fix}")


def _torch() -> Finding:
    import torch

    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    if OLDEST_TORCH <= (major, minor) < TOO_NEW_TORCH:
        return Finding("torch", "ok", torch.__version__)
    fix = "fix it with: python -m pip install 'torch>=2.11,<2.14'"
    return Finding("torch", "missing", f"{torch.__version__} is not a version pixelq is tested with; {fix}")


def _device(config: Config) -> list[Finding]:
    from pixelq.device import choose_device, has_fast_bf16

    try:
        device, reason = choose_device(config.device)
    except UserError as error:
        return [Finding("device", "missing", str(error))]
    found = Finding("device", "ok", reason)
    if has_fast_bf16(device):
        return [found, Finding("bf16", "ok", "in hardware")]
    if config.precision == "bf16":
        detail = f"not in hardware, and recipe {config.recipe} computes in it: --precision float32 may be faster"
        return [found, Finding("bf16", "note", detail)]
    return [found, Finding("bf16", "ok", f"not in hardware; recipe {config.recipe} does not use it")]


def _cores() -> Finding:
    from pixelq.device import available_cores

    mine = available_cores()
    if mine == 1:
        return Finding("cores", "note", "1; emulators and updates take turns on it")
    return Finding("cores", "ok", f"{mine} for this process, {os.cpu_count()} in the machine")


def _memory(config: Config) -> Finding:
    from pixelq.memory import available_memory, memory_needed

    needed, available = memory_needed(config), available_memory()
    needs = f"recipe {config.recipe} needs about {_gb(needed)}"
    if available is None:
        return Finding("memory", "note", f"unknown how much is free on this system; {needs}")
    if needed <= available:
        return Finding("memory", "ok", f"{_gb(available)} free; {needs}")
    fix = "close other programs, or use fewer transitions (--replay-capacity)"
    return Finding("memory", "missing", f"{_gb(available)} free, but {needs}; {fix}")


def _disk(config: Config) -> Finding:
    from pixelq.memory import disk_needed, free_disk, nearest_folder

    folder = nearest_folder(Path("runs"))
    needed, free = disk_needed(config), free_disk(folder)
    needs = f"recipe {config.recipe} writes about {_gb(needed)}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("disk", "missing", f"{folder} cannot be written; go to another folder or use --run-dir")
    if needed > free:
        return Finding("disk", "missing", f"{_gb(free)} free in {folder}, but {needs}; make room or use --run-dir")
    return Finding("disk", "ok", f"{_gb(free)} free in {folder}; {needs}")


def _roms() -> list[Finding]:
    from pixelq.envs import list_games, rom_file

    try:
        games = list_games()
    except (ImportError, OSError, ValueError) as error:
        fix = "fix it with: python -m pip install --force-reinstall ale-py"
        return [Finding("ROMs", "missing", f"ale-py does not load ({error}); {fix}")]
    bad = []
    for game in games:
        try:
            # With ALE_ROMS_DIR set, ale-py prints a line for each ROM.
            with contextlib.redirect_stderr(io.StringIO()):
                rom_file(game.rom)
        except UserError as error:
            bad.append(Finding("ROM", "missing", str(error).removeprefix("ROM ")))
    if not bad:
        return [Finding("ROMs", "ok", f"all {len(games)} games, checksums verified")]
    rest = len(bad) - MOST_ROMS_NAMED
    more = [Finding("ROMs", "missing", f"and {rest} more of {len(games)}")] if rest > 0 else []
    return bad[:MOST_ROMS_NAMED] + more


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
