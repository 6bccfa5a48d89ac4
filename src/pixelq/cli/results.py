"""Where the results of an evaluation go, beside the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pixelq.errors import UserError
from pixelq.files import atomic
from pixelq.files.plain_files import folders_for


@contextmanager
def kept(out: Path | None) -> Iterator[None]:
    """Make the folders above `out` before anything is played, which go again if nothing comes into them.

    Raises:
        UserError: one cannot be made.
    """
    with ExitStack() as stack:
        if out is not None:
            try:
                stack.enter_context(folders_for(out))
            except OSError as error:
                raise UserError(
                    f"--out {out}: {out.parent} cannot be made ({error.strerror}); choose another place"
                ) from None
        yield


def keep(report: dict[str, Any], file: Path, named: bool) -> int:
    """Write results that are printed, too; say so if that fails. The exit code is 1 if a person named the file."""
    try:
        atomic.write_bytes(file, json.dumps(report, indent=1).encode())
    except OSError as error:
        advice = atomic.remedy(error) if named else f"{atomic.remedy(error)}, or name another place with --out"
        print(
            f"pixelq: {file}: not written ({error.strerror}), the results are only printed; {advice}", file=sys.stderr
        )
        return 1 if named else 0
    return 0
