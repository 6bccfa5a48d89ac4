"""Rates of calls, and the floating-point operations of networks."""

import time

import pytest
import torch

from pixelq.networks import build_network
from pixelq.profiling.rates import acting_flops, calls_per_second, multiplication_rate, update_flops
from pixelq.recipes.choice import configure
from pixelq.replay import Batch

CPU = torch.device("cpu")


def test_a_call_that_takes_a_hundredth_of_a_second_is_made_at_most_a_hundred_times_in_one() -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        time.sleep(0.01)

    rate = calls_per_second(call, 0.3)
    assert 5 < rate <= 100  # a loaded machine sleeps longer
    assert len(calls) >= 6


def batch(size: int) -> Batch:
    state = torch.zeros(size, 4, 84, 84, dtype=torch.uint8)
    return Batch.unweighted(state, torch.zeros(size, dtype=torch.int64), torch.zeros(size), torch.zeros(size), state)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_operations_of_the_2015_network_are_those_of_its_layers(precision: str) -> None:
    import gymnasium

    space = gymnasium.spaces.Box(0, 255, (4, 84, 84), "uint8")
    config = configure("breakout", "cleanrl", {"precision": precision})
    network = build_network(config, space, 4, torch.Generator())
    layers = [20 * 20 * 32 * 4 * 64, 9 * 9 * 64 * 32 * 16, 7 * 7 * 64 * 64 * 9, 3136 * 512, 512 * 4]
    forward = 2 * sum(layers)  # a product and a sum each
    assert acting_flops(network, batch(8)) == forward
    # Backward computes a gradient of the weights and one of the inputs; the first layer needs only the first.
    assert update_flops(network, batch(8), bootstraps=False) == 8 * (3 * forward - 2 * layers[0])
    assert update_flops(network, batch(8)) == 8 * (4 * forward - 2 * layers[0])
    assert update_flops(network, batch(32)) == pytest.approx(2.2e9, rel=0.01)  # as in docs/performance.md


def test_matrix_products_run_at_some_gigaflops() -> None:
    assert 1e8 < multiplication_rate(torch.float32, CPU, 0.1) < 1e15
