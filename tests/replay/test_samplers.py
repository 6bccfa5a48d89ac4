"""The seam between what a replay holds and which of it is drawn."""

import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_replay import FRAME_SHAPE, Play

from pixelq.errors import UserError
from pixelq.replay import Replay
from pixelq.replay.samplers import Reach
from pixelq.replay.samplers.uniform import Sampler as UniformSampler

sys.path.append(str(Path(__file__).parents[1] / "outside"))


class Recorder:
    """Draws uniformly, and keeps what it hears."""

    uses_priorities: ClassVar[bool] = True

    def __init__(self, num_envs: int, size: int) -> None:
        self.size, self.heard, self.learned_rows = size, [], []
        self._uniform = UniformSampler(num_envs, size, None)

    def added(self, envs: np.ndarray, positions: np.ndarray) -> None:
        self.heard += list(zip(envs.tolist(), positions.tolist(), strict=True))

    def draw(self, size: int, generator: np.random.Generator, reach: Reach) -> tuple[np.ndarray, ...]:
        self.reach = reach
        envs, positions, _ = self._uniform.draw(size, generator, reach)
        return envs, positions, 1.0 + positions  # a weight that names its row

    def learned(self, rows: np.ndarray, priority: np.ndarray) -> None:
        self.learned_rows.append((rows, priority))

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def filled(
    steps: int, num_envs: int = 3, rows: int = 20, n_step: int = 2, mean_length: float = 6.0, seed: int = 0
) -> Any:
    replay = Replay(num_envs * 20, num_envs, FRAME_SHAPE, 4, n_step, gamma=0.9, make_sampler=Recorder)  # type: ignore
    play = Play(num_envs, 4, mean_length, np.random.default_rng(seed))
    for _ in range(steps):
        replay.add(*play.step())
    return replay


