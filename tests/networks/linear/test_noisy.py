"""Noisy layers, held to equations 8 to 11 and section 3 of Fortunato et al. 2018 (arXiv 1706.10295)."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.learner.learner import Learner
from pixelq.networks.layers import Layers
from pixelq.networks.linear.noisy import Linear, Options, scaled
from pixelq.policy import EpsilonGreedy
from pixelq.policy.acting import Acting
from pixelq.replay.batch import Batch
from small_networks import network, states, vectors

KINDS = pytest.mark.parametrize("factorised", [True, False])


def noisy(features: int = 5, units: int = 3, seed: int = 0, **options: Any) -> Linear:
    layer = Linear(features, units, Options(**options))
    layer.initialise(Layers(Config(), torch.Generator().manual_seed(seed)), 1.0)
    return layer


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@KINDS
@given(features=st.integers(1, 6), units=st.integers(1, 6), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_an_output_is_that_of_equations_9_to_11_number_by_number(
    factorised: bool, features: int, units: int, seed: int
) -> None:
    layer = noisy(features, units, seed, factorised=factorised)
    with torch.no_grad():
        for sigma in (layer.weight_sigma, layer.bias_sigma):
            sigma.uniform_(-1, 1, generator=generator(seed))
    x = torch.randn(4, features, generator=generator(seed + 1))
    y = layer(x, generator(7))
    g = generator(7)
    if factorised:
        drawn = torch.randn(features + units, generator=g).tolist()
        f = [math.copysign(math.sqrt(abs(e)), e) for e in drawn]
        eps_w = [[f[features + j] * f[i] for i in range(features)] for j in range(units)]
        eps_b = f[features:]
    else:
        eps_w, eps_b = torch.randn(units, features, generator=g).tolist(), torch.randn(units, generator=g).tolist()
    for b in range(4):
        for j in range(units):
            total = layer.bias[j].item() + layer.bias_sigma[j].item() * eps_b[j]
            for i in range(features):
                w = layer.weight[j, i].item() + layer.weight_sigma[j, i].item() * eps_w[j][i]
                total += w * x[b, i].item()
            assert y[b, j].item() == pytest.approx(total, rel=1e-4, abs=1e-5)


@KINDS
def test_gradients_are_those_of_finite_differences(factorised: bool) -> None:
    layer = noisy(factorised=factorised).double()
    names = [name for name, _ in layer.named_parameters()]
    assert sorted(names) == ["bias", "bias_sigma", "weight", "weight_sigma"]

    def output(x: Tensor, *parameters: Tensor) -> Tensor:
        given = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, given, (x, generator(3)))

    x = torch.randn(4, 5, generator=generator(), dtype=torch.float64, requires_grad=True)
    parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(output, (x, *parameters))


def test_first_weights_are_those_of_section_3_2() -> None:
    layer = noisy(400, 300, sigma0=0.5)
    for mu in (layer.weight, layer.bias):
        assert mu.abs().max().item() <= 1 / 20
        assert mu.std().item() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.1)
        assert abs(mu.mean().item()) < 0.006
    for sigma in (layer.weight_sigma, layer.bias_sigma):
        assert torch.equal(sigma, torch.full_like(sigma, 0.5 / 20))
    again, other = noisy(400, 300, sigma0=0.5), noisy(400, 300, seed=1)
    assert torch.equal(layer.weight, again.weight)
    assert not torch.equal(layer.weight, other.weight)


@KINDS
def test_without_a_generator_it_is_the_plain_layer_of_its_means(factorised: bool) -> None:
    layer, x = noisy(factorised=factorised), torch.randn(4, 5, generator=generator())
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    assert torch.equal(layer(x), layer(x, None))


@KINDS
def test_with_sigma_0_it_is_the_plain_layer_of_its_means_whatever_is_drawn(factorised: bool) -> None:
    layer, x = noisy(sigma0=0.0, factorised=factorised), torch.randn(4, 5, generator=generator())
    assert torch.equal(layer(x, generator(1)), F.linear(x, layer.weight, layer.bias))
    layer(x, generator(1)).sum().backward()
    assert layer.weight_sigma.grad is not None
    assert layer.weight_sigma.grad.abs().max() > 0  # so it may learn to explore


@KINDS
def test_one_draw_is_for_a_whole_batch_and_every_call_draws_anew(factorised: bool) -> None:
    layer, row, g = noisy(factorised=factorised), torch.randn(1, 5, generator=generator()), generator(1)
    first, second = layer(row.expand(8, 5), g), layer(row.expand(8, 5), g)
    assert torch.allclose(first, first[:1].expand(8, 3))
    assert not torch.allclose(first, second)
    assert torch.equal(layer(row.expand(8, 5), generator(1)), first)


@KINDS
def test_the_noise_has_the_mean_and_the_variance_of_its_distribution(factorised: bool) -> None:
    """Var(y_j) = sigma^2 c (sum_i x_i^2 c + 1); c = E f(eps)^2 = E|eps| = sqrt(2 / pi), or 1 where not factorised."""
    layer, x, g = noisy(6, 4, factorised=factorised), torch.randn(1, 6, generator=generator()), generator(1)
    with torch.no_grad():
        outputs = torch.stack([layer(x, g)[0] for _ in range(6_000)])
    c = math.sqrt(2 / math.pi) if factorised else 1.0
    variance = (0.5 / math.sqrt(6)) ** 2 * c * (x.square().sum().item() * c + 1)
    assert outputs.var(0).numpy() == pytest.approx(np.full(4, variance), rel=0.15)
    assert torch.allclose(outputs.mean(0), layer(x)[0], atol=4.5 * math.sqrt(variance / 6_000))


def test_f_keeps_the_sign_and_takes_the_root() -> None:
    assert scaled(torch.tensor([-4.0, -0.25, 0.0, 9.0])).tolist() == [-2.0, -0.5, 0.0, 3.0]


@pytest.mark.parametrize("factorised", [True, False])
def test_in_bfloat16_it_is_near_float32(factorised: bool) -> None:
    options = {"linear_options": {"factorised": factorised}}
    space = vectors(1, 8)
    nets = [network("mlp", space, linear="noisy", precision=p, **options) for p in ("float32", "bf16")]
    x = states(space, 16)
    exact, near = (net(x, generator(2)) for net in nets)
    assert near.dtype == torch.float32
    assert not torch.equal(exact, near)
    assert torch.allclose(exact, near, atol=0.02 * exact.abs().max().item())


@pytest.mark.parametrize(("loss", "passes"), [("dqn", 2), ("double", 3)])
def test_every_pass_of_an_update_has_a_noise_of_its_own(
    loss: str, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice of the next action, its value and the prediction (section 3.1); DQN Zoo's loss has three keys too."""
    space = vectors(1, 4)
    config = Config(torso="mlp", linear="noisy", loss=loss)
    learner = Learner(network("mlp", space, linear="noisy"), config, torch.device("cpu"))
    drawn: list[bytes] = []
    forward = Linear.forward

    def noted(self: Linear, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        assert noise is learner.noise
        drawn.append(noise.get_state().numpy().tobytes())
        return forward(self, x, noise)

    monkeypatch.setattr(Linear, "forward", noted)
    x = states(space, 3)
    learner.update(Batch.unweighted(x, torch.zeros(3, dtype=torch.int64), torch.ones(3), torch.ones(3), x), 1e-3)
    layers = sum(isinstance(module, Linear) for module in learner.network.modules())
    assert layers == 3
    assert len(set(drawn)) == len(drawn) == passes * layers


def test_acting_draws_for_every_action_and_test_games_have_none() -> None:
    space, cpu = vectors(1, 4), torch.device("cpu")
    net, observations = network("mlp", space, linear="noisy", actions=6), states(space, 64).numpy()
    policy = EpsilonGreedy(net, cpu, np.random.default_rng(0), generator())
    assert not np.array_equal(policy(observations, 0.0), policy(observations, 0.0))
    tests = Acting(net, cpu)
    assert np.array_equal(tests.q_values(observations), tests.q_values(observations))
    with torch.no_grad():
        plain = nn.functional.linear(net.features(torch.from_numpy(observations)), net.head.output.weight)
    assert np.allclose(tests.q_values(observations), (plain + net.head.output.bias).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("sigma0", [-0.1, float("inf"), 101.0])
def test_a_sigma_out_of_range_is_refused(sigma0: float) -> None:
    with pytest.raises(ValueError, match=r"sigma0 = .* must be between 0 and 100"):
        Options(sigma0=sigma0)
