"""Writing checkpoints beside the training, one at a time."""

from __future__ import annotations

import threading
from typing import Any

from pixelq.training.checkpoint import CheckpointStore, PendingCheckpoint


class CheckpointWriter:
    """Captures the state at once and writes it in a thread; training waits only for the capture.

    A disk that refuses a checkpoint does not end the run: the failure is kept for `take_message`, and the last good
    checkpoints stay as they are.

    Args:
        store: the run's checkpoints.
    """

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store
        self._thread: threading.Thread | None = None
        self._message = ""

    def write_soon(self, agent_steps: int, state: dict[str, Any], replay: Any | None) -> None:
        """Capture now, write in the background; waits first for a checkpoint still being written."""
        self._wait()
        pending = self._store.capture(agent_steps, state, replay)
        self._thread = threading.Thread(target=self._write, args=(pending,), name="checkpoint")
        self._thread.start()

    def write_now(self, agent_steps: int, state: dict[str, Any], replay: Any | None) -> None:
        """Capture and write before returning.

        Raises:
            OSError: the disk refused it.
        """
        self._wait()
        self._store.write(self._store.capture(agent_steps, state, replay))

    def take_message(self) -> str:
        """What went wrong since the last call; empty if nothing did."""
        message, self._message = self._message, ""
        return message

    def close(self) -> None:
        """Wait until nothing is being written."""
        self._wait()

    def _write(self, pending: PendingCheckpoint) -> None:
        try:
            self._store.write(pending)
        except OSError as error:
            self._message = (
                f"checkpoint at {pending.agent_steps:,} agent steps could not be written ({error.strerror}); training "
                "goes on, the last good checkpoint stays: make room on the disk"
            )

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
