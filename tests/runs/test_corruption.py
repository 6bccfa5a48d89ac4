"""The short form of benchmarks/corruption.py: any changed byte and any cut, in any file, is found and never loaded."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pixelq.checkpoints.manifest import read_manifest
from pixelq.checkpoints.store import CheckpointStore
from pixelq.errors import UserError
from pixelq.replay import Replay
from scripts import script
from small_checkpoints import empty_replay, play, state, written

PLACES = 40
"""In each file, its first and last bytes among them."""


@pytest.fixture(scope="module")
def corruption() -> ModuleType:
    return script("benchmarks/corruption.py")


def test_any_damage_to_any_file_names_it_and_the_checkpoint_before_is_given_if_asked(
    tmp_path: Path, corruption: ModuleType
) -> None:
    written(tmp_path / "c", checkpoints=4)  # the newest has two segments
    files = corruption.checkpoint_files(tmp_path / "c")
    kinds = [f.suffix if f.suffix == ".blocks" else f.name for f in files]
    assert kinds == ["manifest.json", "state.json", "tensors.safetensors", ".blocks", ".blocks"]
    for file in files:
        outcome = corruption.sweep(file, PLACES, lambda: corruption.loaded(tmp_path / "c"))
        assert outcome.missed == []
        assert not outcome.harmless
        assert outcome.found == outcome.tried.total() > 2 * PLACES
        assert set(outcome.tried) >= {"flipped bit", "changed byte", "cut", "lengthened", "zeroed", "deleted"}
    assert CheckpointStore(tmp_path / "c").load().agent_steps == 160


def test_the_sweep_tells_what_gets_through(tmp_path: Path, corruption: ModuleType) -> None:
    """A benchmark that finds everything must be able to find nothing."""
    (tmp_path / "x").write_bytes(bytes(range(100)))

    def names_another_file() -> str:
        raise UserError("y: damaged")

    checks: tuple[Callable[[], str], ...] = (lambda: "", names_another_file)
    for check in checks:
        outcome = corruption.sweep(tmp_path / "x", PLACES, check)
        assert outcome.found == 0
        assert len(outcome.missed) == outcome.tried.total() > 80
    assert corruption.sweep(tmp_path / "x", PLACES, lambda: "nobody reads it").missed == []
    assert (tmp_path / "x").read_bytes() == bytes(range(100))


def resumed(folder: Path, fallback: bool = False) -> tuple[CheckpointStore, Replay]:
    store, replay = CheckpointStore(folder), empty_replay()
    loaded = store.load(fallback=fallback).replay
    assert loaded is not None
    replay.restore(loaded.meta, loaded.arrays, loaded.sealed)
    store.set_damaged_aside()
    return store, replay


def test_a_damaged_segment_of_the_checkpoint_before_is_written_anew_with_the_next(tmp_path: Path) -> None:
    """The next checkpoint takes over the segments of the last but one, if they are whole."""
    written(tmp_path / "c")
    before = read_manifest(CheckpointStore(tmp_path / "c").paths()[0]).segments[0]
    (tmp_path / "c/replay" / before.name).write_bytes(b"damaged")
    store, replay = resumed(tmp_path / "c")
    play(replay, np.random.default_rng(1), 20)
    for step in (160, 200):
        store.write(store.capture(step, state(step), replay))
    assert CheckpointStore(tmp_path / "c").load().agent_steps == 200
    newest = CheckpointStore(tmp_path / "c").paths()[-1]
    (newest / "state.json").unlink()
    assert CheckpointStore(tmp_path / "c").load(fallback=True).agent_steps == 160


def test_damage_to_both_checkpoints_is_told(tmp_path: Path) -> None:
    written(tmp_path / "c")
    for path in CheckpointStore(tmp_path / "c").paths():
        (path / "state.json").write_bytes(b"{}")
    with pytest.raises(UserError, match=r"step-000000000120/state\.json: .*no good checkpoint is left"):
        CheckpointStore(tmp_path / "c").load(fallback=True)


def test_a_checkpoint_cannot_stand_in_for_another(tmp_path: Path) -> None:
    written(tmp_path / "c")
    older, newer = (tmp_path / "c" / f"step-{n:012d}" for n in (80, 120))
    for file in older.iterdir():
        (newer / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="manifest of step-000000000080"):
        CheckpointStore(tmp_path / "c").load()
