"""CSV rows and TensorBoard points, cut back to a checkpoint."""

import contextlib
import errno
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pixelq.errors import UserError
from pixelq.reports.tracking import COLUMNS, TAGS, Tracker, check_csv_unchanged
from small_disks import files_at_most


def episode(step: int) -> dict[str, float | int]:
    return {"agent_step": step, "environment": 0, "score": 1.25, "length": 7, "seconds": 0.5}


def test_rows_are_plain_csv_under_a_header(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.write("episodes.csv", episode(10))
    progress: dict[str, float | int] = dict.fromkeys(COLUMNS["progress.csv"], 1)
    tracker.write("progress.csv", progress | {"loss": math.nan, "learning_rate": 2.5e-4, "mean_q": 1 / 3})
    tracker.close()
    assert (tmp_path / "episodes.csv").read_text() == "agent_step,environment,score,length,seconds\n10,0,1.25,7,0.5\n"
    assert (tmp_path / "progress.csv").read_text().splitlines()[1] == "1,1,1,1,1,nan,0.333333,1,0.00025,1,1"
    assert (tmp_path / "evaluations.csv").read_text() == "agent_steps,episodes,mean,std,min,max,median\n"


def test_tensorboard_gets_cleanrls_tags_and_no_nan(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    row: dict[str, float | int] = dict.fromkeys(COLUMNS["progress.csv"], 2.0)
    tracker.write("progress.csv", row | {"agent_steps": 50, "loss": math.nan})
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = {TAGS[c] for c in COLUMNS["progress.csv"] if c in TAGS and c != "loss"}
    assert set(events.Tags()["scalars"]) == tags
    assert "charts/SPS" in tags
    assert [(e.step, e.value) for e in events.Scalars("charts/SPS")] == [(50, 2.0)]


def test_a_resumed_run_cuts_off_what_a_dead_one_wrote_after_the_checkpoint(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.write("episodes.csv", episode(1))
    at_checkpoint = tracker.state_dict()
    tracker.write("episodes.csv", episode(2))
    tracker.close()
    assert len((tmp_path / "episodes.csv").read_text().splitlines()) == 3
    resumed = Tracker(tmp_path, at_checkpoint)
    resumed.write("episodes.csv", episode(3))
    resumed.close()
    steps = [line.split(",")[0] for line in (tmp_path / "episodes.csv").read_text().splitlines()]
    assert steps == ["agent_step", "1", "3"]


@pytest.mark.parametrize("name", COLUMNS)
def test_a_byte_changed_before_the_checkpoint_is_found_and_one_after_it_is_cut_off(tmp_path: Path, name: str) -> None:
    tracker = Tracker(tmp_path)
    tracker.write(name, dict.fromkeys(COLUMNS[name], 7))
    at_checkpoint = tracker.state_dict()
    tracker.write(name, dict.fromkeys(COLUMNS[name], 8))
    tracker.close()
    content = (tmp_path / name).read_bytes()
    length = at_checkpoint["csv"][name]
    for i in range(len(content)):
        (tmp_path / name).write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        with pytest.raises(UserError, match=f"{name}: .*changed") if i < length else contextlib.nullcontext():
            check_csv_unchanged(tmp_path, at_checkpoint, name)
    (tmp_path / name).write_bytes(content)
    Tracker(tmp_path, at_checkpoint).close()
    assert (tmp_path / name).read_bytes() == content[:length]


def test_lengths_without_checksums_as_in_older_checkpoints_are_accepted(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.write("episodes.csv", episode(1))
    at_checkpoint = tracker.state_dict()
    del at_checkpoint["crc32"]
    tracker.close()
    Tracker(tmp_path, at_checkpoint).close()
    assert len((tmp_path / "episodes.csv").read_text().splitlines()) == 2


def test_without_a_checkpoint_the_files_start_empty(tmp_path: Path) -> None:
    for _ in range(2):
        tracker = Tracker(tmp_path)
        tracker.write("episodes.csv", episode(1))
        tracker.close()
    assert len((tmp_path / "episodes.csv").read_text().splitlines()) == 2
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_rows_survive_a_full_disk_and_the_run_is_told_once(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.flush()
    with files_at_most(150):
        for step in range(20):
            tracker.write("episodes.csv", episode(step))
            tracker.flush()
        assert "make room" in tracker.take_message()
        assert tracker.take_message() == ""
        with pytest.raises(OSError, match="too large"):
            tracker.state_dict()
    tracker.close()
    steps = [line.split(",")[0] for line in (tmp_path / "episodes.csv").read_text().splitlines()]
    assert steps == ["agent_step", *map(str, range(20))]


@pytest.mark.parametrize(
    "lengths",
    [
        {},
        {"csv": {}, "events": {}},
        {"csv": [1], "events": {}},
        {"csv": {**dict.fromkeys(COLUMNS, 0), "/etc/passwd": 0}, "events": {}},
        {"csv": dict.fromkeys(COLUMNS, -1), "events": {}},
        {"csv": dict.fromkeys(COLUMNS, "0"), "events": {}},
        {"csv": dict.fromkeys(COLUMNS, 0), "crc32": {"episodes.csv": "0"}, "events": {}},
        {"csv": dict.fromkeys(COLUMNS, 0), "crc32": [1], "events": {}},
    ],
)
def test_lengths_that_no_run_has_written_are_refused(tmp_path: Path, lengths: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="damaged"):
        Tracker(tmp_path, lengths)
    assert list(tmp_path.iterdir()) == []


def test_lengths_of_event_files_elsewhere_touch_nothing_there(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "events.private").write_bytes(b"long content")
    Tracker(run, {"csv": dict.fromkeys(COLUMNS, 0), "events": {"../../events.private": 1}}).close()
    assert (tmp_path / "events.private").read_bytes() == b"long content"


def test_a_place_that_takes_no_events_keeps_no_row_from_the_csv_files(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.write("episodes.csv", episode(1))
    at_checkpoint = tracker.state_dict()
    tracker.close()
    events = tmp_path / "tensorboard"
    for file in events.iterdir():
        file.unlink()
    events.rmdir()
    events.write_text("something else")
    resumed = Tracker(tmp_path, at_checkpoint)
    assert re.fullmatch(
        r"no files for TensorBoard \(.*tensorboard: File exists\); training goes on", resumed.take_message()
    )
    resumed.write("episodes.csv", episode(2))
    resumed.flush()
    assert resumed.take_message() == ""
    assert resumed.state_dict()["events"] == at_checkpoint["events"]
    resumed.close()
    assert len((tmp_path / "episodes.csv").read_text().splitlines()) == 3
    assert events.read_text() == "something else"


def test_events_that_cannot_be_written_are_told_and_checkpoints_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker(tmp_path)
    before = tracker.state_dict()["events"]
    with monkeypatch.context() as patch:
        patch.setattr(tracker._events._file, "flush", refuse)
        tracker.write("episodes.csv", episode(1))
        tracker.flush()
        assert "could not be written (Input/output error)" in tracker.take_message()
        assert tracker.state_dict()["events"] == before
    ((_, length),) = tracker.state_dict()["events"].items()
    assert length > next(iter(before.values()))
    tracker.close()


def refuse() -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
