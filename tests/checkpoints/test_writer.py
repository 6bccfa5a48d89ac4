"""Checkpoints are written during training, from a copy."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixelq.checkpoints.store import CheckpointStore, PendingCheckpoint
from pixelq.checkpoints.writer import CheckpointWriter
from small_checkpoints import empty_replay, play, same_replay
from small_disks import files_at_most


class Slow(CheckpointStore):
    """A store whose write waits until the test lets it go on."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go_on = threading.Event()
        self.begun = threading.Event()

    def write(self, pending: PendingCheckpoint) -> Path:
        self.begun.set()
        assert self.go_on.wait(30)
        return super().write(pending)


def test_training_goes_on_meanwhile_and_the_checkpoint_is_of_the_moment_it_was_asked_for(tmp_path: Path) -> None:
    store, replay, generator = Slow(tmp_path / "c"), empty_replay(), np.random.default_rng(0)
    play(replay, generator, 30)
    then = empty_replay()
    then.load_state_dict(replay.state_dict())
    weight = torch.zeros(3)
    writer = CheckpointWriter(store)
    writer.write_soon(60, {"weight": weight}, replay)
    assert store.begun.wait(30)
    weight += 1
    play(replay, generator, 30)  # returns: nothing waits for the disk
    assert CheckpointStore(tmp_path / "c").paths() == []
    store.go_on.set()
    writer.close()
    loaded = CheckpointStore(tmp_path / "c").load()
    assert loaded.state["weight"].tolist() == [0, 0, 0]
    restored = empty_replay()
    assert loaded.replay is not None
    restored.restore(loaded.replay.meta, loaded.replay.arrays, loaded.replay.sealed)
    assert same_replay(restored, then)


def test_a_second_checkpoint_waits_for_the_first(tmp_path: Path) -> None:
    store = Slow(tmp_path / "c")
    writer = CheckpointWriter(store)
    writer.write_soon(1, {}, None)
    threading.Timer(0.1, store.go_on.set).start()
    writer.write_soon(2, {}, None)
    assert [p.name for p in CheckpointStore(tmp_path / "c").paths()] == ["step-000000000001"]
    writer.close()
    assert len(CheckpointStore(tmp_path / "c").paths()) == 2


def test_logs_reach_the_disk_before_the_checkpoint_that_names_their_lengths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr("pixelq.checkpoints.store.sync_file", lambda path: done.append(path.name))
    monkeypatch.setattr("pixelq.checkpoints.store.write_manifest", lambda *args: done.append("manifest"))
    CheckpointWriter(CheckpointStore(tmp_path / "c"), (tmp_path / "a.csv", tmp_path / "b.csv")).write_now(1, {}, None)
    assert done == ["a.csv", "b.csv", "manifest"]


def test_a_full_disk_is_reported_once_and_ends_nothing(tmp_path: Path) -> None:
    writer = CheckpointWriter(CheckpointStore(tmp_path / "c"))
    with files_at_most(10):
        writer.write_soon(1_000, {"weight": torch.zeros(99)}, None)
        writer.close()
    message = writer.take_message()
    assert "checkpoint at agent step 1,000 could not be written (File too large); training goes on" in message
    assert writer.take_message() == ""
    with files_at_most(10), pytest.raises(OSError, match="too large"):
        writer.write_now(1_001, {"weight": torch.zeros(99)}, None)
    writer.write_now(1_002, {"weight": torch.zeros(99)}, None)
    assert CheckpointStore(tmp_path / "c").load().agent_steps == 1_002


def test_without_memory_the_checkpoint_is_reported_and_counted_as_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = CheckpointWriter(CheckpointStore(tmp_path / "c"))
    with monkeypatch.context() as patched:
        patched.setattr("safetensors.torch.save", lambda tensors: bytes(2**62))
        for step in (1, 2):
            writer.write_soon(step, {}, None)
        writer.close()
        with pytest.raises(MemoryError):
            writer.write_now(3, {}, None)
    assert "step 2 could not be written (out of memory); training goes on" in writer.take_message()
    assert [type(failure) for failure in writer.failures] == [MemoryError] * 2
    assert {failure.__traceback__ for failure in writer.failures} == {None}  # it would keep the copies of the state
    writer.write_soon(4, {}, None)
    writer.close()
    assert writer.failures == []


def test_a_mistake_in_the_program_is_not_swallowed_by_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pixelq.checkpoints.store.write_manifest", broken)
    writer = CheckpointWriter(CheckpointStore(tmp_path / "c"))
    writer.write_soon(1, {}, None)
    with pytest.raises(ZeroDivisionError):
        writer.close()
    writer.close()


def test_copies_for_which_torch_finds_no_memory_are_a_lack_of_memory(tmp_path: Path) -> None:
    class Huge(torch.Tensor):
        def cpu(self) -> torch.Tensor:  # type: ignore[override]
            return torch.empty(1 << 60, dtype=torch.uint8)

    store = CheckpointStore(tmp_path / "c")
    with pytest.raises(MemoryError):
        store.capture(1, {"weight": torch.zeros(3).as_subclass(Huge)}, None)
