"""Acting as a CUDA graph: the values of the weights as they are, wherever they lie, and none where no graph can be."""

from typing import Any

import numpy as np
import pytest
import torch

import small_learners
from pixelq.policy import EpsilonGreedy
from pixelq.policy.graphed_values import WARM_UP
from small_learners import batch

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

CUDA = torch.device("cuda")


def learner(**fields: Any) -> Any:
    return small_learners.learner(1, device=CUDA, **{"optimizer_eps": 0.01} | fields)


def acting(one: Any) -> tuple[EpsilonGreedy, EpsilonGreedy]:
    """A policy that acts by a graph after some calls, and one that never does."""
    noise = [torch.Generator(CUDA).manual_seed(3) for _ in range(2)]
    graphed = EpsilonGreedy(one.network, CUDA, np.random.default_rng(0), noise[0], lambda: one.changes)
    return graphed, EpsilonGreedy(one.network, CUDA, np.random.default_rng(0), noise[1])


def has_captured(policy: EpsilonGreedy) -> bool:
    graphed = policy.acting._graphed
    return graphed is not None and graphed._graph is not None


def states(seed: int = 0, size: int = 32) -> np.ndarray:
    found: np.ndarray = batch(seed=seed, size=size).state.contiguous().numpy()
    return found


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_values_are_those_of_the_newest_weights_for_any_number_of_states(precision: str) -> None:
    one = learner(precision=precision)
    graphed, plain = acting(one)
    for _ in range(WARM_UP + 1):
        graphed.q_values(states())
    assert has_captured(graphed)
    for i in range(6):
        for size in (32, 5):
            found, expected = (policy.q_values(states(i, size)) for policy in (graphed, plain))
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 if precision == "float32" else 1e-2)
        one.update(batch(seed=i), 1e-3)
    assert has_captured(graphed)
    assert not has_captured(plain)


def test_weights_that_lie_elsewhere_are_seen() -> None:
    one = learner(precision="float32")
    graphed, plain = acting(one)
    for _ in range(WARM_UP + 2):
        before = graphed.q_values(states())
    assert has_captured(graphed)
    for p in one.network.parameters():
        p.data = 2.0 * p.data
    found = graphed.q_values(states())
    np.testing.assert_allclose(found, plain.q_values(states()), rtol=1e-4, atol=1e-5)
    assert not np.allclose(found, before, rtol=0.1)


def test_noisy_layers_draw_anew_in_every_call() -> None:
    one = learner(linear="noisy")
    graphed, _ = acting(one)
    for _ in range(WARM_UP + 2):
        graphed.q_values(states())
    assert has_captured(graphed)
    assert not np.allclose(graphed.q_values(states()), graphed.q_values(states()))


def test_a_network_that_asks_for_a_value_acts_without_a_graph_and_spoils_nothing() -> None:
    one = learner()
    graphed, plain = acting(one)
    values = one.network.head.values

    def asks(output: Any) -> Any:
        assert output.sum().item() is not None
        return values(output)

    one.network.head.values = asks
    for _ in range(WARM_UP + 3):
        np.testing.assert_allclose(graphed.q_values(states()), plain.q_values(states()), rtol=1e-3, atol=1e-2)
    assert not has_captured(graphed)
    assert torch.cuda.get_sync_debug_mode() == 0
    one.update(batch(), 1e-4)
    one.check_finite()
