"""Every state's action mask comes out of a replay with it: at ends of episodes, after a lap, a restore, on a device."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_replay import FRAMES, Play, assert_same, identity

from pixelq.checkpoints.digests import replay_digest
from pixelq.errors import UserError
from pixelq.replay import Replay

ACTIONS = 11
"""A mask takes two bytes, and not the whole of the second."""
CPU = torch.device("cpu")


def mask_of(state):
    """Each state allows other actions: those that its newest frame's number decides, at least one."""
    mask = np.random.default_rng(identity(state)).random(ACTIONS) < 0.4
    mask[identity(state) % ACTIONS] = True
    return mask


def masked(step):
    """Arguments of `add` with masks, and with an allowed action; final ones are read only where an episode is over."""
    state, _, reward, terminated, over, final = step
    mask = np.stack([mask_of(one) for one in state])
    final_mask = np.stack(
        [mask_of(one) if ended else np.ones(ACTIONS, bool) for one, ended in zip(final, over, strict=True)]
    )
    return state, mask.argmax(axis=1), reward, terminated, over, final, mask, final_mask


def replay_for(dtype=np.uint8, n_step=2, rows_per_env=40, num_envs=2, stack=2):
    return Replay(num_envs * rows_per_env, num_envs, FRAMES[dtype], stack, n_step, 0.9, dtype)


def play_for(replay, mean_length=5.0, seed=0):
    return Play(replay.num_envs, replay.stack, mean_length, np.random.default_rng(seed), replay.frame_shape,
                replay.frame_dtype.type)  # fmt: skip


def feed(play, steps, *replays):
    for _ in range(steps):
        step = masked(play.step())
        for replay in replays:
            replay.add(*step)


def check(batch):
    for states, masks in ((batch.state, batch.action_mask), (batch.next_state, batch.next_action_mask)):
        assert (masks.dtype, masks.shape) == (torch.bool, (len(states), ACTIONS))
        np.testing.assert_array_equal(masks.numpy(), np.stack([mask_of(one.numpy()) for one in states]))
    assert batch.action_mask[torch.arange(len(batch.action)), batch.action].all()


