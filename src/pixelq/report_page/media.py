"""Videos and pictures that lie beside runs, as data that a page holds itself, up to a limit."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixelq.report_page.collected import ReportRun
from pixelq.web.growing_table import open_regular

VIDEOS = {".mp4": ("video/mp4", b"ftyp", 4), ".webm": ("video/webm", b"\x1a\x45\xdf\xa3", 0)}
PICTURES = {
    ".png": ("image/png", b"\x89PNG\r\n\x1a\n", 0),
    ".gif": ("image/gif", b"GIF8", 0),
    ".jpg": ("image/jpeg", b"\xff\xd8\xff", 0),
}
"""Ending -> media type, and the bytes that a file of it has at a place."""
FOLDERS = (".", "plots", "videos")
"""Of a run, in which they are looked for."""
DRAWN_ANYWAY = {"progress.png", "compare.png", "seeds.png"}
"""Figures of curves that the page draws itself."""
PICTURES_LIMIT = 8 * 2**20
"""Bytes of all pictures."""
MOST = 400
"""Files; a folder may hold something else altogether."""


@dataclass(frozen=True)
class Medium:
    """A video or a picture."""

    name: str
    """Its path from the report's folder."""
    run: str
    """The run's; empty: it lies beside the runs."""
    size: int
    """Bytes."""
    is_video: bool
    data: str
    """As a data URI; empty: it did not fit."""


def found_media(root: Path, runs: Sequence[ReportRun], videos_limit: int) -> list[Medium]:
    """Every video and picture beside the runs, the smallest first where not all fit.

    Args:
        root: the report's folder.
        runs: those in it.
        videos_limit: bytes of all videos that are held.
    """
    found: dict[Path, str] = {}
    for folder, run in _folders(root, runs):
        found |= {path: run for path in _files(folder) if path not in found}
    files = list(found.items())
    left = {True: videos_limit, False: PICTURES_LIMIT}
    media = []
    for path, run in sorted(files[:MOST], key=lambda file: _size(file[0])):
        kind = VIDEOS.get(path.suffix.lower()) or PICTURES[path.suffix.lower()]
        is_video = kind[0].startswith("video")
        size = _size(path)
        data = _data(path, kind, whole=0 < size <= left[is_video])
        if data is None:
            continue  # not what its ending says
        left[is_video] -= size if data else 0
        media.append(Medium(_relative(path, root), run, size, is_video, data))
    order = {_relative(path, root): i for i, (path, _) in enumerate(files)}
    return sorted(media, key=lambda one: order[one.name])


def _folders(root: Path, runs: Sequence[ReportRun]) -> Iterator[tuple[Path, str]]:
    """Where to look, each with its run: the report's folder, those between it and a run, and the run's own."""
    yield root, ""
    for run in runs:
        if run.folder != root:
            yield from ((parent, "") for parent in reversed(run.folder.parents) if root in parent.parents)
        yield from ((run.folder / part, run.name) for part in FOLDERS)


def _files(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except OSError:
        return
    for name in names:
        path = Path(os.path.normpath(folder / name))
        if path.suffix.lower() in VIDEOS | PICTURES and not name.startswith(".") and name not in DRAWN_ANYWAY:
            yield path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _data(path: Path, kind: tuple[str, bytes, int], *, whole: bool) -> str | None:
    """The file as a data URI, or nothing if it is not wanted; None: it cannot be read, or is not of that type."""
    media_type, mark, place = kind
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            content = file.read() if whole else file.read(place + len(mark))
    except OSError:
        return None
    if content[place : place + len(mark)] != mark:
        return None
    return "" if not whole else f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, os.path.normpath(root))).as_posix()
