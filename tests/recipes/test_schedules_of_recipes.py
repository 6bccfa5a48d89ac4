"""Epsilon and step size of recipes at any agent step, held to the lines of their sources' code."""

from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.recipes.reading import read_recipe
from pixelq.schedules import epsilon_schedule, learning_rate_schedule

Line = Callable[[int], float]
read = cache(read_recipe)


def dqn3(end: float) -> Line:
    """The authors' NeuralQLearner.lua (eGreedy), with run_gpu's learn_start and eps_endt; DQN Zoo has the same line."""
    return lambda t: end + max(0.0, (1 - end) * (1_000_000 - max(0, t - 50_000)) / 1_000_000)


def dopamine(decay_period: int = 250_000, warmup_steps: int = 20_000) -> Line:
    """dqn_agent.linearly_decaying_epsilon, with epsilon_train 0.01."""

    def line(t: int) -> float:
        bonus = (1 - 0.01) * (decay_period + warmup_steps - t) / decay_period
        return 0.01 + min(max(bonus, 0.0), 1 - 0.01)

    return line


def cleanrl(total: int, fraction: float) -> Line:
    """linear_schedule of dqn_atari.py, c51_atari.py and pqn_atari_envpool.py; of stream_q_*.py, which counts from 1."""
    return lambda t: max((0.01 - 1) / (fraction * total) * t + 1, 0.01)


def purejaxql(total: int, end: float) -> Line:
    """optax.linear_schedule over updates of 128 x 32 agent steps, of which 10% are those of the fall."""
    updates = total // 32 // 128
    return lambda t: 1.0 - (1.0 - end) * min(1.0, t / (32 * 128) / (0.1 * updates))


def always(epsilon: float) -> Line:
    """Noisy layers explore."""
    return lambda _: epsilon


EPSILON: dict[str, Line] = {
    "nips2013": lambda t: max(0.1, 1 - 0.9 * t / 1_000_000),  # section 5: from 1 to 0.1 over the first million frames
    "nature2015": dqn3(0.1),
    "double2015": dqn3(0.01),
    # CalculateEpsilon of dqn_main.cpp, which counts updates: one each agent step, from 50,000 on.
    "drqn": lambda t: 1.0 - (1.0 - 0.1) * min(1.0, max(0, t - 50_000) / 1_000_000),
    "dopamine": dopamine(),
    "cleanrl": cleanrl(10_000_000, 0.10),
    "cleanrl-pqn": cleanrl(10_000_000, 0.10),
    "pqn": purejaxql(50_000_000, 0.001),
    "pqn-minatar": purejaxql(10_000_000, 0.05),
    # DQN Zoo's run_atari.py of c51 and qrdqn; Dopamine's implicit_quantile_icml.gin has the same three numbers.
    "c51": dqn3(0.01),
    "qr-dqn": dqn3(0.01),
    "iqn": dopamine(1_000_000, 50_000),
    "dueling": dqn3(0.01),
    "prioritized": dqn3(0.01),
    # Dopamine's gin files, munchausen_rl's atari.gin, FQF's fqf.gin.
    **dict.fromkeys(("dopamine-c51", "dopamine-quantile", "dopamine-iqn", "dopamine-rainbow", "hl-gauss"), dopamine()),
    **dict.fromkeys(("munchausen", "m-iqn"), dopamine()),
    "fqf": dopamine(1_000_000, 50_000),
    "cleanrl-c51": cleanrl(10_000_000, 0.10),
    **dict.fromkeys(("rainbow", "cleanrl-rainbow", "data-efficient-rainbow", "noisy"), always(0.0)),
    # "Revisiting Rainbow": min_replay_history 1000; identity_epsilon where layers are noisy.
    **dict.fromkeys(("minatar-dqn", "minatar-quantile", "minatar-iqn"), dopamine(250_000, 1_000)),
    "minatar-rainbow": always(0.01),
    "stream-q": cleanrl(10_000_000, 0.05),
    "stream-q-minatar": cleanrl(5_000_000, 0.2),
    "lapan-pong": lambda t: max(0.01, 1.0 - t / 150_000),
    "double-notebook": lambda t: max(0.1, 1 - 0.9 * t / (0.1 * 2_500_000)),
    "papers-100-lines-original": lambda t: max((0.01 - 1) / 1_000_000 * t + 1, 0.01),
    "papers-100-lines": lambda t: 0.03888,
}


@pytest.mark.parametrize("recipe", EPSILON)
@settings(max_examples=40, deadline=None)
@given(t=st.one_of(st.integers(0, 2_000_000), st.integers(0, 60_000_000)))
def test_epsilon_is_that_of_the_sources_line_at_every_agent_step(recipe: str, t: int) -> None:
    config = read(recipe)
    found = epsilon_schedule(config)(t)
    assert found.shape == (config.num_envs,)
    # purejaxql rounds its count of updates of 4,096 agent steps down, so its fall is shorter by that share: an error of
    # the place, so the bound is an absolute one. (A relative one fails where epsilon is almost at its end.)
    shorter = {"pqn": 1 - 12_207 * 4_096 / 50_000_000, "pqn-minatar": 1 - 2_441 * 4_096 / 10_000_000}
    source = [EPSILON[recipe](t)] * config.num_envs
    assert found == pytest.approx(source, rel=1e-9, abs=shorter.get(recipe, 0.0))


