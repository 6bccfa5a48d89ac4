"""The command line: one module per command, each with `run(argv) -> exit code`."""

from __future__ import annotations

import codecs
import contextlib
import errno
import importlib
import io
import os
import re
import sys
from keyword import iskeyword

from pixelq.command_lines import IMPORTED
from pixelq.errors import RunError, UserError

COMMANDS = {
    "train": "train an agent: pixelq train pong",
    "resume": "continue a run from its last checkpoint",
    "sweep": "try other values of a recipe, and stop the hopeless early",
    "suite": "train algorithms on a set of games with seeds, as one job",
    "tabular": "learn a small game with a table, beside the exact optimum",
    "watch": "show runs live in the browser while they train",
    "eval": "play whole test games with a trained policy",
    "record": "make a video of a game with the Q-values beside it",
    "plot": "draw the curves of one or more runs",
    "compare": "put runs beside published curves and scores",
    "report": "write one HTML page with everything about a folder's runs",
    "export": "pack a policy: a folder, a zip, or for the Hugging Face hub",
    "import": "take over a network of Stable-Baselines3 or CleanRL",
    "list": "list games, recipes or variants (losses, heads, ...)",
    "doctor": "check this machine: device, memory, disk, ROMs",
    "bench": "measure how fast this machine plays and learns, and why",
    "verify": "check a run's files and print a digest of each part",
    "completion": "print the script by which your shell completes all this",
}
GROUPS = {"train": "learn", "watch": "look", "export": "share", "list": "check"}
"""First command of each group in `pixelq --help` -> the group."""

PLAIN = dict(zip("←↓→↑─│┃━┌┐└┘├┤┬┴┼╭╮╰╯·•█▇▆▅▄▃▂▁…–—×≥≤−", "<v>^-||-+++++++++++++..########.--x><-", strict=True))  # noqa: RUF001
"""Letters that some terminals lack -> the ones most like them."""

OF_THE_OUTPUT = {errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""What a write to the output may be refused with; an error without a file's name may be of anything else."""
OUT_OF_MEMORY = "out of memory; close other programs, or use a smaller --replay-capacity or --batch-size"

OF_SCARCITY = {errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE}
"""What a new process, thread or open file may be refused with."""


def main(argv: list[str] | None = None) -> int:
    """Run one command. A user's mistake is one line on standard error and exit code 2; a failure, code 1."""
    argv = sys.argv[1:] if argv is None else argv
    _let_idle_threads_sleep()
    IMPORTED.clear()  # of an earlier call in this process
    _let_every_letter_be_printed()
    try:
        code = _dispatch([_at_home(word) for word in argv])
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()  # now, so that a full disk is said in one line
        return code
    except UserError as error:
        return _say(str(error), 2)
    except RunError as error:
        return _say(str(error), 1)
    except MemoryError:
        return _say(OUT_OF_MEMORY, 1)
    except RuntimeError as error:
        if "torch" not in sys.modules:
            raise
        from pixelq.machine.out_of_memory import is_out_of_memory  # torch is loaded: not for the commands without it

        if not is_out_of_memory(error):
            raise
        return _say(OUT_OF_MEMORY, 1)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except BrokenPipeError:
        _forget_stdout()
        return 0  # the reader of a pipe (head, less) has ended
    except OSError as error:
        return _refused_by_the_system(error)
    except ValueError:
        if sys.stdout is None or not sys.stdout.closed:
            raise
        return _say("the output was closed while this ran, by a game or a library; what it says is lost", 1)


def _refused_by_the_system(error: OSError) -> int:
    """One line for a file that cannot be read or written where no command says more."""
    if error.errno is None:  # a library's own, which is no mistake of a person
        raise error
    if error.filename is None:
        if error.errno not in OF_THE_OUTPUT:
            advice = "close other programs, or raise this account's limits (ulimit -a)"
            advice = advice if error.errno in OF_SCARCITY else "try again, and report it if it stays"
            return _say(f"the system refused what this needs: {error.strerror}; {advice}", 1)
        _forget_stdout()
        return _say(f"the output cannot be written ({error.strerror}); send it elsewhere", 1)
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    name = name if len(name) <= 100 else f"{name[:60]}...{name[-30:]}"
    return _say(f"{name}: {error.strerror}; give another place, or permission to use this one", 2)


def _forget_stdout() -> None:
    """Nothing more goes to a stdout that is full or whose reader has ended, not even at the interpreter's end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = sys.stdout.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _let_every_letter_be_printed() -> None:
    """Where the terminal's encoding lacks a letter (arrows in ASCII), print one like it, or a question mark."""
    codecs.register_error("pixelq", lambda error: (_likeness(error), error.end))  # type: ignore[attr-defined]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors="pixelq")


def _likeness(error: UnicodeError) -> str:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end])


