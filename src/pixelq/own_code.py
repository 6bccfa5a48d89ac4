"""What a person's own code raises, told in one line that says where."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pixelq.errors import UserError

_LIBRARIES = ("torch", "numpy")


@contextmanager
def told_as_own_code(variants: Iterable[str], doing: str = "tried before the run begins") -> Iterator[None]:
    """Around a call of variants from outside: what they raise becomes one line. A lack of memory is no fault of theirs.

    Args:
        variants: in words, as of `pixelq.variants.from_outside`; none: what is raised is pixelq's own and passes.
        doing: what is done with them, in words.

    Raises:
        UserError: naming them, the error and the line of their code.
    """
    variants = [*variants]
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        from pixelq.machine.out_of_memory import is_out_of_memory  # with torch, which is slow to import

        if not variants or is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise UserError(f"{', '.join(variants)}: {doing}, it fails{_where(error)} ({reason})") from error


def _where(error: Exception) -> str:
    """The line that failed, the innermost that is neither a library's nor pixelq's; empty if there is none."""
    not_own = tuple(f"{folder}{os.sep}" for folder in (Path(__file__).parent, *_folders_of_libraries()))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        # Of compiled code there are frames, too, whose files are named as they were where it was compiled.
        if not frame.filename.startswith(not_own) and not frame.filename.endswith((".pyx", ".pxd"))
    ]
    return f" in {frames[-1].filename}, line {frames[-1].lineno}," if frames else ""


def _folders_of_libraries() -> list[Path]:
    specs = [find_spec(library) for library in _LIBRARIES]
    return [Path(spec.origin).parent for spec in specs if spec is not None and spec.origin is not None]
