"""A lack of memory is known by what torch really raises, and nothing else is taken for one."""

import pytest
import torch

from pixelq.cli import main
from pixelq.machine.out_of_memory import as_memory_error, is_out_of_memory


def test_what_torchs_allocator_raises_is_a_lack_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")], ids=repr)
def test_errors_that_say_so_by_their_kind_are(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shape '[2]' is invalid"), TypeError(), OSError("no space")], ids=repr)
def test_others_are_not(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_what_torch_raises_becomes_pythons_own_error_and_nothing_else_does() -> None:
    with pytest.raises(MemoryError), as_memory_error():
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="shape"), as_memory_error():
        torch.zeros(3).view(2)


def test_a_command_that_runs_out_of_torchs_memory_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pixelq.cli._dispatch", lambda argv: torch.empty(1 << 60, dtype=torch.uint8))
    assert main(["list"]) == 1
    assert capsys.readouterr().err.startswith("pixelq: out of memory; close other programs")
    monkeypatch.setattr("pixelq.cli._dispatch", lambda argv: torch.zeros(3).view(2))
    with pytest.raises(RuntimeError, match="shape"):
        main(["list"])
