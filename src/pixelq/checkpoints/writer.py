"""Writing checkpoints during training, one at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from pixelq.checkpoints.store import CheckpointStore, PendingCheckpoint
from pixelq.files.atomic import reason_of, remedy
from pixelq.replay import BaseReplay


class CheckpointWriter:
    """Captures the state at once and writes it in a thread; training waits only for the capture.

    If disk or memory is full, the run goes on: the failure is kept for `take_message`, and the last good checkpoints
    stay.

    Args:
        store: the run's checkpoints.
        logs: files whose lengths are in the states; see `CheckpointStore.capture`.
    """

    def __init__(self, store: CheckpointStore, logs: tuple[Path, ...] = ()) -> None:
        self.store = store
        self._logs = logs
        self._thread: threading.Thread | None = None
        self._message = ""
        self.failures: list[OSError | MemoryError] = []
        """Of the checkpoints since the last good one."""
        self._failure: BaseException | None = None

    def write_soon(self, agent_steps: int, state: dict[str, Any], replay: BaseReplay | None) -> None:
        """Capture now and write in the background; first waits until the checkpoint before has been written."""
        self.close()
        pending = self.store.capture(agent_steps, state, replay, self._logs)
        self._thread = threading.Thread(target=self._write, args=(pending,), name="checkpoint")
        self._thread.start()

    def write_now(self, agent_steps: int, state: dict[str, Any], replay: BaseReplay | None) -> None:
        """Capture and write before returning.

        Raises:
            OSError: it could not be written.
        """
        self.close()
        self.store.write(self.store.capture(agent_steps, state, replay, self._logs))

    def take_message(self) -> str:
        """What went wrong since the last call; empty if nothing did."""
        message, self._message = self._message, ""
        return message

    def close(self) -> None:
        """Wait until nothing is being written; raises an unexpected exception of the writing thread."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _write(self, pending: PendingCheckpoint) -> None:
        try:
            self.store.write(pending)
            self.failures.clear()
        except (OSError, MemoryError) as error:
            self.failures.append(error.with_traceback(None))  # which would hold on to the checkpoint's copies
            self._message = (
                f"checkpoint at agent step {pending.agent_steps:,} could not be written ({reason_of(error)}); training "
                f"goes on and the last good checkpoint stays: {remedy(error)}"
            )
        except BaseException as error:
            self._failure = error