def _at_home(word: str) -> str:
    """An argument with `~/` as the person's own folder, which a shell does not put into `--run-dir=~/x`."""
    flag, equals, value = word.partition("=")
    if equals and flag.startswith("--") and value.startswith("~"):
        return f"{flag}={os.path.expanduser(value)}"
    return os.path.expanduser(word) if word.startswith("~") else word


def _let_idle_threads_sleep() -> None:
    """Let OpenMP threads without work sleep after a fraction of a millisecond, in this process and its children.

    GNU's OpenMP, which PyTorch for Linux contains, keeps them spinning for some milliseconds on cores that the
    emulators could use: on two cores an emulator step took 1.37 times as long after a matrix product as without one,
    and 1.03 times with this setting; the parallel loop made 1.07 times as many agent steps (runs stopped and continued
    in turns).
    torch reads the setting when it is loaded, so this comes first. It changes nothing that the user has set.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def _say(message: str, code: int) -> int:
    """Print the message as one line: a name from a stranger's file may contain newlines or terminal codes."""
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
    argv = _imported(argv)
    _check_not_empty(argv)
    command = argv[0]
    if command not in COMMANDS:
        raise UserError(f"unknown command {command!r}; choose one of {', '.join(COMMANDS)} (pixelq --help)")
    # A module cannot be called like a word of Python, such as `import`, and then be imported by its name.
    module = importlib.import_module(f"pixelq.cli.{command}_" if iskeyword(command) else f"pixelq.cli.{command}")
    code: int = module.run(argv[1:])
    return code


def _check_not_empty(argv: list[str]) -> None:
    """Refuse an empty argument: most likely a variable that is not set.

    Raises:
        UserError: there is one, other than of `--load`, which may be empty.
    """
    before = ""
    for word in argv:
        if (word.strip() == "" and before != "--load") or (re.fullmatch(r"--[\w-]+=\s*", word) and word != "--load="):
            where = f"after {before}" if word.strip() == "" and before else f"in {word}"
            raise UserError(f"an empty argument {where}: is a variable not set? leave it out, or give it a value")
        before = word


def _imported(argv: list[str]) -> list[str]:
    """Import the modules that `--import MODULE` names, wherever it stands; return the other arguments."""
    from pixelq.envs.gymnasium_games import import_typed

    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word != "--import" and not word.startswith("--import="):
            rest.append(word)
            continue
        module = next(words, "") if word == "--import" else word.removeprefix("--import=")
        if not module or module.startswith("-"):
            raise UserError("--import needs a module: pixelq --import my_variants train pong")
        import_typed(module)
    if not rest:
        raise UserError("--import needs a command, too: pixelq --import my_games eval runs/...")
    return rest


def _help() -> str:
    """All commands in groups, on a screen of 80 columns and 24 lines."""
    title = "pixelq: deep Q-learning from pixels"
    usage = "usage: pixelq COMMAND ...      (pixelq COMMAND --help says more)"
    rows = "\n".join(f"{GROUPS.get(name, ''):<7}{name:<12}{text}" for name, text in COMMANDS.items())
    own = "pixelq --import MODULE COMMAND ... first imports your own games or variants."
    return f"{title}\n{usage}\n\n{rows}\n\n{own}"
