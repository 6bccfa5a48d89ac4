"""An export: a folder or zip that appears when it is complete, and never in the place of something else."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pixelq.checkpoints.policy_file import config_beside, load_agent, read_facts
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.files.atomic import atomic_file, remedy, sync_file, sync_folder
from pixelq.files.plain_files import folders_for
from pixelq.policy import Agent
from pixelq.recipes.reading import write_config
from pixelq.runs.signals import terminated_as_interrupted
from pixelq.sharing.archive import write_zip
from pixelq.sharing.card import Facts, model_card
from pixelq.sharing.files import (
    CARD,
    CONFIG,
    CURVE,
    EVALUATION,
    ONNX,
    POLICY,
    TABLES,
    TORCH_EXPORT,
    TORCHSCRIPT,
    VIDEO,
    WRITTEN,
)
from pixelq.sharing.measured import Wanted, measured
from pixelq.sharing.program import Check, Program, played_states

PROGRAM_SEED = 7
"""Of the games whose states programs are held to."""


@dataclass(frozen=True)
class Choice:
    """What an export consists of, beside policy, configuration, evaluation, curve and card."""

    evaluation: Wanted = field(default_factory=Wanted)
    video_steps: int = 4_500
    """Longest video, in agent steps; 0: no video."""
    onnx: bool = False
    torch_export: bool = False
    torchscript: bool = False
    license: str | None = None
    name: str = "policy"
    """Of the model, in its card."""
    repository: str | None = None
    """Where it will be uploaded, `owner/name`."""

    @property
    def programs(self) -> bool:
        """Whether there are any."""
        return self.onnx or self.torch_export or self.torchscript


@dataclass(frozen=True)
class Made:
    """An export that was made."""

    names: list[str]
    """Of its files, in the order in which they are uploaded."""
    report: dict[str, Any]
    """The evaluation."""
    checks: list[Check]
    """Of its programs."""


def copied(file: Path, folder: Path, device: torch.device) -> Agent:
    """Copy a policy into an empty folder and load the copy: a training that goes on may replace the file at any time.

    Raises:
        UserError: the policy is damaged, or its configuration is missing.
        OSError: the folder cannot be written.
    """
    shutil.copyfile(config_beside(file), folder / CONFIG)
    shutil.copyfile(file, folder / POLICY)
    try:
        return load_agent(folder / POLICY, device)
    except UserError as error:
        raise UserError(str(error).replace(str(folder / POLICY), str(file))) from None


def fill(folder: Path, agent: Agent, run: Path, choice: Choice, *, threads: int, tell: Callable[[str], None]) -> Made:
    """Write every file of an export beside its policy.

    Args:
        folder: with the policy, as `copied` leaves it.
        agent: the policy.
        run: the folder whose CSV files and evaluation are of this policy's run.
        choice: what belongs to the export.
        threads: emulator threads; 0: one per core.
        tell: called with what is done.

    Raises:
        UserError: the game is not there, a program cannot be made, a CSV file is damaged.
        OSError: the folder cannot be written.
    """
    config = without_own_paths(agent.config)
    write_config(config, folder / CONFIG)
    checks = _write_programs(folder, agent, choice, tell) if choice.programs else []
    curve = _write_curve(folder, run)
    report = measured(agent, folder / POLICY, run, choice.evaluation, threads=threads, tell=tell)
    (folder / EVALUATION).write_text(json.dumps(report, indent=1), encoding="utf-8")
    video = bool(choice.video_steps) and _write_video(folder, agent, choice.video_steps, tell)
    names = [CARD, POLICY, CONFIG, EVALUATION]
    names += [VIDEO] * video + [CURVE] * bool(curve) + curve
    names += [name for name, made in _programs(choice) if made]
    space = agent.observation_space
    facts = Facts(
        choice.name, config, report, read_facts(folder / POLICY), names, checks, f"{space.dtype} {(*space.shape,)}",
        agent.network.num_actions, choice.license, choice.repository,
    )  # fmt: skip
    (folder / CARD).write_text(model_card(facts), encoding="utf-8")
    return Made(names, report, checks)


def is_export(folder: Path) -> bool:
    """Whether a folder is an export."""
    return all((folder / name).is_file() for name in (CARD, POLICY, CONFIG, EVALUATION))


def exported_names(folder: Path) -> list[str]:
    """The files of an export that lies in a folder; what else is there is not of it."""
    return [name for name in WRITTEN if (folder / name).is_file() and not (folder / name).is_symlink()]


def without_own_paths(config: Config) -> Config:
    """The configuration without the folders of whoever trained it: of the path of its first weights the end is left."""
    if not config.load:
        return config
    return dataclasses.replace(config, load="/".join(Path(config.load).parts[-3:]).lstrip("/"))


# --- where it goes ----------------------------------------------------------------------------------------------------


def check_free(target: Path) -> None:
    """Look whether an export can have this name, before anything expensive is done for it.

    Raises:
        UserError: something is there, or its place cannot be a folder.
    """
    try:
        taken = os.path.lexists(target)
        empty = taken and target.suffix.lower() != ".zip" and target.is_dir() and not any(target.iterdir())
    except OSError as error:
        raise UserError(f"{str(target)[:100]}: cannot be used ({error.strerror}); name another with --output") from None
    if taken and not (empty and not target.is_symlink()):
        raise UserError(f"{target}: there is something already, which is not overwritten; name another with --output")


@contextlib.contextmanager
def new_export(target: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes the folder or zip `target` if the context ends well, and nothing if not.

    Raises:
        UserError: something is there by then, or it cannot be written.
    """
    check_free(target)
    building = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with folders_for(target):
            building.mkdir()
            try:
                with terminated_as_interrupted():
                    yield building
                    _publish(building, target)
            finally:
                shutil.rmtree(building, ignore_errors=True)  # of a zip, or of what failed
    except OSError as error:
        where = target if error.filename is None or str(building) in str(error.filename) else error.filename
        advice = "shorten it" if error.errno == errno.ENAMETOOLONG else remedy(error)
        raise UserError(
            f"{_short(where)}: cannot be written ({error.strerror or error}); {advice}, or name another place with "
            "--output"
        ) from None