@pytest.mark.parametrize("recipe", ["nature2015", "double2015", "dopamine", "cleanrl", "pqn", "lapan-pong"])
def test_epsilon_reaches_its_end_where_the_source_says(recipe: str) -> None:
    ends = {
        "nature2015": (1_050_000, 0.1), "double2015": (1_050_000, 0.01), "dopamine": (270_000, 0.01),
        "cleanrl": (1_000_000, 0.01), "pqn": (5_000_000, 0.001), "lapan-pong": (148_500, 0.01),
    }  # fmt: skip
    at, end = ends[recipe]
    epsilon = epsilon_schedule(read_recipe(recipe))
    assert epsilon(at)[0] == pytest.approx(end, rel=1e-9)
    assert epsilon(at - 5_000)[0] > end + 1e-4


CONSTANT = {
    "nature2015": 2.5e-4, "double2015": 2.5e-4, "dopamine": 6.25e-5, "cleanrl": 1e-4, "pqn": 2.5e-4,
    "lapan-pong": 1e-4, "double-notebook": 2e-4, "papers-100-lines": 1e-4, "papers-100-lines-original": 1.25e-4,
    # Their papers; DQN Zoo's run_atari.py; munchausen_rl's atari.gin; fqf.gin.
    "c51": 2.5e-4, "qr-dqn": 5e-5, "iqn": 5e-5, "munchausen": 5e-5, "m-iqn": 5e-5, "fqf": 5e-5,
    "rainbow": 2.5e-4 / 4, "prioritized": 2.5e-4 / 4, "dueling": 6.25e-5, "noisy": 2.5e-4,
    "data-efficient-rainbow": 1e-4,
    # base_lr of recurrent_solver.prototxt, for a loss 20 times as large: test_drqn_recipe.
    "drqn": 0.1 / 20,
    # Args of CleanRL's c51_atari.py and rainbow_atari.py.
    "cleanrl-c51": 2.5e-4, "cleanrl-rainbow": 6.25e-5,
    # create_optimizer.learning_rate of Dopamine's gin files and of those of "Revisiting Rainbow"; HL-Gauss's table B.2.
    "dopamine-c51": 2.5e-4, "dopamine-quantile": 5e-5, "dopamine-iqn": 5e-5, "dopamine-rainbow": 6.25e-5,
    "hl-gauss": 2.5e-4,
    "minatar-dqn": 2.5e-4, "minatar-rainbow": 1e-4, "minatar-quantile": 1e-4, "minatar-iqn": 1e-4,
    # The bound of ObGD: lr of stream_q_atari.py and stream_q_minatar.py.
    "stream-q": 1.0, "stream-q-minatar": 1.0,
}  # fmt: skip


@given(recipe=st.sampled_from(sorted(CONSTANT)), t=st.integers(0, 100_000_000))
def test_the_step_size_stays_what_it_is_where_the_source_has_no_schedule(recipe: str, t: int) -> None:
    assert learning_rate_schedule(read(recipe))(t) == CONSTANT[recipe]


@given(iteration=st.integers(1, 10_000_000 // 1024))
def test_cleanrls_pqn_takes_a_smaller_step_in_every_iteration(iteration: int) -> None:
    """anneal_lr: 1 - (iteration - 1) / num_iterations of 2.5e-4, as an iteration of 8 x 128 agent steps begins."""
    iterations = 10_000_000 // 1024
    expected = 2.5e-4 * (1.0 - (iteration - 1.0) / iterations)
    found = learning_rate_schedule(read("cleanrl-pqn"))((iteration - 1) * 1024)
    # The last iteration ends at 9,999,360 agent steps, where ours has 640 to go.
    assert found == pytest.approx(expected, abs=2.5e-4 * 1e-4)


@given(update=st.integers(0, 10_000_000 // 32 // 128 - 1))
def test_purejaxqls_step_on_minatar_falls_to_nothing_over_the_run(update: int) -> None:
    """optax.linear_schedule from 5e-4 to 1e-20 over the gradient steps: 32 minibatches, twice, in each update."""
    updates = 10_000_000 // 32 // 128
    expected = 5e-4 + (1e-20 - 5e-4) * (update * 32 * 2) / (updates * 32 * 2)
    found = learning_rate_schedule(read("pqn-minatar"))(update * 32 * 128)
    # Its 2,441 updates end 1,664 agent steps before ours.
    assert found == pytest.approx(expected, abs=5e-4 * 2e-4)


@given(t=st.integers(0, 400_000))
def test_papers_100_lines_decay_goes_from_1e_4_to_1e_5_over_300_000_agent_steps(t: int) -> None:
    expected = 1e-4 - (1e-4 - 1e-5) * min(t, 300_000) / 300_000
    assert learning_rate_schedule(read("papers-100-lines-decay"))(t) == pytest.approx(expected, rel=1e-12)
