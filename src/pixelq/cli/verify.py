"""`pixelq verify RUN`: check a run's checkpoints and print a digest of each part."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pixelq.cli.arguments import parse
from pixelq.errors import UserError


@dataclass(frozen=True)
class Args:
    """Hold every file of a run's checkpoints to its digest. Exit code 1 if one is damaged."""

    run: Positional[Path]
    """Run folder."""
    json: bool = False
    """Print JSON: checkpoint -> part -> digest."""


def run(argv: list[str]) -> int:
    """Verify every checkpoint of the run."""
    args = parse(Args, argv, "verify")
    from pixelq.config import read_config
    from pixelq.training.checkpoint import CheckpointStore, verify

    if not (args.run / "config.toml").is_file():
        raise UserError(f"{args.run}: not a run folder (it has no config.toml)")
    read_config(args.run / "config.toml")
    paths = CheckpointStore(args.run / "checkpoints").paths()
    if not paths:
        raise UserError(f"{args.run}: no checkpoint yet, so there is nothing to verify")
    digests: dict[str, dict[str, str]] = {}
    damaged = 0
    for path in paths:
        try:
            digests[path.name] = verify(path)
        except UserError as error:
            damaged += 1
            digests[path.name] = {"damaged": str(error)}
    if args.json:
        print(json.dumps(digests, indent=1))
    else:
        for name, parts in digests.items():
            print(name)
            for part, digest in parts.items():
                print(f"  {part:<48} {digest}")
    return 1 if damaged else 0
