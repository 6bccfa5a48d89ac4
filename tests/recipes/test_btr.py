"""BTR's recipe held to its source: the network's layers one by one, and epsilon as its code makes it."""

import numpy as np
import pytest
from torch import nn

from pixelq.networks import build_network
from pixelq.recipes.reading import read_recipe
from pixelq.schedules import epsilon_schedule
from small_learners import screens

BTR = read_recipe("btr")


def parameters_of(module):
    return sum(p.numel() for p in module.parameters())


def of_source(actions):
    """Parameters of networks.py's ImpalaCNNLargeIQN with model_size 2, maxpool_size 6 and noisy dueling streams."""
    layers, inputs = [], 4
    for width in (32, 64, 64):  # three ImpalaCNNBlocks: a convolution, and two residuals of two convolutions
        layers.append(nn.Conv2d(inputs, width, 3))
        layers += [nn.Conv2d(width, width, 3) for _ in range(4)]
        inputs = width
    conv_out_size = 1152 * 2
    layers.append(nn.Linear(64, conv_out_size))  # cos_embedding
    noisy = [nn.Linear(conv_out_size, 512), nn.Linear(512, 1), nn.Linear(conv_out_size, 512), nn.Linear(512, actions)]
    return sum(map(parameters_of, layers)) + 2 * sum(map(parameters_of, noisy))  # a mean and a sigma each


@pytest.mark.parametrize("actions", [4, 18])
def test_the_network_has_as_many_parameters_as_its_source(actions):
    assert parameters_of(build_network(BTR, screens(), actions, None)) == of_source(actions)


def test_epsilon_is_the_one_that_the_code_counts_down():
    ours = epsilon_schedule(BTR)
    epsilon, steps = 1.0, 2_000_000
    for t in range(1, 300_001):  # EpsilonGreedy.update_eps, once for each transition
        epsilon = max(epsilon - (epsilon - 0.01) / steps, 0.01)
        if t % 50_000 == 0:
            assert ours(t) == pytest.approx(np.full(64, epsilon), abs=1e-6)
    # choose_action: random actions until half of the run, none after that.
    assert (ours(24_999_999) > 0.0099).all()
    assert (ours(25_000_000) == 0.0).all()


def test_an_update_comes_with_every_step_of_all_environments_and_a_target_with_every_500th():
    assert BTR.train_every == BTR.num_envs == 64
    assert BTR.target_every == 500 * BTR.train_every
    assert BTR.optimizer_eps == pytest.approx(0.005 / BTR.batch_size)
