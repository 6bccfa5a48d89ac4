"""TensorBoard's event files, written without TensorBoard's thread, where a full disk would raise out of our reach."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from pixelq.reports.growing_file import GrowingFile


class EventFile:
    """Writes scalars to a new event file of a folder.

    A running TensorBoard has already read a part of the older files, so they are only cut, never appended to.

    Args:
        folder: `tensorboard/` of the run.
        lengths: of its event files at a checkpoint, by name, in bytes; everything after them is cut off or deleted.

    Raises:
        OSError: the folder or a file in it cannot be written.
    """

    def __init__(self, folder: Path, lengths: Mapping[str, int]) -> None:
        folder.mkdir(exist_ok=True)
        self._lengths: dict[str, int] = {}
        for path in sorted(folder.glob("events.*")):
            if path.is_symlink() or path.name not in lengths:
                path.unlink()
                continue
            # It may be shorter than at the checkpoint (power cut); the CSV files have the same numbers.
            self._lengths[path.name] = min(path.stat().st_size, lengths[path.name])
            os.truncate(path, self._lengths[path.name])
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = GrowingFile(folder / name)
        self._append(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write(self, points: Mapping[str, float], step: int) -> None:
        """Add one value for each tag, at an agent step; written by the next `flush`."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in points.items()]
        self._append(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def flush(self) -> dict[str, int]:
        """Write everything to the file; return the length of each event file, by name, in bytes.

        Raises:
            OSError: not everything could be written; the rest is kept for the next call.
        """
        self._file.flush()
        return self.lengths

    @property
    def lengths(self) -> dict[str, int]:
        """Bytes that are in each event file, by name."""
        return self._lengths | {self._file.path.name: self._file.written}

    def close(self) -> None:
        """Close the file; what `flush` could not write is lost."""
        self._file.close()

    def _append(self, event: Event) -> None:
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        self._file.append(record.getvalue())
