"""Sequences from a replay, row by row beside plain lists: states, returns, ends of episodes, recurrent states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from frequencies import chi_square
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_replay import FRAMES, NaiveReplay, Play

from pixelq.checkpoints.digests import replay_digest
from pixelq.errors import UserError
from pixelq.replay import Batch
from pixelq.replay.samplers.prioritized import Options, Sampler
from pixelq.replay.sequence_replay import SequenceReplay, Sequencing

S = 3
SHAPES = st.fixed_dictionaries(
    {
        "num_envs": st.integers(1, 3), "stack": st.integers(1, 4), "n_step": st.integers(1, 4),
        "length": st.integers(1, 6), "burn_in": st.integers(0, 5), "every": st.integers(1, 7),
        "dtype": st.sampled_from([np.uint8, np.float32]), "mean_length": st.sampled_from([2.0, 6.0, 50.0]),
    }
)  # fmt: skip


class Played:
    """A replay of sequences, the same in plain lists, and what was remembered before every row."""

    def __init__(self, shape: dict[str, Any], steps: int, seed: int, spare: int = 40, make_sampler: Any = None) -> None:
        self.shape, generator = shape, np.random.default_rng(seed)
        n, stack, n_step, dtype = (shape[name] for name in ("num_envs", "stack", "n_step", "dtype"))
        self.window = shape["burn_in"] + shape["length"] + n_step
        self.capacity = n * (self.window + shape["every"] + spare)
        self.make_sampler = make_sampler
        self.replay, self.naive = self.empty(), NaiveReplay(self.capacity, n, n_step, 0.9)
        self.remembered: list[dict[int, np.ndarray]] = [{} for _ in range(n)]
        play = Play(n, stack, shape["mean_length"], generator, dtype=dtype)
        for _ in range(steps):
            arguments = play.step()
            recurrent_state = torch.from_numpy(generator.normal(size=(n, S)).astype(np.float32))
            for env, rows in enumerate(self.naive.rows):
                self.remembered[env][len(rows)] = recurrent_state[env].numpy()
            self.replay.add(*arguments, recurrent_state=recurrent_state)
            self.naive.add(*arguments)

    def empty(self, stored: bool = True) -> SequenceReplay:
        shape = self.shape
        return SequenceReplay(
            self.capacity, shape["num_envs"], FRAMES[shape["dtype"]], shape["stack"], shape["n_step"], 0.9,
            shape["dtype"], sequencing=Sequencing(shape["length"], shape["burn_in"], shape["every"], stored),
            recurrent_size=S, make_sampler=self.make_sampler,
        )  # fmt: skip

    def sequences(self) -> set[tuple[int, int]]:
        """Every sequence that may be drawn, by environment and number."""
        found = set()
        for env, rows in enumerate(self.naive.rows):
            oldest = max(0, len(rows) - self.naive.rows_per_env)
            found |= {
                (env, first // self.shape["every"])
                for first in range(0, len(rows) - self.window + 1, self.shape["every"])
                if first >= oldest
            }
        return found

    def check(self, batch: Batch) -> set[tuple[int, int]]:
        """Hold a batch to the lists; returns the sequences that it holds."""
        length, burn_in, every = (self.shape[name] for name in ("length", "burn_in", "every"))
        n = len(batch.action) // length
        assert batch.recurrent_state is not None
        assert batch.starts is not None
        burnt_in = batch.state[:0] if batch.burn_in_state is None else batch.burn_in_state
        states = torch.cat([burnt_in, batch.next_state]).unflatten(0, (-1, n))
        assert torch.equal(batch.next_state[: len(batch.state)], batch.state)
        starts = batch.starts.view(-1, n)
        assert len(states) == len(starts) == self.window
        found = set()
        for j in range(n):
            env, position = batch.rows[j].tolist()
            first = position - burn_in
            assert first % every == 0
            found.add((env, first // every))
            rows = self.naive.rows[env]
            kept = self.remembered[env].get(first, np.zeros(S, np.float32))  # a last frame: zeros, which do not count
            np.testing.assert_array_equal(batch.recurrent_state[j].numpy(), kept)
            for t in range(self.window):
                row, before = rows[first + t], rows[first + t - 1] if first + t else None
                np.testing.assert_array_equal(states[t, j].numpy(), row.observation)
                assert starts[t, j] == (before is not None and (before.action is None or before.terminated))
            for t in range(length):
                self.check_row(batch, t * n + j, env, position + t, t, n)
        return found

    def check_row(self, batch: Batch, i: int, env: int, position: int, t: int, n: int) -> None:
        assert batch.rows[i].tolist() == [env, position]
        naive = self.naive._transition(env, position)
        if naive is None:  # an episode's last frame
            assert self.naive.rows[env][position].action is None
            assert batch.weight[i] == 0
            return
        assert batch.weight[i] == 1
        assert batch.action[i] == naive.action
        assert batch.return_n[i].item() == pytest.approx(naive.return_n, abs=1e-5)
        assert batch.discount_n[i].item() == pytest.approx(naive.discount_n)
        assert batch.next_row is not None
        after = int(batch.next_row[i])
        assert (after - i) % n == 0
        if naive.discount_n:
            np.testing.assert_array_equal(batch.next_state[after].numpy(), naive.next_state)


@settings(max_examples=25, deadline=None)
@given(shape=SHAPES, steps=st.integers(1, 150), seed=st.integers(0, 1000))
def test_sequences_are_what_was_played_and_all_of_them_may_be_drawn(
    shape: dict[str, Any], steps: int, seed: int
) -> None:
    played = Played(shape, steps, seed)
    possible, generator = played.sequences(), np.random.default_rng(seed)
    if not possible:
        with pytest.raises(UserError, match="no whole sequence is stored yet"):
            played.replay.sample(shape["length"], generator)
        return
    drawn: set[tuple[int, int]] = set()
    for _ in range(3):
        drawn |= played.check(played.replay.sample(4 * shape["length"], generator))
    assert drawn <= possible
    number = 12 * len(possible)
    rows = played.replay.sample(number * shape["length"], generator).rows[:number].numpy()
    assert {(env, (row - shape["burn_in"]) // shape["every"]) for env, row in rows.tolist()} <= possible
    if len(possible) < 8:  # each stays away with a chance of 1 in 160,000
        assert {(env, (row - shape["burn_in"]) // shape["every"]) for env, row in rows.tolist()} == possible


WIDE: dict[str, Any] = {
    "num_envs": 2, "stack": 2, "n_step": 2, "length": 4, "burn_in": 3, "every": 3, "dtype": np.uint8,
    "mean_length": 9.0,
}  # fmt: skip


def equal(a: Batch, b: Batch) -> bool:
    mine, other = a.named_tensors(), b.named_tensors()
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


@settings(max_examples=15, deadline=None)
@given(shape=SHAPES, stored=st.booleans(), steps=st.integers(0, 120), seed=st.integers(0, 1000))
def test_a_restored_replay_holds_the_same_and_gives_the_same_sequences_and_goes_on_alike(
    shape: dict[str, Any], stored: bool, steps: int, seed: int
) -> None:
    played = Played(shape, steps, seed, spare=10)
    if not stored:
        zeros = played.empty(stored=False)
        zeros_play = Play(shape["num_envs"], shape["stack"], 9.0, np.random.default_rng(seed), dtype=shape["dtype"])
        for _ in range(steps):
            zeros.add(*zeros_play.step())
        played.replay = zeros
    other = played.empty(stored)
    other.load_state_dict(played.replay.state_dict())
    more = Play(shape["num_envs"], shape["stack"], 9.0, np.random.default_rng(5), dtype=shape["dtype"])
    a, b = np.random.default_rng(7), np.random.default_rng(7)
    assert replay_digest(played.replay.snapshot()) == replay_digest(other.snapshot())
    for i in range(50):
        if played.replay._reach().written.any():
            size = 3 * shape["length"]
            assert equal(played.replay.sample(size, a), other.sample(size, b))
        arguments, recurrent_state = more.step(), torch.full((shape["num_envs"], S), float(i))
        for replay in (played.replay, other):
            replay.add(*arguments, recurrent_state=recurrent_state)
    assert replay_digest(played.replay.snapshot()) == replay_digest(other.snapshot())


def test_a_snapshot_since_another_has_only_the_recurrent_states_of_blocks_that_were_sealed_meanwhile() -> None:
    played, play = Played(WIDE, 40, seed=3), Play(2, 2, 9.0, np.random.default_rng(5))
    first = played.replay.snapshot()
    for i in range(30):
        played.replay.add(*play.step(), recurrent_state=torch.full((2, S), float(i)))
    second = played.replay.snapshot(since=first.meta["next_serial"])
    assert {block.serial for block in first.sealed}.isdisjoint(block.serial for block in second.sealed)
    other = played.empty()
    other.restore(second.meta, second.arrays, [*second.sealed, *first.sealed])  # in any order, dropped ones among them
    assert replay_digest(other.snapshot()) == replay_digest(played.replay.snapshot())


def damaged(state: dict[str, Any], how: str) -> dict[str, Any]:
    """A replay's state in which recurrent states are not what they were."""
    saved, sealed = state["arrays"]["open_recurrent_states"], list(state["sealed"])
    arrays = {k: v for k, v in state["arrays"].items() if k != "open_recurrent_states"}
    if how == "missing":
        return state | {"arrays": arrays}
    if how in ("shape", "dtype", "not finite"):
        other = {"shape": saved[:, :, 1:], "dtype": saved.astype(np.float64), "not finite": np.full_like(saved, np.inf)}
        return state | {"arrays": arrays | {"open_recurrent_states": other[how]}}
    if how == "every":
        return state | {"meta": state["meta"] | {"sequence_every": 4}}
    if how == "size":
        return state | {"meta": state["meta"] | {"recurrent_size": S + 1}}
    rows = {"sealed, cut": sealed[2].rows[:3], "sealed, longer": sealed[2].rows + b"more", "sealed, not finite":
            sealed[2].rows[:-4] + np.float32(np.nan).tobytes()}  # fmt: skip
    sealed[2] = sealed[2]._replace(rows=rows[how])
    return state | {"sealed": sealed}


