"""A replay's whole state, its sampler's too: what is restored from it goes on as the one that it was taken from."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_replay import FRAME_SHAPE, Play

from pixelq.checkpoints.digests import replay_digest
from pixelq.checkpoints.state_tree import tree_digest
from pixelq.errors import UserError
from pixelq.replay import Batch, Replay
from pixelq.replay.samplers.prioritized import Options, Sampler
from pixelq.replay.samplers.uniform import Sampler as UniformSampler
from pixelq.replay.sequence_replay import SequenceReplay, Sequencing

ENVS, ROWS, SIZE = 2, 24, 6
KINDS = st.fixed_dictionaries(
    {"sequences": st.booleans(), "masks": st.booleans(), "n_step": st.integers(1, 3)},
)


class Used:
    """A replay with prioritized sampling, played into and learned from; everything is decided by its seed."""

    def __init__(self, kind: dict[str, Any], seed: int = 0, mean_length: float = 6.0) -> None:
        self.kind, self.generator = kind, np.random.default_rng(seed)
        self.play = Play(ENVS, 4, mean_length, np.random.default_rng(seed + 1))
        self.replay = empty(**kind)

    def step(self) -> Batch | None:
        """One agent step, and where there is something to learn from, a batch and its priorities."""
        step, masks = self.play.step(), []
        if self.kind["masks"]:
            masks = [self.generator.random((ENVS, 18)) < 0.5 for _ in range(2)]
            masks[0][np.arange(ENVS), step[1]] = masks[1][:, 0] = True
        self.replay.add(*step, *masks)
        reach = self.replay._reach()
        if not len(self.replay) or not (reach.written > reach.oldest).any():
            return None
        batch = self.replay.sample(SIZE, self.generator)
        self.replay.learned(batch.rows, torch.from_numpy(self.generator.gamma(1, size=SIZE).astype(np.float32)))
        return batch

    def go_on_with(self, replay: Replay) -> Used:
        """The same play and draws with another replay."""
        other = copy.deepcopy(self)
        other.replay = replay
        return other


def empty(sequences: bool, masks: bool, n_step: int) -> Replay:
    del masks

    def make_sampler(num_envs: int, size: int) -> Sampler:
        return Sampler(num_envs, size, Options(beta_steps=300))

    sizes: Any = (ENVS * ROWS, ENVS, FRAME_SHAPE, 4, n_step, 0.9)
    if not sequences:
        return Replay(*sizes, make_sampler=make_sampler)
    return SequenceReplay(*sizes, sequencing=Sequencing(3, 2, 2), recurrent_size=1, make_sampler=make_sampler)


def used(kind: dict[str, Any], steps: int, seed: int = 0) -> Used:
    made = Used(kind, seed)
    for _ in range(steps):
        made.step()
    return made


def digests(replay: Replay) -> tuple[str, str]:
    """Of what it holds, and of its sampler."""
    return replay_digest(replay.snapshot()), tree_digest(replay.sampler.state_dict())


@given(kind=KINDS, steps=st.integers(0, 70), before=st.integers(0, 40), seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_a_replay_that_took_over_a_state_goes_on_to_the_bit(
    kind: dict[str, Any], steps: int, before: int, seed: int
) -> None:
    """Anywhere in the ring, also over what another play left in it."""
    one = used(kind, steps, seed)
    other = one.go_on_with(used(kind, before, seed + 1).replay)
    other.replay.load_state_dict(one.replay.state_dict())
    assert digests(one.replay) == digests(other.replay)
    for _ in range(30):
        mine, its = one.step(), other.step()
        assert (mine is None) == (its is None)
        if mine is not None and its is not None:
            tensors = its.named_tensors()
            assert all(torch.equal(part, tensors[name]) for name, part in mine.named_tensors().items())
    assert digests(one.replay) == digests(other.replay)


@pytest.mark.parametrize("sequences", [False, True])
def test_a_state_is_not_touched_by_what_follows(sequences: bool) -> None:
    kind = {"sequences": sequences, "masks": True, "n_step": 2}
    one, other = used(kind, 40), empty(**kind)
    state = one.replay.state_dict()
    other.load_state_dict(copy.deepcopy(state))
    for _ in range(15):
        one.step()
    again = empty(**kind)
    again.load_state_dict(state)
    assert digests(other) == digests(again)


@given(kind=KINDS, steps=st.integers(0, 70), before=st.integers(0, 90), seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_of_a_state_without_a_samplers_everything_that_is_held_is_new(
    kind: dict[str, Any], steps: int, before: int, seed: int
) -> None:
    """As states were before they had it: nothing is left out for ever, and nothing of before is drawn."""
    one, replay = used(kind, steps, seed).replay, used(kind, before, seed + 1).replay
    state = one.state_dict()
    del state["sampler"]
    replay.load_state_dict(state)
    assert replay_digest(replay.snapshot()) == replay_digest(one.snapshot())
    oldest, written = replay._reach()
    wanted = {(env, i) for env in range(ENVS) for i in range(oldest[env], written[env])}
    if not kind["sequences"]:
        wanted = {(e, i) for e, i in wanted if not replay._rows.at(e, np.array([i]))["flags"][0] & 4}
    if not wanted:
        return
    envs, positions, weight = replay.sampler.draw(4_000, np.random.default_rng(0), replay._reach())
    assert set(zip(envs.tolist(), positions.tolist(), strict=True)) == wanted
    assert (weight == weight[0]).all()


DAMAGES: dict[str, Any] = {
    "a uniform sampler's": lambda state: {**state, "sampler": {}},
    "no state": lambda state: {**state, "sampler": [3]},
    "of another size": lambda state: {**state, "sampler": {**state["sampler"], "priority": np.zeros(3, np.float32)}},
    "NaN": lambda state: {**state, "sampler": {**state["sampler"], "highest": np.nan}},
    "contents of another replay": lambda state: {**state, "meta": {**state["meta"], "capacity": 7}},
}


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_state_that_does_not_fit_is_refused_in_a_line_and_changes_nothing(how: str, sequences: bool) -> None:
    kind = {"sequences": sequences, "masks": False, "n_step": 1}
    one, other = used(kind, 30, seed=1).replay, used(kind, 45, seed=2).replay
    before = other.state_dict()
    with pytest.raises(
        UserError, match=r"^replay: (the stored sampler|stored capacity) .*; use the settings it was made with$"
    ):
        other.load_state_dict(DAMAGES[how](one.state_dict()))
    as_before = empty(**kind)
    as_before.load_state_dict(before)
    assert digests(as_before) == digests(other)


def test_a_snapshot_holds_no_sampler_which_runs_save_beside_it() -> None:
    replay = used({"sequences": False, "masks": False, "n_step": 1}, 30).replay
    state, snapshot = replay.state_dict(), replay.snapshot()
    assert set(state) == {"meta", "arrays", "sealed", "sampler"}
    assert state["meta"] == snapshot.meta
    assert set(state["arrays"]) == set(snapshot.arrays)


@pytest.mark.parametrize("sequences", [False, True])
def test_a_uniform_replay_refuses_priorities_and_takes_a_state_of_its_own_or_none(sequences: bool) -> None:
    kind = {"sequences": sequences, "masks": False, "n_step": 1}
    state, one = used(kind, 30).replay.state_dict(), empty(**kind)
    one._new_sampler = lambda: UniformSampler(ENVS, ROWS)
    one.sampler = one._new_sampler()
    for strange in (state["sampler"], [3], None if sequences else "x"):
        if strange is not None:
            with pytest.raises(
                UserError, match=r"^replay: the stored sampler is not this replay's \(ValueError: it is of"
            ):
                one.load_state_dict({**state, "sampler": strange})
    assert len(one) == 0
    del state["sampler"]
    one.load_state_dict(state)
    again = one.state_dict()
    assert again["sampler"] == {}
    one.load_state_dict(again)
    assert digests(one)[0] == digests(used(kind, 30).replay)[0]
