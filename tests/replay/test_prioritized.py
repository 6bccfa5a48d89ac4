"""Proportional prioritized replay, held to equations 1 and 2 of Schaul et al. 2016 and to a naive sampler."""

from typing import Any

import numpy as np
import pytest
import torch
from frequencies import chi_square
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_replay import FRAME_SHAPE, Play

from pixelq.errors import UserError
from pixelq.replay import Replay
from pixelq.replay.ahead import minibatches
from pixelq.replay.samplers import Reach
from pixelq.replay.samplers.prioritized import LARGEST, Options, Sampler

ALL = np.arange(1)


def sampler_of(priorities: list[float], **options: Any) -> tuple[Sampler, Reach]:
    """A sampler of one environment with a row for each priority, without eps."""
    sampler = Sampler(1, len(priorities), Options(**{"priority_eps": 0.0, **options}))
    for position in range(len(priorities)):
        sampler.added(ALL, np.array([position]))
    sampler.learned(rows_of(range(len(priorities))), np.array(priorities, np.float32))
    return sampler, Reach(np.array([0]), np.array([len(priorities)]))


def rows_of(positions: Any, env: int = 0) -> np.ndarray:
    positions = np.asarray(list(positions))
    return np.stack([np.full_like(positions, env), positions], axis=1)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_frequencies_are_those_of_equation_1(alpha: float) -> None:
    """P(i) = p_i^alpha / sum_k p_k^alpha; with alpha 0 every transition is as likely as any other, p = 0 too."""
    generator = np.random.default_rng(0)
    priorities = generator.gamma(0.7, size=700)
    priorities[13] = 0.0
    sampler, reach = sampler_of(priorities.tolist(), priority_exponent=alpha, stratified=False)
    drawn = np.concatenate([sampler.draw(500, generator, reach)[1] for _ in range(400)])
    wanted = np.array([p**alpha for p in priorities.tolist()])
    counts, expected = np.bincount(drawn, minlength=700), len(drawn) * wanted / wanted.sum()
    assert (counts[expected == 0] == 0).all()
    often = expected > 5
    assert often.sum() > 500
    assert abs(chi_square(counts[often], expected[often] * counts[often].sum() / expected[often].sum())) < 4
    assert alpha != 0.0 or counts[13] > 0


