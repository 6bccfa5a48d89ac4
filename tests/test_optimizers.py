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


@pytest.mark.parametrize("shape", [(3,), (4, 2, 3, 3)])
def test_centred_rmsprop_takes_the_same_steps_with_a_learning_rate_in_a_tensor(shape):
    g = torch.Generator().manual_seed(1)
    number = torch.nn.Parameter(torch.randn(shape, generator=g))
    tensor = torch.nn.Parameter(number.detach().clone())
    pair = [(p, CentredRMSprop([p], 0.0, 0.95, 0.01)) for p in (number, tensor)]
    rate = pair[1][1].param_groups[0]["lr"] = torch.zeros(())
    for lr in (1e-2, 1e-2, 5e-3, 0.0):
        gradient = torch.randn(shape, generator=g)
        pair[0][1].param_groups[0]["lr"] = lr
        rate.fill_(lr)
        for p, optimizer in pair:
            p.grad = gradient.clone()
            optimizer.step()
        torch.testing.assert_close(tensor, number, rtol=1e-6, atol=1e-7)
