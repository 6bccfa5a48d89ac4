"""Digests depend on what a run did, and on nothing else."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pixelq.checkpoints.digests import checkpoint_digests, csv_digest, replay_digest, tree_digest
from pixelq.checkpoints.reader import LoadedCheckpoint
from pixelq.checkpoints.store import CheckpointStore
from pixelq.errors import UserError
from pixelq.replay import ReplaySnapshot
from pixelq.replay.samplers import Reach
from pixelq.replay.samplers.uniform import Sampler
from pixelq.runs.session import start
from pixelq.variants import KINDS
from small_checkpoints import empty_replay, play, written
from small_runs import facts, small

REPLAYED = {"replay", "target network"}


class CountingSampler(Sampler):
    """Uniform, and counts what it draws."""

    def __init__(self, num_envs: int, size: int, options: Any) -> None:
        self.drawn = 0

    def draw(self, size: int, generator: np.random.Generator, reach: Reach) -> tuple[np.ndarray, ...]:
        self.drawn += size
        return super().draw(size, generator, reach)

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.drawn = int(state["drawn"])


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
    """Segments also hold blocks that the ring has since dropped; with more checkpoints there are others."""
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


ALWAYS = {"network", "optimizer", "loss sums", "environments", "generators", "counters", "scores"}


@pytest.mark.parametrize(
    ("recipe", "fields", "more"),
    [
        ("nips2013", {}, {"replay"}),
        ("nature2015", {}, {"replay", "target network"}),
        ("default", {"averaged_network_tau": 0.0}, set()),
        ("default", {"averaged_network_tau": 0.1}, {"averaged network"}),
        ("cleanrl", {"averaged_network_tau": 0.1, "sampler": "counting"}, REPLAYED | {"averaged network", "sampler"}),
    ],
)
def test_every_part_that_a_run_has_has_a_digest(
    recipe: str, fields: dict[str, Any], more: set[str], in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS["sampler"]._registered, "counting", SimpleNamespace(Sampler=CountingSampler))
    start(small(recipe, steps=160, eval_every=0, **fields), Path("r"))
    found = facts(Path("r"))
    parts = set(found) - {"last", "episodes.csv", "progress.csv", "evaluations.csv", "final"}
    assert parts == ALWAYS | more
    assert found["final"] == found["averaged network" if "averaged network" in more else "network"]
    if "sampler" in more:
        state = CheckpointStore(Path("r/checkpoints")).load().state["sampler"]
        assert state["drawn"] >= 4 * 21  # an update at agent steps 80, 84, ..., 160; some rows begin nothing whole
        assert found["sampler"] == tree_digest(state)


OF_PIXELQS_LEARNERS = ("network", "optimizer", "sums", "summed_updates", "noise")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> LoadedCheckpoint:
    """One of a loop of pixelq's."""
    folder = tmp_path_factory.mktemp("run") / "r"
    start(small("default", steps=40, eval_every=0, log_every=20, averaged_network_tau=0.1), folder)
    return CheckpointStore(folder / "checkpoints").load()


def of_loop(checkpoint: LoadedCheckpoint, loop: str, learner: dict[str, Any]) -> LoadedCheckpoint:
    """The same of another loop, whose learner has kept this."""
    config = {**checkpoint.state["config"], "loop": loop}
    return dataclasses.replace(checkpoint, state={**checkpoint.state, "config": config, "learner": learner})


@pytest.mark.parametrize("part", OF_PIXELQS_LEARNERS)
def test_what_a_loop_of_pixelqs_keeps_may_not_be_missing(part: str, checkpoint: LoadedCheckpoint) -> None:
    learner = {name: value for name, value in checkpoint.state["learner"].items() if name != part}
    with pytest.raises(UserError, match=f"part '{part}' is missing: damaged"):
        checkpoint_digests(of_loop(checkpoint, "parallel", learner))


def test_a_loop_of_ones_own_keeps_what_it_likes_and_all_of_it_has_a_digest(checkpoint: LoadedCheckpoint) -> None:
    network = checkpoint.state["learner"]["network"]
    kept = {"network": network, "targets": [network, network], "optimizer": {"step": 3}, "sums": 1.5, "replay": "x"}
    before = checkpoint_digests(of_loop(checkpoint, "mine", kept))
    assert {"network", "optimizer", "learner: targets", "learner: sums", "learner: replay"} <= before.keys()
    assert not {"replay", "loss sums", "target network"} & before.keys()
    assert before["network"] == checkpoint_digests(checkpoint)["network"]
    for name, other in {"targets": [network], "optimizer": {"step": 4}, "sums": 2.5, "replay": "y"}.items():
        after = checkpoint_digests(of_loop(checkpoint, "mine", kept | {name: other}))
        changed = "optimizer" if name == "optimizer" else f"learner: {name}"
        assert [part for part in before if before[part] != after[part]] == [changed]
    with pytest.raises(UserError, match="part 'network' is missing: damaged"):
        checkpoint_digests(of_loop(checkpoint, "mine", {"targets": [network]}))


def test_digests_of_pixelqs_loops_are_what_they_were_before_others_had_any(checkpoint: LoadedCheckpoint) -> None:
    state = checkpoint.state
    learner, found = state["learner"], checkpoint_digests(checkpoint)
    generators = {"policy": state["policy"], "replay": state["replay_generator"], "learner": learner["noise"]}
    generators["torch"] = state["torch_generators"]
    assert found == {
        "network": tree_digest(learner["network"]),
        "averaged network": tree_digest(learner["averaged_network"]),
        "optimizer": tree_digest(learner["optimizer"]),
        "loss sums": tree_digest({"sums": learner["sums"], "updates": learner["summed_updates"]}),
        "environments": tree_digest(state["envs"]),
        "generators": tree_digest(generators),
        "counters": tree_digest(state["counters"]),
        "scores": tree_digest(state["scores"]),
    }


def test_a_csv_digest_ignores_only_timings(tmp_path: Path) -> None:
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
