"""Optimizers held to their formulas."""

import pytest
import torch

from pixelq.config import Config
from pixelq.optimizers import CentredRMSprop, build_optimizer


def test_centred_rmsprop_follows_the_2015_formula():
    lr, decay, eps = 2.5e-4, 0.95, 0.01
    theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = CentredRMSprop([theta], lr, decay, eps)
    expected, mean, mean_square = theta.detach().clone(), torch.zeros(2), torch.zeros(2)
    for gradient in ([0.3, -0.1], [0.2, 0.4], [-1.0, 0.05]):
        g = torch.tensor(gradient)
        theta.grad = g.clone()
        optimizer.step()
        mean = decay * mean + (1 - decay) * g
        mean_square = decay * mean_square + (1 - decay) * g * g
        expected -= lr * g / torch.sqrt(mean_square - mean * mean + eps)
        assert torch.allclose(theta, expected, atol=1e-7)


@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "radam"])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_every_optimizer_lowers_a_quadratic(name, amsgrad):
    theta = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    config = Config(optimizer=name, learning_rate=0.05, optimizer_eps=0.01, amsgrad=amsgrad)
    optimizer = build_optimizer(config, [theta])
    for _ in range(200):
        optimizer.zero_grad()
        theta.square().sum().backward()
        optimizer.step()
    assert theta.square().sum().item() < 0.5
