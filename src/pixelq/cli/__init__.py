"""The command line: one module per command, each with `run(argv) -> exit code`."""

from __future__ import annotations

import importlib
import os
import sys

from pixelq.errors import RunError, UserError

COMMANDS = {
    "train": "train an agent: pixelq train pong",
    "resume": "continue a run from its last checkpoint",
    "eval": "play whole test games with a trained policy",
    "record": "make a video of a game with the Q-values beside it",
    "tabular": "learn a small game by a table and compare it with the exact optimum",
    "plot": "draw the curves of one or more runs",
    "compare": "put runs beside published curves and scores",
    "list": "list games or recipes",
    "doctor": "check this machine: device, memory, disk, ROMs",
    "bench": "measure how fast this machine plays and learns, and what bounds it",
    "verify": "check a run's files and print a digest of each part",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on standard error and exit code 2, a failure one line and 1."""
    argv = sys.argv[1:] if argv is None else argv
    _let_idle_threads_sleep()
    try:
        return _dispatch(argv)
    except UserError as error:
        return _say(str(error), 2)
    except RunError as error:
        return _say(str(error), 1)
    except MemoryError:
        return _say("out of memory; close other programs, or use a smaller --replay-capacity or --batch-size", 1)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except BrokenPipeError:
        return 0  # the reader of a pipe (head, less) went away


def _let_idle_threads_sleep() -> None:
    """Have an OpenMP thread without work sleep after a fraction of a millisecond, for this process and its children.

    GNU's OpenMP, which PyTorch for Linux brings, keeps it spinning for some milliseconds, on a core that the emulators
    could use: on two cores their step took 1.37 times as long after a matrix product as without one, and 1.03 times
    with this setting; the parallel loop made 1.07 times as many agent steps (runs stopped and continued in turns).
    It is read when torch is loaded, so it comes first, and it yields to whoever has set something in the environment.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def _say(message: str, code: int) -> int:
    """Print one line, whatever is in the message: a name from a stranger's file may hold newlines or terminal codes."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    print(f"pixelq: {line}", file=sys.stderr)
    return code


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0
    if argv[0] == "--version":
        from importlib.metadata import version

        print(f"pixelq {version('pixelq')}")
        return 0
    while argv and argv[0] == "--import":
        from pixelq.envs.gymnasium_games import import_typed

        if len(argv) < 3:
            raise UserError("--import needs a module and a command: pixelq --import my_games eval runs/...")
        import_typed(argv[1])
        argv = argv[2:]
    command = argv[0]
    if command not in COMMANDS:
        raise UserError(f"unknown command {command!r}; choose one of {', '.join(COMMANDS)} (pixelq --help)")
    module = importlib.import_module(f"pixelq.cli.{command}")
    code: int = module.run(argv[1:])
    return code


def _help() -> str:
    rows = "\n".join(f"  {name:<8} {text}" for name, text in COMMANDS.items())
    title, usage = "pixelq: deep Q-learning from pixels", "usage: pixelq COMMAND ..."
    trust = "pixelq --import MODULE COMMAND ... imports a module of yours first, which registers games in Gymnasium."
    return "\n\n".join([title, usage, rows, trust, "pixelq COMMAND --help says more."])
