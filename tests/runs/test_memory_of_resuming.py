"""A resume takes no more memory than the training did, and what it has read is given back before it goes on."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import pixelq
from pixelq.checkpoints.reader import LoadedCheckpoint
from pixelq.checkpoints.state_tree import split
from pixelq.checkpoints.store import CheckpointStore
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.learner import Learner
from pixelq.machine.memory import memory_needed
from pixelq.recipes.choice import configure
from pixelq.replay import SealedBlock
from pixelq.replay.array_store import ArrayStore
from pixelq.replay.block_store import BlockStore
from pixelq.runs.session import resume, start
from small_runs import QUICK, at_agent_step, small

VECTORS = {k: v for k, v in QUICK.items() if k not in ("recipe", "rollout_length")} | {"hidden": (8,), "loss": "double"}
SEQUENCES = {
    "loop": "recurrent_replay",
    "memory": "lstm",
    "units": 6,
    "sequence_length": 4,
    "burn_in": 2,
    "sequence_every": 3,
    "batch_size": 8,
}


def cut_down(case: str, **fields: Any) -> Config:
    fields |= {"steps": 120, "eval_every": 0, "checkpoint_every": 0}
    if case == "images":
        return small("nips2013", **{"sampler": "prioritized"} | fields)
    fields = VECTORS | {"loop": "replay", "target": "hard", "replay_start": 60, "replay_capacity": 500} | fields
    return configure("CartPole-v1", "cartpole", fields | (SEQUENCES if case == "sequences" else {}))


def blocks() -> list[SealedBlock]:
    """Blocks of replays that are in memory as a checkpoint has them."""
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is SealedBlock]


def held() -> int:
    """Bytes of checkpoints that were read and are still in memory: blocks of a replay, tensors and arrays."""
    of_blocks = sum(len(one.payload) + len(one.rows) for one in blocks())
    loaded = [split(one.state)[1].values() for one in gc.get_objects() if type(one) is LoadedCheckpoint]
    return of_blocks + sum(tensor.nbytes for tensors in loaded for tensor in tensors)


@pytest.mark.parametrize("case", ["images", "sequences"])
def test_a_run_that_just_fitted_into_memory_can_be_resumed(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cut_down(case)
    start(config, Path("r"))
    before, limit = held(), memory_needed(config, pixelq.load("r").network.observation_space)

    def available() -> int:
        return limit - (held() - before)

    monkeypatch.setattr("pixelq.machine.memory.available_memory", available)
    monkeypatch.setattr("pixelq.runs.session.available_memory", available)
    assert resume(Path("r"), steps=124).agent_steps == 124
    limit -= 1
    with pytest.raises(UserError, match="the run needs about"):
        resume(Path("r"), steps=128)


def notes(found: list[Any]) -> Callable[[CheckpointStore, bool], LoadedCheckpoint]:
    """`CheckpointStore.load`, which also notes weak references to what it reads."""
    load = CheckpointStore.load

    def noted(store: CheckpointStore, fallback: bool = False) -> LoadedCheckpoint:
        loaded = load(store, fallback)
        weights = loaded.state["learner"]["network"]
        found.extend(map(weakref.ref, [loaded, loaded.replay, *weights.values()]))
        return loaded

    return noted


@pytest.mark.parametrize("case", ["images", "vectors", "sequences"])
def test_blocks_come_from_the_disk_one_by_one_and_nothing_of_a_checkpoint_stays_while_the_run_trains(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(cut_down(case), Path("r"))
    read: list[weakref.ref[Any]] = []
    monkeypatch.setattr(CheckpointStore, "load", notes(read))
    calls: list[Any] = []
    alive: list[int] = []
    for store in (BlockStore, ArrayStore):

        def hold(self: Any, *given: Any, original: Any = store.hold) -> None:
            original(self, *given)
            calls.append(given)
            if len(calls) == 10:
                alive.append(len(blocks()))

        monkeypatch.setattr(store, "hold", hold)
    inside: list[Any] = []

    def look() -> None:
        inside.append(held())
        inside.extend(reference() for reference in read if reference() is not None)

    before, before_bytes = len(blocks()), held()
    with at_agent_step(monkeypatch, 122, look):
        resume(Path("r"), steps=128)
    assert before <= alive[0] <= before + 2  # with its recurrent states and without them
    assert len(read) > 3
    assert inside == [before_bytes]


def test_a_lack_of_memory_while_restoring_says_nothing_about_the_checkpoint(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(cut_down("vectors", checkpoint_every=60), Path("r"))
    names = [path.name for path in CheckpointStore(Path("r/checkpoints")).paths()]

    def without_room(*_: Any) -> None:
        torch.empty(1 << 60, dtype=torch.uint8)

    with monkeypatch.context() as full:
        full.setattr(Learner, "load_state_dict", without_room)
        with pytest.raises(MemoryError):
            resume(Path("r"), steps=124, fallback=True)
    assert [path.name for path in CheckpointStore(Path("r/checkpoints")).paths()] == names
    assert resume(Path("r"), steps=124).agent_steps == 124
