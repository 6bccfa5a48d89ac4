"""Schedules in agent steps."""

import math
from bisect import bisect_left
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.validation import validate
from pixelq.schedules import crossed, epsilon_schedule, learning_rate_schedule
from pixelq.schedules.shapes import constant, exponential, linear

SHAPES = ("constant", "linear", "exponential")


def test_linear_meets_both_ends_and_the_middle():
    schedule = linear(1.0, 0.1, 1_000_000)
    assert schedule(0) == 1.0
    assert math.isclose(schedule(500_000), 0.55)
    assert math.isclose(schedule(1_000_000), 0.1)
    assert math.isclose(schedule(50_000_000), 0.1)


def test_exponential_falls_by_e_in_one_time_constant():
    schedule = exponential(1.0, 0.05, 50_000)
    assert math.isclose(schedule(50_000), 0.05 + 0.95 / math.e)


@given(start=st.floats(0, 1), end=st.floats(0, 1), length=st.integers(1, 10**8), t=st.integers(0, 10**9))
def test_schedules_stay_between_their_ends(start, end, length, t):
    for shape in (linear, exponential):
        assert min(start, end) - 1e-12 <= shape(start, end, length)(t) <= max(start, end) + 1e-12
    assert constant(start)(t) == start


@pytest.mark.parametrize("shape", [linear, exponential])
def test_a_fall_that_begins_later_is_the_same_fall_later(shape):
    now, later = shape(1.0, 0.1, 1000), shape(1.0, 0.1, 1000, begin=300)
    assert [later(t) for t in (0, 1, 299, 300)] == [1.0] * 4
    assert later(301) < 1.0
    assert [later(t + 300) for t in range(0, 3000, 7)] == [now(t) for t in range(0, 3000, 7)]


@given(interval=st.integers(1, 1000), strides=st.lists(st.integers(1, 3000), max_size=50))
def test_every_multiple_is_noticed_at_the_end_of_the_stride_that_reaches_it_and_at_no_other(interval, strides):
    ends = np.cumsum(strides, dtype=int).tolist()
    noticed = [crossed(before, after, interval) for before, after in pairwise([0, *ends])]
    # Each multiple is noticed at the end of the stride that reaches it; a stride may reach several.
    reached = {bisect_left(ends, multiple) for multiple in range(interval, max(ends, default=0) + 1, interval)}
    assert noticed == [stride in reached for stride in range(len(strides))]


def test_an_interval_of_zero_is_never_due():
    assert not crossed(0, 10**9, 0)


def test_recipes_choose_their_schedules():
    config = Config(epsilon_schedule="constant", epsilon_start=0.03888)
    assert epsilon_schedule(config)(10**7).tolist() == [0.03888]
    decaying = Config(learning_rate=1e-4, learning_rate_end=1e-5, learning_rate_steps=300_000)
    assert math.isclose(learning_rate_schedule(decaying)(150_000), 5.5e-5)
    whole_run = Config(learning_rate=1e-3, learning_rate_end=0.0, steps=1000)
    assert math.isclose(learning_rate_schedule(whole_run)(500), 5e-4)


@pytest.mark.parametrize("schedule", SHAPES)
@pytest.mark.parametrize("num_envs", [1, 5])
def test_epsilon_is_one_number_for_each_environment(schedule, num_envs):
    fields = {"epsilon_start": 0.8, "epsilon_end": 0.2, "epsilon_steps": 100}
    epsilon = epsilon_schedule(Config(epsilon_schedule=schedule, num_envs=num_envs, **fields))
    shape = {"constant": constant(0.8), "linear": linear(0.8, 0.2, 100), "exponential": exponential(0.8, 0.2, 100)}
    for t in (0, 1, 50, 100, 10_000):
        assert epsilon(t).shape == (num_envs,)
        assert epsilon(t).dtype == np.float64
        assert epsilon(t).tolist() == [shape[schedule](t)] * num_envs


@pytest.mark.parametrize("schedule", ["linear", "exponential"])
def test_epsilon_stays_at_its_start_until_the_fall_begins(schedule):
    config = Config(epsilon_schedule=schedule, num_envs=3, epsilon_steps=100, epsilon_begin=1000)
    validate(config)
    epsilon = epsilon_schedule(config)
    assert epsilon(1000).tolist() == [1.0] * 3
    assert (epsilon(1001) < 1.0).all()
    at_once = epsilon_schedule(Config(epsilon_schedule=schedule, num_envs=3, epsilon_steps=100))
    assert np.array_equal(epsilon(1050), at_once(50))


def test_an_epsilon_that_stays_has_no_beginning_of_its_fall():
    validate(Config(epsilon_schedule="constant"))
    with pytest.raises(UserError, match="epsilon_begin = 5 is out of range: it must be 0 for a schedule that does not"):
        validate(Config(epsilon_schedule="constant", epsilon_begin=5))


@pytest.mark.parametrize("schedule", SHAPES)
def test_an_option_that_a_schedule_has_not_is_refused(schedule):
    config = Config(epsilon_schedule=schedule, epsilon_options={"rungs": 7})
    for use in (validate, epsilon_schedule):
        with pytest.raises(UserError, match=f"epsilon_options: epsilon_schedule '{schedule}' has no option 'rungs'"):
            use(config)


@given(num_envs=st.integers(2, 64), end=st.floats(0.0, 1.0), spread=st.floats(1.0, 1000.0), t=st.integers(0, 500))
def test_a_ladder_falls_to_a_geometric_series_around_the_end(num_envs, end, spread, t):
    fields = {"num_envs": num_envs, "epsilon_end": end, "epsilon_steps": 100, "epsilon_begin": 50}
    ladder = Config(epsilon_schedule="ladder", epsilon_options={"spread": spread}, **fields)
    epsilon = epsilon_schedule(ladder)
    assert epsilon(50).tolist() == [1.0] * num_envs
    rungs = epsilon(150)
    assert rungs[0] == pytest.approx(min(1.0, end * spread))
    assert rungs[-1] == pytest.approx(min(1.0, end / spread))
    assert (np.diff(rungs) <= 1e-12).all()
    if end * spread < 1.0 and end > 1e-300:
        assert np.exp(np.log(rungs).mean()) == pytest.approx(end)
    assert ((epsilon(t) >= 0.0) & (epsilon(t) <= 1.0)).all()
    assert epsilon(10**9).tolist() == rungs.tolist()


def test_a_ladder_has_ape_xs_rungs():
    """0.4^(1 + 7 i / (N - 1)), as the paper and RLlib's PerWorkerEpsilonGreedy have them."""
    options = {"spread": 0.4**-3.5}
    ladder = Config(
        epsilon_schedule="ladder", epsilon_end=0.4**4.5, epsilon_options=options, num_envs=8, epsilon_steps=10
    )
    assert epsilon_schedule(ladder)(10) == pytest.approx([0.4 ** (1 + 7 * i / 7) for i in range(8)])


def test_one_environment_alone_stands_in_the_middle_of_the_ladder():
    ladder = Config(epsilon_schedule="ladder", epsilon_end=0.02, epsilon_steps=10)
    assert epsilon_schedule(ladder)(10) == pytest.approx([0.02])


def test_a_ladder_that_widens_towards_nothing_is_refused():
    with pytest.raises(UserError, match=r"spread = 0\.5"):
        epsilon_schedule(Config(epsilon_schedule="ladder", epsilon_options={"spread": 0.5}))
