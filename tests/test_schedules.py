"""Schedules in agent steps."""

import math

from hypothesis import given
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.schedules import constant, crossed, epsilon_schedule, exponential, learning_rate_schedule, linear


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


@given(interval=st.integers(1, 1000), strides=st.lists(st.integers(1, 3000), max_size=50))
def test_every_multiple_that_is_passed_is_noticed_once(interval, strides):
    now, noticed = 0, 0
    for stride in strides:
        noticed += crossed(now, now + stride, interval)
        now += stride
    passed = {m // interval for m in range(interval, now + 1, interval)}
    assert noticed <= len(passed)
    assert (noticed > 0) == (len(passed) > 0)


def test_an_interval_of_zero_is_never_due():
    assert not crossed(0, 10**9, 0)


def test_recipes_choose_their_schedules():
    config = Config(epsilon_schedule="constant", epsilon_start=0.03888)
    assert epsilon_schedule(config)(10**7) == 0.03888
    decaying = Config(learning_rate=1e-4, learning_rate_end=1e-5, learning_rate_steps=300_000)
    assert math.isclose(learning_rate_schedule(decaying)(150_000), 5.5e-5)
    whole_run = Config(learning_rate=1e-3, learning_rate_end=0.0, steps=1000)
    assert math.isclose(learning_rate_schedule(whole_run)(500), 5e-4)
