"""torch's generators across a restart of the process."""

import pytest
import torch

from pixelq.errors import UserError
from pixelq.generators import LENGTHS, GlobalGenerators, load_generator

CPU = torch.device("cpu")


def test_a_generator_goes_on_where_its_state_was_taken():
    one, other = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    torch.rand(3, generator=one)
    load_generator(other, one.get_state())
    assert torch.equal(torch.rand(4, generator=one), torch.rand(4, generator=other))
    assert len(one.get_state()) in LENGTHS["cpu"]


@pytest.mark.parametrize("length", [*LENGTHS["cuda"], *LENGTHS["mps"]])
def test_the_state_of_another_kind_of_device_leaves_a_generator_as_it_is(length):
    one = torch.Generator().manual_seed(1)
    before = one.get_state()
    load_generator(one, torch.zeros(length, dtype=torch.uint8))
    assert torch.equal(one.get_state(), before)


@pytest.mark.parametrize(
    "state",
    [
        torch.zeros(0, dtype=torch.uint8),
        torch.zeros(5055, dtype=torch.uint8),
        torch.zeros(5057, dtype=torch.uint8),
        torch.zeros(17, dtype=torch.uint8),
        torch.zeros(16, dtype=torch.int64),
        torch.zeros((16, 1), dtype=torch.uint8),
    ],
    ids=lambda state: f"{tuple(state.shape)} {state.dtype}",
)
def test_a_state_of_no_device_is_refused_and_changes_nothing(state):
    one = torch.Generator().manual_seed(1)
    before = one.get_state()
    with pytest.raises(UserError, match="the state of a random generator is"):
        load_generator(one, state)
    assert torch.equal(one.get_state(), before)


def test_torchs_own_generator_is_seeded_kept_and_put_back():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    run = GlobalGenerators(CPU)
    run.seed(7)
    torch.rand(3)
    state = run.state_dict()
    drawn = torch.rand(2)
    run.load_state_dict(state)
    assert torch.equal(torch.rand(2), drawn)
    run.restore()
    assert torch.equal(torch.rand(2), expected)