DAMAGED = {
    "missing": "stored open_recurrent_states is missing, must be float32",
    "shape": "stored open_recurrent_states is float32 .*, must be",
    "dtype": "stored open_recurrent_states is float64 .*, must be",
    "not finite": "hold NaN or infinite numbers",
    "every": "stored sequence_every is 4, this replay's is 3",
    "size": "stored recurrent_size is 4, this replay's is 3",
    "sealed, cut": "lacks its recurrent states|bytes of rows",
    "sealed, longer": "bytes of rows",
    "sealed, not finite": "hold NaN or infinite numbers",
}


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_recurrent_states_are_refused_and_change_nothing(how: str) -> None:
    state, other = Played(WIDE, 100, seed=3).replay.state_dict(), Played(WIDE, 80, seed=4).replay
    before = replay_digest(other.snapshot())
    with pytest.raises(UserError, match=DAMAGED[how]):
        other.load_state_dict(damaged(state, how))
    assert replay_digest(other.snapshot()) == before


def test_a_batch_that_is_not_of_whole_sequences_is_refused() -> None:
    replay = Played(WIDE, 100, seed=3).replay
    for size in (3, 10):
        with pytest.raises(UserError, match=f"a batch of {size} transitions is not of whole sequences of 4"):
            replay.sample(size, np.random.default_rng(0))


