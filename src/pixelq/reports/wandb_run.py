"""Weights & Biases, an extra: online, or offline into the run's folder."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from pathlib import Path
from typing import Any, Literal

from pixelq.config import Config
from pixelq.errors import UserError


def refuse_missing_wandb(config: Config) -> None:
    """Look whether the package is there, if the configuration asks for it.

    Raises:
        UserError: it is not.
    """
    if config.track != "none" and importlib.util.find_spec("wandb") is None:
        raise UserError(f"track = {config.track} needs Weights & Biases: python -m pip install wandb")


def open_wandb(config: Config, folder: Path) -> Any | None:
    """Begin or continue the Weights & Biases run of a run folder; None if the configuration asks for none.

    Raises:
        UserError: it could not be reached.
    """
    if config.track == "none":
        return None
    import wandb

    mode: Literal["online", "offline"] = "offline" if config.track == "wandb-offline" else "online"
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        return wandb.init(
            project="pixelq",
            name=folder.name,
            id=folder.name,
            resume="allow",
            dir=str(folder),
            mode=mode,
            config=dataclasses.asdict(config),
        )
    except (wandb.Error, OSError) as error:
        raise UserError(
            f"track = {config.track}: Weights & Biases could not begin ({error}); try wandb-offline"
        ) from None
