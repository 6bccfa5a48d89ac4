"""Checkpoints: incremental, two kept, never half-written, every file checked by its digest."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelq.checkpoints import store as module
from pixelq.checkpoints.manifest import OLDER, SegmentRecord, digest, read_manifest
from pixelq.checkpoints.reader import read_checkpoint
from pixelq.checkpoints.state_tree import split
from pixelq.checkpoints.store import CheckpointStore
from pixelq.errors import UserError
from pixelq.replay import Replay
from small_checkpoints import empty_replay, play, same_replay, state, written
from small_disks import files_at_most


def names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def rewrite_manifest(folder: Path, **changes: Any) -> None:
    """What a stranger can do: any manifest, with a digest that fits."""
    values = json.loads((folder / "manifest.json").read_text()) | changes
    values.pop("blake2b")
    values["blake2b"] = digest(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
    (folder / "manifest.json").write_text(json.dumps(values))


def test_state_and_replay_come_back_as_they_were(tmp_path: Path) -> None:
    _, replay = written(tmp_path / "c")
    loaded = CheckpointStore(tmp_path / "c").load()
    assert loaded.agent_steps == 120
    assert split(loaded.state)[0] == split(state(120))[0]
    for name, tensor in split(state(120))[1].items():
        assert split(loaded.state)[1][name].equal(tensor)
    restored = empty_replay()
    assert loaded.replay is not None
    restored.restore(loaded.replay.meta, loaded.replay.arrays, loaded.replay.sealed)
    assert same_replay(restored, replay)


def test_a_checkpoint_without_replay_comes_back(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "c")
    store.write(store.capture(5, state(5), None))
    assert CheckpointStore(tmp_path / "c").load().replay is None


def segments(store: CheckpointStore) -> list[list[SegmentRecord]]:
    return [read_manifest(path).segments for path in store.paths()]


def test_a_checkpoint_reuses_the_segments_of_the_one_before_the_last_and_writes_what_is_new(tmp_path: Path) -> None:
    store, replay = written(tmp_path / "c")
    (replaced, before), generator = segments(store), np.random.default_rng(1)
    play(replay, generator, 20)
    store.write(store.capture(160, state(160), replay))
    assert segments(store)[0] == before
    assert segments(store)[1][:-1] == replaced
    assert segments(store)[1][-1].first == replaced[-1].last + 1


def test_the_two_kept_checkpoints_have_no_file_in_common(tmp_path: Path) -> None:
    store, replay = written(tmp_path / "c", checkpoints=6)
    store.write(store.capture(241, state(241), replay))  # no block has been sealed in between
    for _ in range(2):
        before, last = ({s.name for s in of_one} for of_one in segments(store))
        assert before
        assert last
        assert not before & last
        store.write(store.capture(242, state(242), replay))


def test_a_resumed_store_goes_on_with_the_segments_it_loaded(tmp_path: Path) -> None:
    _, replay = written(tmp_path / "c")
    store = CheckpointStore(tmp_path / "c")
    replaced, loaded = segments(store)[0], store.load()
    assert loaded.replay is not None
    replay.restore(loaded.replay.meta, loaded.replay.arrays, loaded.replay.sealed)
    play(replay, np.random.default_rng(1), 20)
    store.write(store.capture(160, state(160), replay))
    assert segments(store)[1][:-1] == [s for s in replaced if s.last >= replay.snapshot().oldest_serial]
    again = CheckpointStore(tmp_path / "c").load().replay
    restored = empty_replay()
    assert again is not None
    restored.restore(again.meta, again.arrays, again.sealed)
    assert same_replay(restored, replay)


def read(path: Path) -> Replay:
    """The replay that a checkpoint holds."""
    replay, held = empty_replay(), read_checkpoint(path).replay
    assert held is not None
    replay.restore(held.meta, held.arrays, held.sealed)
    return replay


@pytest.mark.parametrize("rows", [7, 8, 16, 23])
def test_after_a_resume_that_cut_the_open_episodes_every_checkpoint_is_read(tmp_path: Path, rows: int) -> None:
    """Where the last rows end sealed blocks, every second checkpoint reuses blocks from before the cut."""
    store, replay, generator = CheckpointStore(tmp_path / "c"), empty_replay(), np.random.default_rng(0)
    for step, more in enumerate((rows - 3, 3), start=1):
        play(replay, generator, more, mean_length=1e9)
        store.write(store.capture(step, state(step), replay))
    store = CheckpointStore(tmp_path / "c")
    replay = read(store.load().path)
    replay.cut(np.zeros((2, 2, 5, 4), np.uint8))
    for step in range(3, 8):
        play(replay, generator, 3)
        assert same_replay(read(store.write(store.capture(step, state(step), replay))), replay)


def test_two_checkpoints_are_kept_and_no_segment_that_neither_names(tmp_path: Path) -> None:
    store, replay = written(tmp_path / "c", checkpoints=8)
    assert [p.name for p in store.paths()] == ["step-000000000280", "step-000000000320"]
    named = {s.name for path in store.paths() for s in read_manifest(path).segments}
    assert {p.name for p in (tmp_path / "c/replay").iterdir()} == named
    oldest = min(s.first for s in read_manifest(store.paths()[0]).segments)
    assert 1 < oldest <= replay.snapshot().oldest_serial


def test_the_same_step_is_written_once(tmp_path: Path) -> None:
    store, replay = written(tmp_path / "c")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "c").rglob("*")}
    store.write(store.capture(120, state(120), replay))
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "c").rglob("*")} == before


def test_no_checkpoint_has_its_name_before_all_of_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every write, rename and deletion on the way, `load` would find a complete checkpoint."""
    store, replay = written(tmp_path / "c", checkpoints=2)
    play(replay, np.random.default_rng(1), 60)
    seen: list[int] = []

    def watched(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append(CheckpointStore(tmp_path / "c").load().agent_steps)
            return function(*args, **kwargs)

        return call

    for name in ("write_bytes", "write_segment", "sync_folder", "sync_file", "write_manifest", "_delete"):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    for owner, name in ((Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (shutil, "rmtree")):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    store.write(store.capture(120, state(120), replay))
    assert set(seen) == {80, 120}
    assert seen == sorted(seen)
    assert len(seen) > 15


def test_leftovers_of_a_killed_writer_are_not_read_and_go_away(tmp_path: Path) -> None:
    store, replay = written(tmp_path / "c")
    for name in (".writing-step-000000000160", ".old-step-000000000040", ".damaged-step-000000000100"):
        shutil.copytree(store.paths()[-1], tmp_path / "c" / name)
    for name in ("replay/.77.writing", "replay/0000000900-0000000950-0123456789ab.blocks", ".x.0123abcd.tmp"):
        (tmp_path / "c" / name).write_bytes(b"half")
    (tmp_path / "c/replay/notes.txt").write_text("a person's own")
    fresh = CheckpointStore(tmp_path / "c")
    assert fresh.load().agent_steps == 120
    fresh.write(fresh.capture(160, state(160), replay))
    left = {p.name for p in (tmp_path / "c").iterdir()}
    assert left == {"step-000000000120", "step-000000000160", "replay"}
    assert {p.name for p in (tmp_path / "c/replay").iterdir() if p.suffix != ".blocks"} == {"notes.txt"}
    assert not list((tmp_path / "c/replay").glob("0000000900*"))


def test_a_full_disk_leaves_the_earlier_checkpoints_and_no_leftovers(tmp_path: Path) -> None:
    store, replay = written(tmp_path / "c")
    before = names(tmp_path / "c")
    play(replay, np.random.default_rng(5), 20)
    for room in (50, 400, 700):
        with files_at_most(room), pytest.raises(OSError, match="too large"):
            store.write(store.capture(160, state(160), replay))
        assert names(tmp_path / "c") == before
        assert CheckpointStore(tmp_path / "c").load().agent_steps == 120
    store.write(store.capture(160, state(160), replay))
    loaded = CheckpointStore(tmp_path / "c").load().replay
    restored = empty_replay()
    assert loaded is not None
    restored.restore(loaded.meta, loaded.arrays, loaded.sealed)
    assert same_replay(restored, replay)


@pytest.mark.parametrize("call", [1, 2, 3])  # of the run's folder, the segments', and the checkpoints' after the rename
def test_a_folder_that_is_not_synced_once_leaves_every_later_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    store, replay = written(tmp_path / "c")
    generator, calls, sync = np.random.default_rng(5), [], module.sync_folder

    def refused_once(folder: Path) -> None:
        calls.append(folder)
        if len(calls) == call:
            raise OSError(errno.EIO, "Input/output error")
        sync(folder)

    monkeypatch.setattr(module, "sync_folder", refused_once)
    play(replay, generator, 20)
    with pytest.raises(OSError, match="Input/output"):
        store.write(store.capture(160, state(160), replay))
    assert same_replay(read(CheckpointStore(tmp_path / "c").load().path), replay) == (call == 3)
    if call == 3:  # nothing that is older goes before the newer one is certain, and that is tried again
        assert len(store.paths()) == 3
        store.write(store.capture(160, state(160), replay))
        assert calls[3:] == [tmp_path / "c"]
    for step in (200, 240, 280):
        play(replay, generator, 20)
        store.write(store.capture(step, state(step), replay))
        loaded = CheckpointStore(tmp_path / "c").load()
        assert loaded.agent_steps == step
        assert same_replay(read(loaded.path), replay)


@pytest.mark.parametrize("harm", ["deleted", "cut", "all gone"])
def test_a_checkpoint_does_not_build_on_a_segment_that_is_gone(tmp_path: Path, harm: str) -> None:
    store, replay = written(tmp_path / "c")
    file = tmp_path / "c/replay" / segments(store)[0][0].name
    if harm == "deleted":
        file.unlink()
    elif harm == "cut":
        file.write_bytes(b"cut")
    else:
        shutil.rmtree(tmp_path / "c")
    for step in (160, 200, 240):
        play(replay, np.random.default_rng(1), 2)
        assert same_replay(read(store.write(store.capture(step, state(step), replay))), replay)


def test_after_a_fallback_the_damaged_checkpoint_is_out_of_the_way(tmp_path: Path) -> None:
    written(tmp_path / "c")
    (tmp_path / "c/step-000000000120/state.json").write_bytes(b"{}")
    store = CheckpointStore(tmp_path / "c")
    loaded = store.load(fallback=True)
    assert loaded.agent_steps == 80
    assert [p.name for p in store.paths()] == ["step-000000000080", "step-000000000120"]  # load changes nothing
    store.set_damaged_aside()
    assert CheckpointStore(tmp_path / "c").load().agent_steps == 80
    replay = empty_replay()
    assert loaded.replay is not None
    replay.restore(loaded.replay.meta, loaded.replay.arrays, loaded.replay.sealed)
    store.write(store.capture(120, state(120), replay))
    assert {p.name for p in (tmp_path / "c").iterdir()} == {"replay", "step-000000000080", "step-000000000120"}
    assert CheckpointStore(tmp_path / "c").load().agent_steps == 120


def test_no_checkpoint_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint yet"):
        CheckpointStore(tmp_path / "c").load()


@pytest.mark.parametrize(
    "name", ["../../private", "/etc/passwd", "a/b", "..", ".", ".hidden", "", "a\\b", "a\0b", 5, None]
)
def test_a_manifest_whose_names_lead_out_of_the_checkpoint_is_refused(tmp_path: Path, name: Any) -> None:
    written(tmp_path / "c")
    folder = tmp_path / "c/step-000000000120"
    values = json.loads((folder / "manifest.json").read_text())
    for part in ("files", "segments"):
        rewrite_manifest(folder, **{part: [values[part][0] | {"name": name}]})
        with pytest.raises(UserError, match=r"manifest\.json: .*(leads out|without name)"):
            CheckpointStore(tmp_path / "c").load()
        rewrite_manifest(folder, **{part: values[part]})
    CheckpointStore(tmp_path / "c").load()


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 99},
        {"format": [2]},
        {"format": None},
        {"agent_steps": -1},
        {"agent_steps": "120"},
        {"agent_steps": 80},
        {"agent_steps": 2**70},
        {"files": {}},
        {"files": None},
        {"files": ["state.json"]},
        {"files": []},
        {"segments": [{}]},
        {"segments": 7},
    ],
)
def test_an_invalid_manifest_is_refused_although_its_digest_fits(tmp_path: Path, changes: dict[str, Any]) -> None:
    written(tmp_path / "c")
    rewrite_manifest(tmp_path / "c/step-000000000120", **changes)
    with pytest.raises(UserError, match="step-000000000120"):
        CheckpointStore(tmp_path / "c").load()


