"""Weights & Biases, an optional package: online, or offline into the run's folder."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import secrets
from pathlib import Path
from typing import Any, Literal

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.files.atomic import write_bytes

ID = "wandb-id"
"""File in the run's folder."""


def check_wandb(config: Config) -> None:
    """Check that the package is installed if the configuration asks for it.

    Raises:
        UserError: it is not.
    """
    if config.track != "none" and importlib.util.find_spec("wandb") is None:
        raise UserError(f"track = {config.track} needs Weights & Biases: python -m pip install wandb")


def open_wandb(config: Config, folder: Path) -> Any | None:
    """Begin or continue the Weights & Biases run of a run folder; None if the configuration does not ask for it.

    Raises:
        UserError: it could not be started.
    """
    if config.track == "none":
        return None
    import wandb

    mode: Literal["online", "offline"] = "offline" if config.track == "wandb-offline" else "online"
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        run = wandb.init(
            project="pixelq",
            name=folder.name,
            id=_own_id(folder),
            resume="allow",
            dir=str(folder),
            mode=mode,
            config=dataclasses.asdict(config),
        )
        # Sessions of one run, also offline ones that are synchronised later, are one curve over agent steps.
        run.define_metric("*", step_metric="agent_steps")
        return run
    except (wandb.Error, OSError) as error:
        raise UserError(
            f"track = {config.track}: Weights & Biases could not start ({error}); try wandb-offline"
        ) from None


def _own_id(folder: Path) -> str:
    """The id of this run folder at Weights & Biases: made once, kept in the folder, whatever that is called."""
    file = folder / ID
    if file.is_file():
        kept = file.read_text(encoding="ascii", errors="replace").strip()
        if re.fullmatch(r"[0-9a-f]{16}", kept):
            return kept
    made = secrets.token_hex(8)
    write_bytes(file, made.encode())
    return made