@given(steps=st.integers(1, 90), seed=st.integers(0, 1000), n_step=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_a_sampler_hears_of_every_row_once_in_its_order(steps: int, seed: int, n_step: int) -> None:
    replay = filled(steps, seed=seed, n_step=n_step)
    heard = replay.sampler.heard
    assert len(set(heard)) == len(heard)
    for env in range(3):
        positions = [position for e, position in heard if e == env]
        assert positions == list(range(len(positions)))
        assert len(positions) >= steps  # ended episodes have a last row more


def test_rows_and_weights_of_a_batch_are_those_of_the_rows_drawn() -> None:
    replay = filled(90)
    batch = replay.sample(500, np.random.default_rng(1))
    envs, positions = batch.rows.T.numpy()
    reach = replay.sampler.reach
    assert (positions >= reach.oldest[envs]).all()
    assert (positions < reach.written[envs]).all()
    expected = (1.0 + positions) / (1.0 + positions).max()
    np.testing.assert_allclose(batch.weight.numpy(), expected, rtol=1e-6)
    assert batch.weight.max() == 1
    # The same row is the same transition, however often it is drawn.
    first: dict[tuple[int, int], int] = {}
    for i, row in enumerate(map(tuple, batch.rows.tolist())):
        j = first.setdefault(row, i)
        assert torch.equal(batch.state[i], batch.state[j])
        assert batch.return_n[i] == batch.return_n[j]


def test_uniform_batches_weigh_one_and_ask_for_no_priorities() -> None:
    replay = Replay(60, 3, FRAME_SHAPE, 4, 1, gamma=0.9)
    play = Play(3, 4, 6.0, np.random.default_rng(0))
    for _ in range(30):
        replay.add(*play.step())
    batch = replay.sample(32, np.random.default_rng(0))
    assert torch.equal(batch.weight, torch.ones(32))
    assert not replay.sampler.uses_priorities


def test_priorities_go_back_to_the_rows_that_were_drawn() -> None:
    replay = filled(30)
    batch = replay.sample(8, np.random.default_rng(2))
    replay.learned(batch.rows, torch.arange(8.0))
    ((rows, priority),) = replay.sampler.learned_rows
    assert np.array_equal(rows, batch.rows.numpy())
    assert priority.tolist() == list(range(8))


def test_a_proportional_sampler_from_outside_draws_in_proportion_to_its_priorities() -> None:
    from pixelq_outside.proportional_sampler import Options, Sampler

    def make(num_envs: int, size: int) -> Sampler:
        return Sampler(num_envs, size, Options(alpha=1.0, beta=1.0))

    replay = Replay(60, 3, FRAME_SHAPE, 4, 1, gamma=0.9, make_sampler=make)
    play = Play(3, 4, 1e9, np.random.default_rng(0))
    for _ in range(50):  # the ring has wrapped around
        replay.add(*play.step())
    generator = np.random.default_rng(0)
    rows = replay.sample(4000, generator).rows.unique(dim=0)
    wanted = 1.0 + (rows[:, 1] % 4).float()
    replay.learned(rows, wanted)
    draws = 40_000
    batch = replay.sample(draws, generator)
    found, counts = batch.rows.unique(dim=0, return_counts=True)
    assert torch.equal(found, rows)
    expected = draws * wanted / wanted.sum()
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    freedom = len(rows) - 1
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5
    # With beta = 1 weights make up for it wholly: weight times probability is the same for all.
    importance = batch.weight * (1.0 + (batch.rows[:, 1] % 4).float())
    assert torch.allclose(importance, importance[0].expand(draws), rtol=1e-3)


@pytest.mark.parametrize("n_step", [1, 3])
def test_what_a_sampler_draws_that_begins_no_transition_is_drawn_again(n_step: int) -> None:
    """Last rows of episodes and rows whose n steps are not played yet never reach a batch."""
    replay = filled(40, n_step=n_step, mean_length=3.0)
    batch = replay.sample(3000, np.random.default_rng(3))
    assert len(batch.rows.unique(dim=0)) == len(replay)


def drawing(change: Any) -> Any:
    """A replay whose sampler's draws are changed."""

    class Changed(Recorder):
        def draw(self, size: int, generator: np.random.Generator, reach: Reach) -> tuple[np.ndarray, ...]:
            return change(*super().draw(size, generator, reach), reach)

    replay = Replay(60, 3, FRAME_SHAPE, 4, 1, gamma=0.9, make_sampler=Changed)
    play = Play(3, 4, 1e9, np.random.default_rng(0))
    for _ in range(30):
        replay.add(*play.step())
    return replay


BAD_DRAWS: dict[str, tuple[Any, str]] = {
    "rows not written yet": (lambda e, p, w, reach: (e, reach.written[e], w), "out of reach"),
    "rows overwritten long ago": (lambda e, p, w, reach: (e, reach.oldest[e] - 1, w), "out of reach"),
    "negative positions": (lambda e, p, w, reach: (e, -1 - p, w), "out of reach"),
    "an environment too many": (lambda e, p, w, reach: (e + 3, p, w), "whole numbers below 3"),
    "positions with a point": (lambda e, p, w, reach: (e, p.astype(float), w), "whole numbers"),
    "too few": (lambda e, p, w, reach: (e[1:], p[1:], w[1:]), "are not an array (8,)"),
    "lists": (lambda e, p, w, reach: (e.tolist(), p, w), "are not an array"),
    "a column of weights": (lambda e, p, w, reach: (e, p, w[:, None]), "weights are not an array"),
    "weights of zero": (lambda e, p, w, reach: (e, p, 0 * w), "not all 0"),
    "negative weights": (lambda e, p, w, reach: (e, p, -w), "at least 0"),
    "NaN": (lambda e, p, w, reach: (e, p, w * np.nan), "finite"),
    "only rows that begin nothing": (lambda e, p, w, reach: (e, reach.written[e] - 1, w), "drew 1000 times"),
}


@pytest.mark.parametrize("how", BAD_DRAWS)
def test_what_a_sampler_must_not_draw_is_refused(how: str) -> None:
    change, words = BAD_DRAWS[how]
    with pytest.raises(UserError, match=re.escape(words)):
        drawing(change).sample(8, np.random.default_rng(0))
