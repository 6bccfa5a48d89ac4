"""Where the results of an evaluation go, beside the terminal."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pixelq import atomic
from pixelq.errors import UserError
from pixelq.plain_files import check_plain


def result_file(out: Path | None, usual: Path) -> Path:
    """Where the results go: `out`, or `eval.json` in it if it is a folder, or the usual file.

    Folders above `out` that are not there yet are made.

    Raises:
        UserError: `out` cannot be written; said before the games are played.
    """
    if out is None:
        return usual
    check_plain(out)
    file = out / "eval.json" if out.is_dir() else out
    check_plain(file)
    if file.is_dir():
        raise UserError(f"--out {out}: {file} is a folder; name a file")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: {file.parent} cannot be made ({error.strerror}); choose another place") from None
    if not os.access(file.parent, os.W_OK):
        raise UserError(f"--out {out}: {file.parent} is not a folder that can be written; choose another place")
    return file


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