def _short(path: Path | str) -> str:
    text = str(path)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-30:]}"


def _publish(building: Path, target: Path) -> None:
    files = [building / name for name in exported_names(building)]
    if target.suffix.lower() == ".zip":
        check_free(target)
        with atomic_file(target) as file:
            write_zip(file, files)
        return
    for file_ in files:
        sync_file(file_)
    sync_folder(building)
    check_free(target)
    if os.name == "nt" and target.is_dir():
        target.rmdir()
    os.rename(building, target)  # onto an empty folder or nothing; of another it raises
    sync_folder(target.parent)


# --- its parts --------------------------------------------------------------------------------------------------------


def _programs(choice: Choice) -> list[tuple[str, bool]]:
    return [(ONNX, choice.onnx), (TORCH_EXPORT, choice.torch_export), (TORCHSCRIPT, choice.torchscript)]


def _write_programs(folder: Path, agent: Agent, choice: Choice, tell: Callable[[str], None]) -> list[Check]:
    from pixelq.sharing.onnx_program import write_onnx
    from pixelq.sharing.torch_program import checked, write_program

    program, states = Program(agent), played_states(agent, PROGRAM_SEED)
    checks = []
    if choice.onnx:
        facts = {"game": agent.config.game, "num_actions": agent.network.num_actions}
        checks.append(write_onnx(folder / ONNX, agent, program, states, facts))
        tell(str(checks[-1]))
    asked = (("torch.export", TORCH_EXPORT, choice.torch_export), ("TorchScript", TORCHSCRIPT, choice.torchscript))
    files = [(kind, folder / name) for kind, name, made in asked if made]
    for kind, file in files:
        write_program(kind, file, program)
    if files:
        for check in checked(files, agent, program, states):
            checks.append(check)
            tell(str(check))
    return checks


def _write_curve(folder: Path, run: Path) -> list[str]:
    """Copy a run's CSV files and draw them; the names of the copies, none if nothing was written yet."""
    from pixelq.viewing.curves import read_run
    from pixelq.viewing.plots import draw_runs
    from pixelq.viewing.run_groups import grouped

    names = []
    for name in TABLES:
        source = run / name
        if source.is_file() and not source.is_symlink():
            data = source.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]  # a run that trains may be writing its last line
            if whole.count(b"\n") > 1:
                (folder / name).write_bytes(whole)
                names.append(name)
    if not names:
        return []
    figure = draw_runs(grouped([read_run(folder)]), band="range", games=100, rows=5.0)
    with atomic_file(folder / CURVE) as file:
        figure.savefig(file, format="png", dpi=110)
    return names


def _write_video(folder: Path, agent: Agent, most_steps: int, tell: Callable[[str], None]) -> bool:
    """Record a game; whether there is a video: some games draw no pictures."""
    from pixelq.viewing.video import record_game

    try:
        recorded = record_game(agent, folder / VIDEO, seed=0, max_agent_steps=most_steps, tell=tell)
    except UserError as error:
        tell(f"no video: {error}")
        return False
    end = "" if recorded.finished else " (stopped before the game's end)"
    tell(f"video: score {recorded.score:g} in {recorded.agent_steps:,} agent steps{end}")
    return True