def test_with_zeros_at_the_start_no_recurrent_state_is_kept() -> None:
    played = Played(WIDE, 100, seed=3)
    zeros = played.empty(stored=False)
    play = Play(2, 2, 9.0, np.random.default_rng(5))
    for _ in range(40):
        zeros.add(*play.step(), recurrent_state=torch.ones((2, S)))
    batch = zeros.sample(12, np.random.default_rng(0))
    assert batch.recurrent_state is not None
    assert torch.equal(batch.recurrent_state, torch.zeros((3, S)))
    assert zeros.nbytes < played.replay.nbytes - 8 * played.replay.window
    assert zeros.reserved_bytes == 0
    assert played.replay.reserved_bytes == 4 * S / 3  # a recurrent state every three rows


def test_a_sequences_priority_is_that_of_its_largest_and_mean_error_without_last_frames() -> None:
    told: list[tuple[np.ndarray, np.ndarray]] = []

    class Noting(Sampler):
        def learned(self, rows: np.ndarray, priority: np.ndarray) -> None:
            told.append((rows, priority))
            super().learned(rows, priority)

    def noting(num_envs: int, size: int) -> Noting:
        return Noting(num_envs, size, Options())

    played, generator = Played(WIDE, 120, seed=3, make_sampler=noting), np.random.default_rng(0)
    last_frames = 0
    for _ in range(30):
        batch = played.replay.sample(20, generator)
        priority = torch.rand(20, generator=torch.Generator().manual_seed(1)) + 0.1
        played.replay.learned(batch.rows, priority)
        rows, of_sequence = told[-1]
        for j in range(5):
            env, position = batch.rows[j].tolist()
            assert rows[j].tolist() == [env, (position - 3) // 3]
            errors = [
                priority[t * 5 + j].item() for t in range(4) if played.naive.rows[env][position + t].action is not None
            ]
            last_frames += 4 - len(errors)
            assert of_sequence[j] == pytest.approx(0.9 * max(errors) + 0.1 * sum(errors) / len(errors), rel=1e-6)
    assert last_frames > 10


def test_sequences_with_a_large_error_are_drawn_as_often_as_their_priority_says() -> None:
    def sampler(num_envs: int, size: int) -> Sampler:
        return Sampler(num_envs, size, Options(priority_exponent=1.0, beta_start=1.0, priority_eps=0.0))

    played, generator = Played(WIDE | {"num_envs": 1}, 30, seed=3, make_sampler=sampler), np.random.default_rng(0)
    possible = sorted(played.sequences())
    first = [[0, 3 * number + 3] for _, number in possible]
    rows = torch.tensor([[env, row + t] for t in range(4) for env, row in first])
    wanted = torch.arange(1.0, len(possible) + 1)
    played.replay.learned(rows, wanted.repeat(4))
    batch = played.replay.sample(4 * 6_000, generator)
    drawn = np.bincount((batch.rows[:6_000, 1].numpy() - 3) // 3, minlength=len(possible))
    assert abs(chi_square(drawn, 6_000 * (wanted / wanted.sum()).numpy())) < 4
    # Importance weights with beta = 1 are as much smaller as a sequence is drawn more often.
    number = (batch.rows[:6_000, 1] - 3) // 3
    real = batch.weight[:6_000] > 0
    torch.testing.assert_close(
        batch.weight[:6_000][real], (1 / wanted[number] / (1 / wanted[number]).max())[real], rtol=1e-5, atol=1e-6
    )


def test_a_replay_too_small_for_a_sequence_at_any_time_is_refused() -> None:
    sizes: Any = (2 * 11, 2, (5, 7), 1, 2, 0.9)
    with pytest.raises(UserError, match="capacity = 22 must be at least 2 x 12"):
        SequenceReplay(*sizes, sequencing=Sequencing(4, 3, 4), recurrent_size=1)
    SequenceReplay(24, *sizes[1:], sequencing=Sequencing(4, 3, 4), recurrent_size=1)


ON_CARD = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))


@pytest.mark.parametrize("device", ["cpu", ON_CARD])
def test_frames_kept_on_a_device_give_the_same_sequences_with_everything_there(device: str) -> None:
    played = Played(WIDE, 150, seed=3)
    before = played.replay.sample(40, np.random.default_rng(1))
    assert played.replay.keep_raw_frames_on(torch.device(device))
    found = played.replay.sample(40, np.random.default_rng(1))
    assert {x.device.type for x in found.tensors()} == {device}
    assert equal(before, found.map(torch.Tensor.cpu))
