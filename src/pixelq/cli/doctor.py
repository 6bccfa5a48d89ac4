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
    machine = [_python(), _torch(), *_device(config), *_compiler(config), _cores(), _memory(config), _disk(config)]
    return [*machine, *_system(), *_roms(), *_emulator(), *_backend(config)]


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
    from pixelq.machine.device import choose_device, has_fast_bf16

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


def _compiler(config: Config) -> list[Finding]:
    from pixelq.machine.device import check_compiler, choose_device

    try:
        if config.compile and choose_device(config.device)[0].type == "cpu":
            check_compiler()
    except UserError as error:
        return [Finding("compiler", "missing", str(error))]
    return []


def _cores() -> Finding:
    from pixelq.machine.cores import available_cores, cpu_quota

    mine, quota = available_cores(), cpu_quota()
    limit = "" if quota is None else f"; its container may use the time of {quota:g}"
    if mine == 1:
        return Finding("cores", "note", f"1; emulators and updates take turns on it{limit}")
    return Finding("cores", "ok", f"{mine} for this process, {os.cpu_count()} in the machine{limit}")


def _memory(config: Config) -> Finding:
    from pixelq.machine.memory import available_memory, memory_needed

    needed, available = memory_needed(config), available_memory()
    needs = f"recipe {config.recipe} needs about {_gb(needed)}"
    if available is None:
        unknown = "unknown how much is free on this system, so no run can be refused or stopped before it ends"
        return Finding("memory", "note", f"{unknown}; {needs}")
    if needed <= available:
        return Finding("memory", "ok", f"{_gb(available)} free; {needs}")
    fix = "close other programs, or use fewer transitions (--replay-capacity)"
    return Finding("memory", "missing", f"{_gb(available)} free, but {needs}; {fix}")


def _disk(config: Config) -> Finding:
    from pixelq.machine.memory import disk_needed, free_disk, nearest_folder

    folder = nearest_folder(Path("runs"))
    needed, free = disk_needed(config), free_disk(folder)
    needs = f"recipe {config.recipe} writes about {_gb(needed)}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("disk", "missing", f"{folder} cannot be written; go to another folder or use --run-dir")
    if needed > free:
        return Finding("disk", "missing", f"{_gb(free)} free in {folder}, but {needs}; make room or use --run-dir")
    return Finding("disk", "ok", f"{_gb(free)} free in {folder}; {needs}")


def _system() -> list[Finding]:
    """What this operating system cannot do and others can, a note each; Windows lacks all of it."""
    from pixelq.machine.memory import nearest_folder
    from pixelq.runs.folder_lock import locked_by
    from pixelq.runs.signals import missing_signals

    notes = []
    lock = locked_by()
    if lock == "nothing":
        detail = "none: this system locks no files; start no second training or resume in the folder of a run"
        notes.append(Finding("lock", "note", detail))
    elif lock == "file":
        detail = "on run.lock alone, not on the run's folder: do not delete that file while it trains"
        notes.append(Finding("lock", "note", detail))
    if missing := missing_signals():
        detail = (
            f"no {', '.join(missing)}: a closed window, a batch system or a process killer ends a run without a last "
            "checkpoint (resume goes on from the one before); Ctrl-C stops it with one"
        )
        notes.append(Finding("signals", "note", detail))
    folder = nearest_folder(Path("runs"))
    if not _flushes(folder):
        detail = "folders cannot be flushed to the disk: a power failure may cost the newest checkpoint, not both"
        notes.append(Finding("flush", "note", detail))
    return notes


def _flushes(folder: Path) -> bool:
    """Whether the system makes sure, when it is asked to, that a folder's new names are on the disk."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return not folder.is_dir() or not os.access(folder, os.R_OK)  # one that may not be read is no system's limit
    try:
        os.fsync(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _emulator() -> list[Finding]:
    """Nothing if all is well: the ROMs alone play no game."""
    try:
        import ale_py
        import ale_py.vector_env

        if hasattr(ale_py, "ALEVectorInterface"):
            return []
        error: Exception | str = "this build has no vector environment"
    except (ImportError, OSError) as failed:
        error = failed
    fix = "fix it with: python -m pip install --force-reinstall ale-py; games of Gymnasium can be learned without it"
    return [Finding("emulator", "missing", f"ale-py cannot play Atari games ({error}); {fix}")]


def _backend(config: Config) -> list[Finding]:
    from importlib.util import find_spec

    if config.backend != "envpool" or find_spec("envpool"):
        return []
    detail = "the recipe's backend envpool is not installed (there is none for Windows); use --backend gymnasium"
    return [Finding("backend", "missing", detail)]


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
