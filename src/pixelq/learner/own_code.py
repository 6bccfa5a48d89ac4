"""What a person's own code raises, told in one line that says where."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pixelq.errors import UserError
from pixelq.machine.out_of_memory import is_out_of_memory

_NOT_OWN = tuple(f"{Path(file).parent}{os.sep}" for file in (torch.__file__, Path(__file__).parent))
"""Folders of torch's code and of pixelq's."""


@contextmanager
def told_as_own_code(variants: Iterable[str]) -> Iterator[None]:
    """Around a call of variants from outside: what they raise becomes one line. A lack of memory is no fault of theirs.

    Args:
        variants: in words, as of `pixelq.variants.from_outside`; none: what is raised is pixelq's own and passes.

    Raises:
        UserError: naming them, the error and the line of their code.
    """
    variants = [*variants]
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not variants or is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise UserError(
            f"{', '.join(variants)}: tried before the run begins, it fails{_where(error)} ({reason})"
        ) from error


def _where(error: Exception) -> str:
    """The line that failed, the innermost that is neither torch's nor pixelq's; empty if there is none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_NOT_OWN)]
    return f" in {frames[-1].filename}, line {frames[-1].lineno}," if frames else ""