@pytest.mark.parametrize("older", OLDER)
def test_a_checkpoint_of_an_older_format_is_refused_naming_the_version_that_reads_it(
    tmp_path: Path, older: int
) -> None:
    written(tmp_path / "c")
    rewrite_manifest(tmp_path / "c/step-000000000120", format=older)
    with pytest.raises(UserError) as refused:
        CheckpointStore(tmp_path / "c").load()
    line = str(refused.value)
    assert "step-000000000120" in line
    assert f"pixelq {OLDER[older]}" in line
    assert "--load" in line


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("form", [*OLDER, 99])
def test_of_another_versions_checkpoint_no_fallback_is_offered_nor_taken(
    tmp_path: Path, form: int, fallback: bool
) -> None:
    written(tmp_path / "c")
    for folder in (tmp_path / "c").glob("step-*"):
        rewrite_manifest(folder, format=form)
    with pytest.raises(UserError) as refused:
        CheckpointStore(tmp_path / "c").load(fallback=fallback)
    assert "--fallback" not in str(refused.value)
    assert "no good checkpoint" not in str(refused.value)


def test_a_fallback_is_offered_only_to_a_checkpoint_that_is_whole(tmp_path: Path) -> None:
    written(tmp_path / "c")
    newest, before = (tmp_path / "c" / f"step-{step:012d}" / "state.json" for step in (120, 80))
    newest.write_bytes(b"cut")
    with pytest.raises(UserError, match=r"resume --fallback .* continues from step-000000000080"):
        CheckpointStore(tmp_path / "c").load()
    before.write_bytes(b"cut")
    with pytest.raises(UserError, match="the one before cannot be read either: start the run again") as refused:
        CheckpointStore(tmp_path / "c").load()
    assert "--fallback" not in str(refused.value)


def test_folders_that_are_not_checkpoints_are_ignored(tmp_path: Path) -> None:
    written(tmp_path / "c")
    for name in ("step-zzz", "step-9999999999999", "step-", "notes"):
        (tmp_path / "c" / name).mkdir()
    assert CheckpointStore(tmp_path / "c").load().agent_steps == 120
