"""A lack of memory is known by what torch really raises, and nothing else is taken for one."""

import pytest
import torch

from pixelq.out_of_memory import is_out_of_memory


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