@given(
    steps=st.integers(8, 150), mean_length=st.sampled_from([1.0, 3.0, 1e9]), n_step=st.integers(1, 4),
    rows_per_env=st.integers(3, 40), seed=st.integers(0, 2**32), dtype=st.sampled_from(list(FRAMES)),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_the_masks_of_a_batch_are_those_of_its_states(steps, mean_length, n_step, rows_per_env, seed, dtype):
    replay = replay_for(dtype, n_step, rows_per_env)
    feed(play_for(replay, mean_length, seed), steps, replay)
    if len(replay):
        check(replay.sample(64, np.random.default_rng(seed)))


@pytest.mark.parametrize("dtype", FRAMES)
def test_snapshots_hold_the_masks_and_a_restored_replay_goes_on_with_them(dtype):
    replay = replay_for(dtype)
    play, sealed, since = play_for(replay), [], 0
    for steps in (30, 9, 70):  # the last overwrites what the first stored
        feed(play, steps, replay)
        snapshot = replay.snapshot(since)
        sealed, since = sealed + snapshot.sealed, snapshot.meta["next_serial"]
    restored = replay_for(dtype)
    restored.restore(snapshot.meta, snapshot.arrays, sealed)
    assert restored.nbytes == replay.nbytes
    for _ in range(2):
        both = [one.sample(64, np.random.default_rng(1)) for one in (replay, restored)]
        assert_same(*both)
        check(both[1])
        feed(play, 60, replay, restored)


def test_on_a_device_the_masks_are_the_same():
    plain, raw = replay_for(), replay_for()
    play = play_for(plain)
    feed(play, 20, plain, raw)
    assert raw.keep_raw_frames_on(CPU)
    feed(play, 20, plain, raw)
    batch = raw.sample(64, np.random.default_rng(1))
    check(batch)
    assert_same(batch, plain.sample(64, np.random.default_rng(1)))


def test_before_the_first_mask_every_action_was_allowed_and_without_one_nothing_is_kept():
    replay, plain = replay_for(n_step=1), replay_for(n_step=1)
    play = play_for(replay, mean_length=1e9)
    for _ in range(20):
        step = play.step()
        replay.add(*step)
        plain.add(*step)
    batch, before = plain.sample(8, np.random.default_rng(1)), replay.nbytes
    assert batch.action_mask is batch.next_action_mask is None
    old = replay.snapshot()
    assert "masked_actions" not in old.meta
    feed(play, 1, replay)
    assert replay.nbytes - before == 2 * replay.snapshot().arrays["open_masks"].shape[2] * replay._rows.size
    batch = replay.sample(256, np.random.default_rng(1))
    assert batch.action_mask.all()
    last = batch.rows[:, 1] == 19  # only the state after it has a mask
    assert batch.next_action_mask[~last].all()
    assert last.any()
    assert not batch.next_action_mask[last].all()
    # A run that began without masks has written blocks without them.
    snapshot = replay.snapshot(old.meta["next_serial"])
    restored = replay_for(n_step=1)
    restored.restore(snapshot.meta, snapshot.arrays, old.sealed + snapshot.sealed)
    assert_same(batch, restored.sample(256, np.random.default_rng(1)))


def test_episodes_that_are_cut_end_with_the_mask_they_had():
    replay = replay_for(n_step=1)
    play = play_for(replay, mean_length=1e9)
    feed(play, 5, replay)
    state = play.step()[0]
    replay.cut(state, np.stack([mask_of(one) for one in state]))
    check(replay.sample(64, np.random.default_rng(0)))


def broken(step, **changed):
    names = ("state", "action", "reward", "terminated", "over", "final", "mask", "final_mask")
    return [changed.get(name, part) for name, part in zip(names, step, strict=True)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mask": None}, "an action mask is missing"),
        ({"final_mask": None}, "an action mask is missing"),
        ({"mask": None, "final_mask": None}, "an action mask is missing"),
        ({"mask": np.ones((2, ACTIONS), np.int8)}, r"an action mask is int8 \(2, 11\)"),
        ({"mask": np.ones((3, ACTIONS), bool)}, r"an action mask is bool \(3, 11\)"),
        ({"mask": np.ones((2, 4), bool)}, "masks are of 4 actions, and those before of 11"),
        ({"final_mask": np.ones((2, 12), bool)}, "masks are of 12 actions, and those before of 11"),
        ({"mask": np.zeros((2, ACTIONS), bool)}, "environment 0 allows no action"),
        ({"mask": np.eye(2, ACTIONS, dtype=bool), "action": np.array([0, 7])}, "action 7 of environment 1 is not all"),
        ({"action": np.array([0, ACTIONS])}, "action 11 of environment 1 is not allowed"),
    ],
)
def test_masks_that_cannot_be_are_refused_and_nothing_is_stored(changed, message):
    replay = replay_for()
    play = play_for(replay)
    feed(play, 6, replay)
    before, step = replay.state_dict(), masked(play.step())
    with pytest.raises(UserError, match=message):
        replay.add(*broken(step, **changed))
    after = replay.state_dict()
    assert before["sealed"] == after["sealed"]
    for name, array in before["arrays"].items():
        np.testing.assert_array_equal(array, after["arrays"][name])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda meta, arrays: arrays.pop("open_masks"), "stored open_masks is missing"),
        (lambda meta, arrays: arrays.update(open_masks=arrays["open_masks"][:1]), "stored open_masks is uint8"),
        (lambda meta, arrays: arrays["open_masks"].__setitem__(..., [255, 0b11100000]), "allows no action"),
        (lambda meta, arrays: meta.update(masked_actions=3), "stored open_masks is uint8"),
        (lambda meta, arrays: meta.update(masked_actions=True), "masked_actions True is no number"),
        (lambda meta, arrays: meta.update(masked_actions=10**9), "masked_actions 1000000000 is no number"),
        (lambda meta, arrays: meta.pop("masked_actions"), "bytes of rows"),
    ],
)
def test_damaged_masks_are_refused_and_nothing_has_changed(damage, message):
    replay, other = replay_for(), replay_for()
    feed(play_for(replay), 30, replay)
    feed(play_for(other, seed=7), 30, other)
    state = other.state_dict()
    damage(state["meta"], state["arrays"])
    before = replay_digest(replay.snapshot())
    with pytest.raises(UserError, match=message):
        replay.load_state_dict(state)
    assert replay_digest(replay.snapshot()) == before


def test_other_masks_that_a_game_may_have_given_are_taken_as_they_are():
    replay, other = replay_for(n_step=1), replay_for(n_step=1)
    feed(play_for(other, mean_length=1e9, seed=7), 1, other)
    state = other.state_dict()
    state["arrays"]["open_masks"][...] = [0, 0b00100000]  # a bit for each action that is not allowed: the last one
    replay.load_state_dict(state)
    step = play_for(other, mean_length=1e9, seed=7).step()
    replay.add(*masked(step))
    allowed = replay.sample(16, np.random.default_rng(0)).action_mask
    assert allowed.tolist() == [[True] * 10 + [False]] * 16
