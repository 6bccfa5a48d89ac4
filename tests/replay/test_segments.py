import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_replay import FRAME_SHAPE, Play, fill

from pixelq.errors import UserError
from pixelq.replay import Replay, SealedBlock
from pixelq.replay.segments import read_segment, write_segment

blocks = st.builds(
    SealedBlock,
    serial=st.integers(0, 2**64 - 1),
    env=st.integers(0, 2**32 - 1),
    number=st.integers(0, 2**64 - 1),
    payload=st.binary(max_size=50),
    rows=st.binary(max_size=50),
)


def written(records):
    file = io.BytesIO()
    write_segment(file, records)
    return file.getvalue()


@given(records=st.lists(blocks, max_size=6))
def test_records_come_back_as_they_were_written(records, tmp_path_factory):
    path = tmp_path_factory.mktemp("segment") / "records"
    path.write_bytes(written(records))
    assert list(read_segment(path)) == records


def test_a_replay_restores_from_segments_on_disk(tmp_path):
    replay = Replay(100, 2, FRAME_SHAPE, 4, 1, 0.9)
    play = Play(2, 4, 12.0, np.random.default_rng(0))
    since, paths = 0, []
    for part in range(3):
        fill(replay, play, 40)
        snapshot = replay.snapshot(since=since)
        since = snapshot.meta["next_serial"]
        paths.append(tmp_path / f"part-{part}")
        with paths[-1].open("wb") as file:
            write_segment(file, snapshot.sealed)
    restored = Replay(100, 2, FRAME_SHAPE, 4, 1, 0.9)
    restored.restore(snapshot.meta, snapshot.arrays, (block for path in paths for block in read_segment(path)))
    assert restored.snapshot().sealed == replay.snapshot().sealed


@pytest.fixture(scope="module")
def small():
    return written([SealedBlock(5, 1, 2, b"payload of one", b"rows"), SealedBlock(6, 0, 2, b"and of another", b"more")])


def test_every_damaged_byte_is_found(small, tmp_path):
    path = tmp_path / "segment"
    for position in range(len(small)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(small)
            damaged[position] ^= flip
            path.write_bytes(damaged)
            with pytest.raises(UserError, match=str(path)):
                list(read_segment(path))


def test_every_cut_is_found(small, tmp_path):
    path = tmp_path / "segment"
    for length in range(len(small)):
        path.write_bytes(small[:length])
        with pytest.raises(UserError, match="cut short"):
            list(read_segment(path))


def test_bytes_after_the_last_record_are_refused(small, tmp_path):
    path = tmp_path / "segment"
    path.write_bytes(small + b"x")
    with pytest.raises(UserError, match="1 bytes too many"):
        list(read_segment(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        list(read_segment(tmp_path / "nowhere"))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        list(read_segment(tmp_path))


@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("segment") / "noise"
    path.write_bytes(data)
    with pytest.raises(UserError):
        list(read_segment(path))
