"""The command line: one module per command, each with `run(argv) -> exit code`."""

from __future__ import annotations

import importlib
import sys

from pixelq.errors import UserError

COMMANDS = {
    "train": "train an agent: pixelq train pong",
    "resume": "continue a run from its last checkpoint",
    "eval": "play whole test games with a trained policy",
    "record": "make a video of a game with the Q-values beside it",
    "plot": "draw the curves of one or more runs",
    "compare": "put runs beside published curves and scores",
    "list": "list games or recipes",
    "doctor": "check this machine: device, memory, disk, ROMs",
    "verify": "check a run's checkpoints and print a digest of each part",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on standard error and exit code 2."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(argv)
    except UserError as error:
        print(f"pixelq: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0  # the reader of a pipe (head, less) went away


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0
    if argv[0] == "--version":
        from importlib.metadata import version

        print(f"pixelq {version('pixelq')}")
        return 0
    command = argv[0]
    if command not in COMMANDS:
        raise UserError(f"unknown command {command!r}; choose one of {', '.join(COMMANDS)} (pixelq --help)")
    module = importlib.import_module(f"pixelq.cli.{command}")
    code: int = module.run(argv[1:])
    return code


def _help() -> str:
    rows = "\n".join(f"  {name:<8} {text}" for name, text in COMMANDS.items())
    return f"pixelq: deep Q-learning from pixels\n\nusage: pixelq COMMAND ...\n\n{rows}\n\npixelq COMMAND --help says more."
