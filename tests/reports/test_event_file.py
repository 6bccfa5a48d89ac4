"""TensorBoard reads what is written, over several sessions."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pixelq.reports.event_file import EventFile


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def test_tensorboard_reads_the_scalars(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "tb", {})
    file.write({"a": 1.5, "b": 2.5}, 10)
    file.write({"a": 3.5}, 20)
    file.flush()
    file.close()
    assert scalars(tmp_path / "tb", "a") == [(10, 1.5), (20, 3.5)]
    assert scalars(tmp_path / "tb", "b") == [(10, 2.5)]


def test_a_session_cuts_off_and_deletes_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    first = EventFile(tmp_path, {})
    first.write({"a": 1.0}, 1)
    at_checkpoint = first.flush()
    first.write({"a": 2.0}, 2)
    first.flush()
    first.close()
    lost = EventFile(tmp_path, at_checkpoint)
    lost.write({"a": 9.0}, 9)
    lost.flush()
    lost.close()
    resumed = EventFile(tmp_path, at_checkpoint)
    resumed.write({"a": 3.0}, 3)
    lengths = resumed.flush()
    resumed.close()
    assert scalars(tmp_path, "a") == [(1, 1.0), (3, 3.0)]
    assert lengths == {p.name: p.stat().st_size for p in tmp_path.iterdir()}
    assert len(lengths) == 2


def test_an_event_file_that_lost_bytes_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    file = EventFile(tmp_path, {"events.out.tfevents.1": 500, "events.out.tfevents.gone": 5})
    assert file.flush()["events.out.tfevents.1"] == 0
    file.close()
