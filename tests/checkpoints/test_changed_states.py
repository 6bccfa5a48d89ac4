"""A state that changes at its agent step: its checkpoint is written anew, in place, and is whole at every moment."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelq.checkpoints import store as module
from pixelq.checkpoints.manifest import read_manifest
from pixelq.checkpoints.reader import read_checkpoint
from pixelq.checkpoints.store import CheckpointStore
from pixelq.files import atomic
from pixelq.replay import Replay
from small_checkpoints import empty_replay, play, same_replay, state, written
from small_disks import files_at_most

STEP = 120


def changed(version: int) -> dict[str, Any]:
    """Another state of the same agent step."""
    return state(STEP) | {"evaluated": version, "weights": {"layer.weight": np.full((40, 9), version, np.float32)}}


def version_of(folder: Path) -> int:
    """Which of these states the newest checkpoint holds, all of which is read and verified; 0: the first."""
    loaded = CheckpointStore(folder).load()
    assert loaded.agent_steps == STEP
    return int(loaded.state.get("evaluated", 0))


def holds(path: Path, replay: Replay) -> bool:
    """Whether a checkpoint has this replay."""
    stored, held = empty_replay(), read_checkpoint(path).replay
    assert held is not None
    stored.restore(held.meta, held.arrays, held.sealed)
    return same_replay(stored, replay)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_a_state_that_is_said_to_have_changed_is_written_again_and_as_often_as_it_does(tmp_path: Path) -> None:
    store, replay = written(tmp_path)
    files = names(tmp_path)
    store.write(store.capture(STEP, changed(1), replay))
    assert version_of(tmp_path) == 0
    for version in (1, 2, 3):
        store.outdate_newest()
        store.write(store.capture(STEP, changed(version), replay))
        assert version_of(tmp_path) == version
        assert len(names(tmp_path)) == len(files)  # nothing of the state before is left
        store.write(store.capture(STEP, changed(9), replay))
        assert version_of(tmp_path) == version
    assert holds(store.paths()[-1], replay)


def test_the_checkpoints_after_a_changed_one_build_on_it_and_two_have_no_file_in_common(tmp_path: Path) -> None:
    written(tmp_path)
    store, replay, generator = CheckpointStore(tmp_path), empty_replay(), np.random.default_rng(1)
    loaded = store.load().replay
    assert loaded is not None
    replay.restore(loaded.meta, loaded.arrays, loaded.sealed)
    segments = {path: read_manifest(path).segments for path in store.paths()}
    store.outdate_newest()
    store.write(store.capture(STEP, changed(1), replay))
    assert {path: read_manifest(path).segments for path in store.paths()} == segments
    for step in (160, 200, 240):
        play(replay, generator, 20)
        path = store.write(store.capture(step, state(step), replay))
        assert holds(path, replay)
        before, last = ({s.name for s in read_manifest(one).segments} for one in store.paths())
        assert not before & last


def test_blocks_that_were_sealed_meanwhile_are_written_too(tmp_path: Path) -> None:
    store, replay = written(tmp_path)
    play(replay, np.random.default_rng(1), 60)
    store.outdate_newest()
    assert holds(store.write(store.capture(STEP, changed(1), replay)), replay)


def test_at_every_write_rename_and_deletion_one_of_the_two_states_stands_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, replay = written(tmp_path)
    play(replay, np.random.default_rng(1), 60)
    store.outdate_newest()
    pending, seen = store.capture(STEP, changed(1), replay), []

    def watched(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append(version_of(tmp_path))
            result = function(*args, **kwargs)
            seen.append(version_of(tmp_path))
            return result

        return call

    for owner, name in ((atomic, "sync_folder"), (module, "sync_folder"), (module, "write_segment")):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, watched(getattr(Path, name)))
    store.write(pending)
    assert set(seen) == {0, 1}
    assert seen == sorted(seen)
    assert seen.count(1) > 4  # the old state's files go last


@pytest.mark.parametrize(
    ("with_replay", "room", "fits"),
    [(True, 50, []), (True, 800, ["changed-state.json"]), (False, 300, ["changed-state.json", "changed-tensors"])],
)
def test_a_full_disk_leaves_the_state_that_stood_there_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_replay: bool, room: int, fits: list[str]
) -> None:
    store, replay = written(tmp_path) if with_replay else (CheckpointStore(tmp_path), None)
    if not with_replay:
        store.write(store.capture(STEP, {"evaluated": 0}, None))
    before, written_whole, write = names(tmp_path), [], atomic.sync_folder
    monkeypatch.setattr(
        atomic, "sync_folder", lambda folder: written_whole.extend(sorted(p.name for p in folder.glob("changed-*")))
    )
    store.outdate_newest()
    with files_at_most(room), pytest.raises(OSError, match="too large"):
        store.write(store.capture(STEP, changed(1) if with_replay else {"evaluated": 1}, replay))
    monkeypatch.setattr(atomic, "sync_folder", write)
    assert all(any(name.startswith(one) for name in written_whole) for one in fits)
    assert len({*written_whole}) == len(fits)
    assert names(tmp_path) == before
    assert version_of(tmp_path) == 0
    store.write(store.capture(STEP, changed(1), replay))
    assert version_of(tmp_path) == 1


@pytest.mark.parametrize("call", [1, 2, 3])  # of the checkpoint's folder, after the state, its tensors, the manifest
def test_a_folder_that_is_not_synced_once_leaves_one_state_whole_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    store, replay = written(tmp_path)
    calls, sync = [], atomic.sync_folder

    def refused_once(folder: Path) -> None:
        calls.append(folder)
        if len(calls) == call:
            raise OSError(errno.EIO, "Input/output error")
        sync(folder)

    monkeypatch.setattr(atomic, "sync_folder", refused_once)
    store.outdate_newest()
    with pytest.raises(OSError, match="Input/output"):
        store.write(store.capture(STEP, changed(1), replay))
    assert version_of(tmp_path) == (1 if call == 3 else 0)
    if call == 3:  # whether the rename is on the disk is not known: what the old manifest names must be there, too
        assert {"state.json", "changed-state.json"} <= {path.name for path in store.paths()[-1].iterdir()}
    store.write(store.capture(STEP, changed(2), replay))
    assert version_of(tmp_path) == 2


def assert_no_file_in_common(store: CheckpointStore) -> None:
    """Damage to a file of one of the kept checkpoints is not damage to the other."""
    before, newest = ({segment.name for segment in read_manifest(path).segments} for path in store.paths()[-2:])
    assert newest
    assert not before & newest


@pytest.mark.parametrize("harm", ["segment", "manifest", "all"])
def test_a_checkpoint_that_was_harmed_meanwhile_is_written_as_a_whole(tmp_path: Path, harm: str) -> None:
    store, replay = written(tmp_path)
    newest = store.paths()[-1]
    if harm == "segment":
        (tmp_path / "replay" / read_manifest(newest).segments[-1].name).unlink()
    elif harm == "manifest":
        (newest / "manifest.json").write_bytes(b"cut")
    else:
        newest.rename(tmp_path / "elsewhere")
    store.outdate_newest()
    assert holds(store.write(store.capture(STEP, changed(1), replay)), replay)
    assert version_of(tmp_path) == 1
    assert_no_file_in_common(store)
    play(replay, np.random.default_rng(1), 20)
    assert holds(store.write(store.capture(160, state(160), replay)), replay)
    assert_no_file_in_common(store)
