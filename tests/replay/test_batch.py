"""What a learner is handed: every field moves, and one tensor in two fields stays one."""

import dataclasses

import pytest
import torch

from pixelq.replay import Batch

CPU, META = torch.device("cpu"), torch.device("meta")
FIELDS = [field.name for field in dataclasses.fields(Batch)]
TWICE = ("next_state", "next_action_mask")
"""Fields that are another one's tensor where one state is both."""
both = pytest.mark.parametrize("shared", [False, True], ids=["two states", "one state"])


def batch(shared=False, size=5):
    """Frames are overlapping views, as a replay hands them over; if shared, one state is both."""
    g = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (size, 4, 6, 6), dtype=torch.uint8, generator=g)
    state = frames[:, :3]
    mask = torch.rand((size, 4), generator=g) > 0.5
    return Batch(
        state=state,
        action=torch.randint(0, 4, (size,), generator=g),
        return_n=torch.randn(size, generator=g),
        discount_n=torch.rand(size, generator=g),
        next_state=state if shared else frames[:, 1:],
        weight=torch.rand(size, generator=g),
        rows=torch.randint(0, 99, (size, 2), generator=g),
        action_mask=mask,
        next_action_mask=mask if shared else torch.rand((size, 4), generator=g) > 0.5,
        recurrent_state=torch.randn((1, 8), generator=g),
        starts=torch.rand(size, generator=g) > 0.5,
        burn_in_state=frames[:2, :3],
        next_row=torch.randint(0, size, (size,), generator=g),
    )


@both
def test_a_change_is_made_once_to_each_tensor_and_stands_in_every_field_that_had_it(shared):
    one, seen = batch(shared), []

    def change(x):
        seen.append(x)
        return x + 1

    changed = one.map(change)
    assert [id(x) for x in seen] == [id(x) for x in one.tensors()]
    assert len(seen) == len(FIELDS) - len(TWICE) * shared
    assert (changed.next_state is changed.state) == shared
    for field in FIELDS:
        assert torch.equal(getattr(changed, field), getattr(one, field) + 1), field


@both
def test_tensors_are_all_fields_in_their_order_each_once(shared):
    one = batch(shared)
    expected = [getattr(one, field) for field in FIELDS if not (shared and field in TWICE)]
    assert [id(x) for x in one.tensors()] == [id(x) for x in expected]
    if not shared:
        again = Batch(*one.tensors())
        assert all(getattr(again, field) is getattr(one, field) for field in FIELDS)


@both
def test_a_batch_moves_as_it_is_and_a_state_that_serves_twice_moves_once(shared):
    one = batch(shared)
    moved = one.to(META)
    assert (moved.next_state is moved.state) == shared
    for field in FIELDS:
        there, here = getattr(moved, field), getattr(one, field)
        assert (there.device.type, there.shape, there.dtype) == ("meta", here.shape, here.dtype)
    assert one.to(CPU) is one


def test_a_batch_that_no_sampler_has_drawn_has_weights_of_one_and_rows_of_zero():
    given = batch()
    one = Batch.unweighted(given.state, given.action, given.return_n, given.discount_n, given.next_state)
    assert one.weight.tolist() == [1.0] * 5
    assert one.rows.tolist() == [[0, 0]] * 5
    assert one.weight.dtype == torch.float32
    assert one.rows.dtype == torch.int64
    assert all(getattr(one, field) is getattr(given, field) for field in FIELDS[:5])
    elsewhere = Batch.unweighted(*(x.to(META) for x in given.tensors()[:5]))
    assert {x.device.type for x in elsewhere.tensors()} == {"meta"}


def test_a_batch_without_action_masks_and_sequences_has_none_of_their_tensors():
    given = batch()
    one = Batch.unweighted(*given.tensors()[:5])
    assert list(one.named_tensors()) == FIELDS[:7]
    assert list(given.named_tensors()) == FIELDS
    for same in (one.map(lambda x: x), Batch(**one.named_tensors()), one.to(META)):
        assert same.action_mask is same.next_action_mask is None


def test_a_batch_of_sequences_without_action_masks_keeps_its_fields_apart_when_it_moves():
    given = batch()
    one = dataclasses.replace(given, action_mask=None, next_action_mask=None)
    for same in (one.map(lambda x: x), Batch(**one.named_tensors())):
        assert same.action_mask is same.next_action_mask is None
        assert same.recurrent_state is given.recurrent_state
        assert same.starts is given.starts


def test_a_batch_with_action_masks_has_both():
    given = batch()
    masked = Batch.unweighted(*given.tensors()[:5], given.action_mask, given.next_action_mask)
    assert masked.next_action_mask is given.next_action_mask


def test_a_batch_is_not_to_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch().weight = torch.ones(5)
