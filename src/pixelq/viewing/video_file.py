"""A video on disk, MP4 or GIF by the ending of its name, that appears only once it is complete."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from pixelq.errors import UserError
from pixelq.files.atomic import sync_file
from pixelq.files.plain_files import check_plain, folders_for
from pixelq.viewing.gif_file import COLOURS, FASTEST, MOST_COLOURS, GifFile

ENDINGS = (".mp4", ".gif")
MOST_PIXELS = {".mp4": 16_384, ".gif": 16_384}
"""On a side of a video; of MP4 libx264's limit."""
LEAST_WIDTH = 64
"""Pixels of a picture that is made smaller."""


class VideoFile(Protocol):
    """Where pictures go."""

    def add(self, picture: np.ndarray) -> None:
        """Add a picture uint8 `(height, width, 3)`."""
        ...

    def finish(self) -> None:
        """Write what is left; the file is complete then."""
        ...

    def close(self) -> None:
        """Free what was opened, finished or not."""
        ...


class Mp4File:
    """Writes an MP4 (h264, yuv420p); a side of an odd number of pixels gets a black line more."""

    def __init__(self, path: Path, height: int, width: int, rate: Fraction) -> None:
        self._height, self._width = height, width
        # yuv420p has half the resolution for colours in both directions, so both sides must be even.
        self._picture = np.zeros((height + height % 2, width + width % 2, 3), np.uint8)
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream: Any = self._container.add_stream(
            "libx264", rate=rate, options={"crf": "17", "preset": "veryfast"}
        )
        self._stream.height, self._stream.width = self._picture.shape[:2]
        self._stream.pix_fmt = "yuv420p"
        # The conversion from RGB uses these. Without the tags a browser may read a large video as BT.709.
        self._stream.codec_context.colorspace = Colorspace.ITU601
        self._stream.codec_context.color_range = ColorRange.MPEG

    def add(self, picture: np.ndarray) -> None:
        """Add a picture uint8 `(height, width, 3)`."""
        self._picture[: self._height, : self._width] = picture
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(self._picture, format="rgb24")))

    def finish(self) -> None:
        """Write the pictures that the encoder still holds, and the file's index."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def close(self) -> None:
        """Free the encoder."""
        with suppress(OSError, ValueError):  # of a full disk a second time
            self._container.close()


class _Smaller:
    """Makes pictures smaller, to a given width, before they are written."""

    def __init__(self, file: VideoFile, height: int, width: int) -> None:
        self._file, self._size = file, (width, height)

    def add(self, picture: np.ndarray) -> None:
        self._file.add(np.asarray(Image.fromarray(picture).resize(self._size, Image.Resampling.LANCZOS)))

    def finish(self) -> None:
        self._file.finish()

    def close(self) -> None:
        self._file.close()


class _Writing:
    """A video file whose refusals by the disk are one line."""

    def __init__(self, file: VideoFile, path: Path) -> None:
        self._file, self._path = file, path
        self.pictures = 0

    def add(self, picture: np.ndarray) -> None:
        """Add a picture uint8 `(height, width, 3)`."""
        with not_written(self._path):
            self._file.add(picture)
        self.pictures += 1

    def finish(self) -> None:
        with not_written(self._path):
            self._file.finish()

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()


@contextmanager
def not_written(path: Path) -> Iterator[None]:
    """Say in one line that `path` cannot be written, where the system refuses it inside.

    Raises:
        UserError: it does.
    """
    try:
        yield
    except OSError as error:
        elsewhere = "choose another place with --out"
        fix = f"make room, or {elsewhere}" if error.errno in (errno.ENOSPC, errno.EFBIG) else elsewhere
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); {fix}") from None


def check_video(path: Path, *, width: int | None = None, colours: int | None = None) -> None:
    """Look whether a video can be made as asked, before any work is done for it.

    Raises:
        UserError: another ending, a folder or a device in its place, or a number out of range.
    """
    check_plain(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a file name that ends in .mp4 or .gif")
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path}: videos are MP4 or GIF files; name it {path.with_suffix('.mp4')} or .gif")
    if width is not None and not LEAST_WIDTH <= width <= MOST_PIXELS[".mp4"]:
        raise UserError(
            f"width = {width} is out of range: it must be between {LEAST_WIDTH} and {MOST_PIXELS['.mp4']:,} pixels"
        )
    if colours is not None and path.suffix.lower() != ".gif":
        raise UserError(f"colours = {colours}: only a GIF has a palette; leave it out, or name the file ... .gif")
    if colours is not None and not 2 <= colours <= MOST_COLOURS:
        raise UserError(f"colours = {colours} is out of range: a GIF has 2 to {MOST_COLOURS}")


def is_gif(path: Path) -> bool:
    """Whether a video of this name is a GIF."""
    return path.suffix.lower() == ".gif"


@contextmanager
def new_video(
    path: Path, height: int, width: int, rate: Fraction, *, to_width: int | None = None, colours: int | None = None
) -> Iterator[_Writing]:
    """Write a video. It takes its name when it is complete; an exception or a signal inside leaves nothing behind.

    Args:
        path: ends in .mp4 or .gif; its folder is made.
        height: of the pictures that are added, in pixels.
        width: likewise.
        rate: pictures per second.
        to_width: pixels; wider pictures are made smaller. None: as they are.
        colours: of a GIF; None: `gif_file.COLOURS`.

    Raises:
        UserError: too large for its kind, or the file cannot be written.
    """
    shown_width = min(to_width or width, width)
    shown_height = max(1, round(height * shown_width / width))
    ending = path.suffix.lower()
    if max(shown_height, shown_width) > MOST_PIXELS[ending]:
        raise UserError(
            f"{path}: a video of {shown_width} x {shown_height} pixels is too large for {ending[1:].upper()} (at most "
            f"{MOST_PIXELS[ending]:,} on a side); use a smaller --scale or --width, or have the game draw less"
        )
    if is_gif(path) and rate > FASTEST:
        raise UserError(f"{path}: a GIF has at most {FASTEST} pictures a second, not {float(rate):g}; use --fps 30")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with ExitStack() as stack:
        with not_written(path):
            stack.enter_context(folders_for(path))
            stack.callback(_remove, temporary)
            file: VideoFile = (
                GifFile(temporary, shown_height, shown_width, rate, colours or COLOURS)
                if is_gif(path)
                else Mp4File(temporary, shown_height, shown_width, rate)
            )
        if shown_width < width:
            file = _Smaller(file, shown_height, shown_width)
        writing = _Writing(file, path)
        try:
            yield writing
            writing.finish()
        finally:
            writing.close()
        with not_written(path):
            sync_file(temporary)
            os.replace(temporary, path)


def _remove(temporary: Path) -> None:
    with suppress(OSError):
        temporary.unlink()
