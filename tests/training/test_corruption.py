"""Any flipped byte and any cut in any file of a checkpoint is found, named, and never loaded."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_checkpoints import written

from pixelq.errors import UserError
from pixelq.training.checkpoint import CheckpointStore

POSITIONS = 40
"""Places in each file, its first and last bytes among them."""


def damages(content: bytes) -> Iterator[bytes]:
    """The content with one byte changed, one bit flipped, cut, emptied, lengthened, zeroed."""
    edges = {0, 1, 7, 8, 11, 12, len(content) - 1, len(content) - 2}
    places = edges | set(np.linspace(0, len(content) - 1, POSITIONS - len(edges)).astype(int).tolist())
    for i, place in enumerate(sorted(p for p in places if 0 <= p < len(content))):
        flipped = content[place] ^ (0xFF if i % 2 else 1 << (i % 8))
        yield content[:place] + bytes([flipped]) + content[place + 1 :]
        yield content[:place]
    yield content + b"\0"
    yield bytes(len(content))
    yield content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


def files_of_the_newest(folder: Path) -> list[Path]:
    """Files that the newest checkpoint needs and the one before does not."""
    newest = sorted((folder / "replay").iterdir())[-1]
    return [*sorted((folder / "step-000000000120").iterdir()), newest]


def test_the_sweep_covers_every_kind_of_file(tmp_path: Path) -> None:
    written(tmp_path / "c")
    kinds = {f.suffix if f.suffix == ".blocks" else f.name for f in files_of_the_newest(tmp_path / "c")}
    assert kinds == {"manifest.json", "state.json", "tensors.safetensors", ".blocks"}


@pytest.mark.parametrize("which", range(4))
def test_every_damage_names_the_file_and_the_checkpoint_before_is_taken_if_asked(tmp_path: Path, which: int) -> None:
    written(tmp_path / "c")
    file = files_of_the_newest(tmp_path / "c")[which]
    content, tried = file.read_bytes(), 0
    for damaged in damages(content):
        if damaged == content:
            continue
        file.write_bytes(damaged)
        with pytest.raises(UserError) as refused:
            CheckpointStore(tmp_path / "c").load()
        assert str(file) in str(refused.value)
        assert "--fallback" in str(refused.value)
        assert "\n" not in str(refused.value)
        assert CheckpointStore(tmp_path / "c").load(fallback=True).agent_steps == 80
        tried += 1
    assert tried > 60
    file.unlink()
    with pytest.raises(UserError, match=f"{file.name}: cannot be read"):
        CheckpointStore(tmp_path / "c").load()
    file.write_bytes(content)
    assert CheckpointStore(tmp_path / "c").load().agent_steps == 120


def test_damage_to_a_segment_that_both_checkpoints_need_leaves_none_and_says_so(tmp_path: Path) -> None:
    written(tmp_path / "c")
    shared = sorted((tmp_path / "c/replay").iterdir())[0]
    shared.write_bytes(shared.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{shared.name}: .*no good checkpoint is left"):
        CheckpointStore(tmp_path / "c").load(fallback=True)


def test_a_checkpoint_cannot_stand_in_for_another(tmp_path: Path) -> None:
    written(tmp_path / "c")
    older, newer = (tmp_path / "c" / f"step-{n:012d}" for n in (80, 120))
    for file in older.iterdir():
        (newer / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="manifest of step-000000000080"):
        CheckpointStore(tmp_path / "c").load()
