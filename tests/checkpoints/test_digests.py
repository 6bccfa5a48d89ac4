"""Digests see what a run did, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pixelq.checkpoints.digests import csv_digest, replay_digest, tree_digest
from pixelq.checkpoints.store import CheckpointStore
from pixelq.errors import UserError
from pixelq.replay import ReplaySnapshot
from small_checkpoints import empty_replay, play, written

HEADER = (
    "agent_steps,frames,episodes,updates,mean_score_100,loss,mean_q,epsilon,learning_rate,agent_steps_per_second,"
    "seconds\n"
)


def test_a_digest_of_tensors_sees_names_types_shapes_and_every_byte() -> None:
    base = {"a": torch.zeros(2, 3), "b": np.zeros(4, np.int64), "c": {"d": 1}}
    others = [
        base | {"a": torch.zeros(3, 2)},
        base | {"a": torch.zeros(2, 3, dtype=torch.int32)},
        base | {"b": np.array([0, 0, 0, 1])},
        base | {"c": {"d": 2}},
        {"a2" if k == "a" else k: v for k, v in base.items()},
    ]
    digests = [tree_digest(x) for x in (base, *others)]
    assert len(set(digests)) == 6
    assert tree_digest({"a": torch.zeros(2, 3), "b": np.zeros(4, np.int64), "c": {"d": 1}}) == digests[0]


def test_a_replays_digest_does_not_depend_on_how_often_it_was_checkpointed(tmp_path: Path) -> None:
    """Segments hold blocks that the ring has dropped since; one with more checkpoints holds other ones."""
    _, replay = written(tmp_path / "c", checkpoints=6)
    often = CheckpointStore(tmp_path / "c").load().replay
    assert often is not None
    assert replay_digest(often) == replay_digest(replay.snapshot())
    play(replay, np.random.default_rng(9), 1)
    assert replay_digest(often) != replay_digest(replay.snapshot())


@pytest.mark.parametrize(
    "sizes",
    [
        *({}, {"capacity": "many"}, {"capacity": 10**15}, {"frame_shape": 5}, {"num_envs": -1}),
        *({"frame_dtype": "object"}, {"frame_dtype": ["u1"]}, {"frame_dtype": "float32"}, {"frame_dtype": "u1,u1"}),
    ],
)
def test_a_replay_of_impossible_sizes_is_refused(sizes: dict[str, object]) -> None:
    snapshot = empty_replay().snapshot()
    meta = snapshot.meta | sizes if sizes else {}
    with pytest.raises(UserError, match="replay"):
        replay_digest(ReplaySnapshot(meta, snapshot.arrays, snapshot.sealed))


def test_a_csv_digest_passes_over_timings_only(tmp_path: Path) -> None:
    file = tmp_path / "progress.csv"
    digests = []
    for row in ("1,4,0,0,nan,0.5,1,1,0.1,{},{}\n", "1,4,0,0,nan,0.6,1,1,0.1,{},{}\n"):
        for timing in ("10", "20.5"):
            file.write_text(HEADER + row.format(timing, timing))
            digests.append(csv_digest(file))
    assert digests[0] == digests[1] != digests[2] == digests[3]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "header"),
        (b"agent_steps\n", "header"),
        (HEADER.encode() + b"1,2\n", "line 2"),
        (HEADER.encode() + b"1,4,0,0,nan,x,1,1,0.1,1,1\n", "line 2"),
        (b"\xff\xfe\0", "not a CSV file"),
        (HEADER.encode() + b'"' + b"x" * 200_000, "CSV"),
    ],
)
def test_a_damaged_csv_is_named(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "progress.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"progress\.csv.*{word}"):
        csv_digest(tmp_path / "progress.csv")