def test_stratified_draws_have_the_same_frequencies_and_one_draw_from_each_part() -> None:
    """Appendix B.2.1: the range [0, p_total] is divided into k equal parts, and each gives one."""
    generator = np.random.default_rng(0)
    priorities = [1.0, 1.0, 2.0, 4.0] * 8  # 64 in all: each of 8 parts is four of these rows
    sampler, reach = sampler_of(priorities, priority_exponent=1.0)
    counts = np.zeros(32)
    for _ in range(4_000):
        _, positions, _ = sampler.draw(8, generator, reach)
        assert np.array_equal(positions // 4, np.arange(8))
        counts += np.bincount(positions, minlength=32)
    assert abs(chi_square(counts, np.array(priorities) / 64 * counts.sum())) < 4


def test_weights_are_those_of_section_3_4_by_hand() -> None:
    """Priorities 1, 4, 16 with alpha = 1/2 are drawn 1/7, 2/7, 4/7; N = 3 and beta = 1/2 weigh sqrt(7/3), ..."""
    sampler, reach = sampler_of([1.0, 4.0, 16.0], priority_exponent=0.5, beta_start=0.5, beta_end=0.5)
    _, positions, weights = sampler.draw(1_000, np.random.default_rng(0), reach)
    by_hand = np.array([(7 / 3) ** 0.5, (7 / 6) ** 0.5, (7 / 12) ** 0.5])
    np.testing.assert_allclose(weights / weights.max(), by_hand[positions] / by_hand[0], rtol=1e-6)


def test_with_beta_1_weighted_draws_are_uniform() -> None:
    sampler, reach = sampler_of([0.1, 3.0, 0.7, 40.0], beta_start=1.0)
    _, positions, weights = sampler.draw(40_000, np.random.default_rng(0), reach)
    weighed = np.bincount(positions, weights)
    np.testing.assert_allclose(weighed / weighed.sum(), 0.25, atol=0.01)


def exponent_of(sampler: Sampler, reach: Reach) -> float:
    """beta, read off the weights of two rows with priorities 1 and 2 and alpha 1."""
    sampler.learned(rows_of([0, 1]), np.array([1.0, 2.0], np.float32))
    _, positions, weights = sampler.draw(300, np.random.default_rng(0), reach)
    by_row = dict(zip(positions.tolist(), weights.tolist(), strict=True))
    return float(np.log2(by_row[0] / by_row[1]))


@pytest.mark.parametrize(
    ("options", "planned", "betas"),
    [
        ({"beta_steps": 20}, 1_000, {4: 0.52, 10: 0.7, 20: 1.0, 30: 1.0}),
        ({"beta_begin": 10, "beta_steps": 10}, 1_000, {4: 0.4, 10: 0.4, 16: 0.76, 26: 1.0}),
        ({}, 20, {4: 0.52, 10: 0.7, 20: 1.0, 30: 1.0}),
        ({"beta_begin": 10}, 20, {10: 0.4, 16: 0.76, 20: 1.0}),
        ({"beta_start": 0.5, "beta_end": 0.5}, 20, {4: 0.5, 20: 0.5}),
    ],
    ids=["so many steps", "from a step on", "the whole run", "from a step to the end of the run", "constant"],
)
def test_beta_rises_with_agent_steps_which_last_rows_of_episodes_are_none_of(
    options: dict[str, Any], planned: int, betas: dict[int, float]
) -> None:
    """Two environments, so that a call of `added` is two agent steps; in one of them an episode ends every time."""
    sampler = Sampler(2, 100, Options(priority_exponent=1.0, priority_eps=0.0, **options))
    sampler.planned(planned)
    written, found = np.zeros(2, np.int64), {}

    def add(envs: np.ndarray) -> np.ndarray:
        positions = written[envs].copy()
        sampler.added(envs, positions)
        written[envs] += 1
        return positions

    for steps in range(2, 32, 2):
        add(np.arange(2))
        sampler.ended(np.array([1]), add(np.array([1])))
        if steps >= 4:  # only rows 0 and 1 of environment 0 are in reach of these draws
            found[steps] = exponent_of(sampler, Reach(np.array([0, written[1]]), np.array([2, written[1]])))
    assert {steps: pytest.approx(found[steps], abs=1e-5) for steps in betas} == betas


def test_a_new_transition_has_the_highest_priority_so_far() -> None:
    """Algorithm 1, line 6: 1 at first, then the largest that was ever found, also after that has become small."""
    sampler = Sampler(1, 8, Options(priority_exponent=1.0, priority_eps=0.25))
    sampler.added(ALL, np.array([0]))
    sampler.added(ALL, np.array([1]))
    sampler.learned(rows_of([0]), np.array([0.5], np.float32))
    sampler.added(ALL, np.array([2]))
    sampler.learned(rows_of([1]), np.array([3.0], np.float32))
    sampler.learned(rows_of([1]), np.array([0.0], np.float32))
    sampler.added(ALL, np.array([3]))
    assert sampler.state_dict()["priority"].tolist() == [0.75, 0.25, 1.0, 3.25, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("gap", [1, 5, 13, 40])
def test_rows_out_of_reach_are_never_drawn_however_many_came_between_two_draws(gap: int) -> None:
    """The ring has 13 places for 10 rows in reach; some gaps are longer than both."""
    sampler, generator, written = Sampler(2, 13, Options()), np.random.default_rng(0), np.zeros(2, np.int64)
    for _ in range(12):
        for _ in range(gap):
            envs = np.flatnonzero(generator.random(2) < 0.7)
            if len(envs):
                sampler.added(envs, written[envs].copy())
                written[envs] += 1
        if not written.any():
            continue
        reach = Reach(np.maximum(written - 10, 0), written.copy())
        envs, positions, weights = sampler.draw(200, generator, reach)
        assert ((positions >= reach.oldest[envs]) & (positions < reach.written[envs])).all()
        assert len(set(zip(envs.tolist(), positions.tolist(), strict=True))) == (written - reach.oldest).sum()
        assert (weights == weights[0]).all()
        sampler.learned(np.stack([envs, positions], 1), np.ones(200, np.float32))


def test_what_is_learned_of_a_row_that_is_gone_is_not_learned_of_the_row_in_its_place() -> None:
    sampler = Sampler(1, 4, Options(priority_exponent=1.0, priority_eps=0.0))
    for position in range(6):
        sampler.added(ALL, np.array([position]))
    sampler.learned(rows_of([0, 1, 4]), np.array([9.0, 9.0, 0.5], np.float32))
    assert sampler.state_dict()["priority"].tolist() == [0.5, 1.0, 1.0, 1.0]


def test_where_nothing_has_a_priority_every_row_is_as_likely() -> None:
    sampler, reach = sampler_of([0.0] * 10)
    _, positions, weights = sampler.draw(10_000, np.random.default_rng(0), reach)
    assert abs(chi_square(np.bincount(positions, minlength=10), np.full(10, 1_000.0))) < 4
    assert (weights == 1).all()


def test_priorities_that_are_not_finite_change_nothing_and_negative_ones_are_refused() -> None:
    sampler, _ = sampler_of([1.0, 2.0, 3.0])
    before = sampler.state_dict()["priority"].copy()
    sampler.learned(rows_of([0, 1]), np.array([np.nan, np.inf], np.float32))
    assert np.array_equal(sampler.state_dict()["priority"], before)
    assert sampler.state_dict()["highest"] == 3.0
    with pytest.raises(UserError, match="priorities must be at least 0, not -1"):
        sampler.learned(rows_of([0]), np.array([-1.0], np.float32))


def test_the_largest_floats_stay_finite() -> None:
    sampler, reach = sampler_of([3e38, 1.0], priority_exponent=10.0)
    assert sampler.state_dict()["priority"].tolist() == [np.float32(LARGEST), 1.0]
    _, positions, weights = sampler.draw(32, np.random.default_rng(0), reach)
    assert (positions == 0).all()
    assert np.isfinite(weights).all()


class Naive:
    """Priorities in a dictionary, by environment and position."""

    def __init__(self, options: Options) -> None:
        self.options, self.highest = options, 1.0
        self.priority: dict[tuple[int, int], float] = {}

    def learned(self, rows: list[list[int]], priority: list[float]) -> None:
        for (env, position), found in zip(rows, priority, strict=True):
            self.priority[env, position] = found + self.options.priority_eps
            self.highest = max(self.highest, found + self.options.priority_eps)


@given(
    seed=st.integers(0, 2**31), num_envs=st.integers(1, 3), n_step=st.integers(1, 4), steps=st.integers(5, 60),
    mean_length=st.sampled_from([2.5, 8.0, 1e9]), alpha=st.sampled_from([0.0, 0.5, 1.0]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_in_a_replay_it_knows_what_a_naive_sampler_knows(
    seed: int, num_envs: int, n_step: int, steps: int, mean_length: float, alpha: float
) -> None:
    """Episodes end, rows leave reach, the ring wraps around; priorities go to the rows that were drawn."""
    options = Options(priority_exponent=alpha, beta_start=0.5, beta_end=0.5)
    replay = Replay(
        20 * num_envs, num_envs, FRAME_SHAPE, 4, n_step, gamma=0.9,
        make_sampler=lambda envs, size: Sampler(envs, size, options),
    )  # fmt: skip
    generator = np.random.default_rng(seed)
    play, naive = Play(num_envs, 4, mean_length, generator), Naive(options)
    written = [0] * num_envs
    for _ in range(steps):
        added = play.step()
        replay.add(*added)
        over = added[4]
        for env in range(num_envs):
            naive.priority[env, written[env]] = naive.highest
            written[env] += 1
            if over[env]:
                naive.priority[env, written[env]] = -1.0  # its last row, which begins nothing
                written[env] += 1
        if len(replay) and generator.random() < 0.5:
            batch = replay.sample(6, generator)
            in_reach = {
                (env, i): naive.priority[env, i]
                for env in range(num_envs)
                for i in range(max(0, written[env] - 20), written[env])
                if naive.priority[env, i] >= 0
            }
            place = replay.sampler.state_dict()["priority"].reshape(num_envs, -1)
            wanted = np.zeros_like(place)
            for (env, i), p in in_reach.items():
                wanted[env, i % place.shape[1]] = p**alpha
            np.testing.assert_allclose(place, wanted, rtol=1e-6)
            drawn = np.array([in_reach[env, i] ** alpha for env, i in batch.rows.tolist()])
            weights = (len(in_reach) * drawn / sum(p**alpha for p in in_reach.values())) ** -0.5
            np.testing.assert_allclose(batch.weight.numpy(), weights / weights.max(), rtol=1e-5)
            # The same row of a batch has the same priority, as in an update.
            by_row = {
                tuple(row): float(p) for row, p in zip(batch.rows.tolist(), generator.gamma(1, size=6), strict=True)
            }
            priority = np.array([by_row[tuple(row)] for row in batch.rows.tolist()], np.float32)
            replay.learned(batch.rows, torch.from_numpy(priority))
            naive.learned(batch.rows.tolist(), priority.tolist())


def test_last_rows_of_episodes_are_not_drawn_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """With n = 1 only each environment's newest row may be drawn again; here none is left out of 50 batches of 8."""
    replay = Replay(3_000, 2, FRAME_SHAPE, 4, 1, gamma=0.9, make_sampler=lambda n, size: Sampler(n, size, Options()))
    play = Play(2, 4, 2.0, np.random.default_rng(0))
    for _ in range(400):
        replay.add(*play.step())
    sizes: list[int] = []
    draw = Sampler.draw

    def counted(self: Sampler, size: int, *rest: Any) -> Any:
        sizes.append(size)
        return draw(self, size, *rest)

    monkeypatch.setattr(Sampler, "draw", counted)
    generator = np.random.default_rng(0)
    for _ in range(50):
        replay.sample(8, generator)
    assert sum(sizes) <= 50 * 8 + 3


def test_a_batch_is_drawn_when_the_update_before_it_has_been_learned_of() -> None:
    """On a GPU, too, where others are drawn ahead: after the first update all rows but one have no priority left."""
    options = Options(priority_exponent=1.0, priority_eps=0.0)
    replay = Replay(60, 3, FRAME_SHAPE, 4, 2, gamma=0.9, make_sampler=lambda n, size: Sampler(n, size, options))
    play = Play(3, 4, 1e9, np.random.default_rng(0))
    for _ in range(10):
        replay.add(*play.step())
    batches = minibatches(replay, 2, 8, np.random.default_rng(0), torch.device("cuda"))
    next(batches)
    rows = torch.tensor([[env, position] for env in range(3) for position in range(10)])
    replay.learned(rows, torch.tensor([float(row == [1, 4]) for row in rows.tolist()]))
    assert next(batches).rows.tolist() == [[1, 4]] * 8


@pytest.mark.parametrize("steps", [7, 90])
def test_its_state_continues_to_the_bit(steps: int) -> None:
    """Before and after the ring has wrapped around, with changes that no draw has seen yet."""

    def made() -> Replay:
        return Replay(60, 3, FRAME_SHAPE, 4, 2, gamma=0.9, make_sampler=lambda n, size: Sampler(n, size, Options()))

    one, generator, play = made(), np.random.default_rng(0), Play(3, 4, 5.0, np.random.default_rng(1))
    for i in range(steps):
        one.add(*play.step())
        if i > 3:
            batch = one.sample(8, generator)
            one.learned(batch.rows, torch.from_numpy(generator.gamma(1, size=8).astype(np.float32)))
    one.add(*play.step())
    other = made()
    other.load_state_dict(one.state_dict())
    other.sampler.load_state_dict({name: np.copy(part) for name, part in one.sampler.state_dict().items()})
    generators = [np.random.default_rng(2), np.random.default_rng(2)]
    for _ in range(30):
        batches = [replay.sample(8, own) for replay, own in zip((one, other), generators, strict=True)]
        assert torch.equal(batches[0].rows, batches[1].rows)
        assert torch.equal(batches[0].weight, batches[1].weight)
        added, priority = play.step(), torch.from_numpy(generators[0].gamma(1, size=8).astype(np.float32))
        generators[1].gamma(1, size=8)
        for replay in (one, other):
            replay.learned(batches[0].rows, priority)
            replay.add(*added)
    for name, part in one.sampler.state_dict().items():
        assert np.array_equal(part, other.sampler.state_dict()[name]), name


BAD_STATES: dict[str, dict[str, Any]] = {
    "of another size": {"priority": np.zeros(5, np.float32)},
    "of other environments": {"written": np.zeros(2, np.int64)},
    "NaN": {"priority": np.full(8, np.nan, np.float32)},
    "negative": {"priority": np.full(8, -1.0, np.float32)},
    "the highest is infinite": {"highest": np.inf},
}


@pytest.mark.parametrize("how", BAD_STATES)
def test_a_state_that_no_run_can_have_is_refused(how: str) -> None:
    sampler = Sampler(1, 8, Options())
    with pytest.raises(ValueError, match="its priorities are"):
        sampler.load_state_dict(sampler.state_dict() | BAD_STATES[how])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beta_start": 1.5}, "beta_start = 1.5 must be between 0 and 1"),
        ({"priority_exponent": -0.1}, "priority_exponent = -0.1 must be between 0 and 10"),
        ({"priority_eps": -1e-6}, "priority_eps"),
        ({"beta_steps": -1}, "beta_steps = -1 must be at least 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Options(**options)
