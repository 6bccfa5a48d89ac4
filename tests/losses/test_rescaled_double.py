"""R2D2's target held to its paper: h and its inverse, by hand, by a loop in float64, by differences, at its ends."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.losses import Loss, bound_loss
from pixelq.losses.double import double_q_target
from pixelq.losses.rescaled_double import Options, loss, rescaled, rescaled_double_target, unscaled
from pixelq.replay.batch import Batch

EPS = 1e-3


def h(x: float, eps: float = EPS) -> float:
    return math.copysign(math.sqrt(abs(x) + 1) - 1, x) + eps * x


def inverse(y: float, eps: float = EPS) -> float:
    """By halving: h rises everywhere."""
    low, high = -1e9, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if h(middle, eps) < y else (low, middle)
    return low


def test_h_and_its_inverse_are_those_worked_out_by_hand() -> None:
    x = torch.tensor([0.0, 3.0, -3.0, 99.0])
    expected = torch.tensor([0.0, 1.003, -1.003, 9.099])  # sqrt 4 - 1 + 0.003, sqrt 100 - 1 + 0.099
    torch.testing.assert_close(rescaled(x, EPS), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(unscaled(expected, EPS), x, rtol=1e-5, atol=1e-5)


@given(st.floats(-1e6, 1e6, width=32), st.sampled_from([1e-6, 1e-3, 1e-2, 1.0]))
def test_h_is_that_of_a_loop_in_float64_and_the_inverse_takes_it_back(x: float, eps: float) -> None:
    found = rescaled(torch.tensor(x), eps)
    assert found.item() == pytest.approx(h(x, eps), rel=1e-5, abs=1e-7)
    assert unscaled(found, eps).item() == pytest.approx(x, rel=1e-4, abs=1e-5)
    assert unscaled(found, eps).item() == pytest.approx(inverse(found.item(), eps), rel=1e-4, abs=1e-5)


def test_the_target_is_the_one_worked_out_by_hand() -> None:
    # theta prefers action 1, theta- has h(3) = 1.003 there and h(99) at action 0, which nobody chose.
    next_q, next_q_target = torch.tensor([[0.1, 0.2]]), torch.tensor([[9.099, 1.003]])
    y = rescaled_double_target(torch.tensor([2.0]), torch.tensor([0.5]), next_q, next_q_target, EPS)
    assert y.item() == pytest.approx(h(2 + 0.5 * 3), abs=1e-6)
    y = rescaled_double_target(torch.tensor([2.0]), torch.tensor([0.0]), next_q, next_q_target, EPS)
    assert y.item() == pytest.approx(h(2.0), abs=1e-6)


class Linear(nn.Module):
    """Q-values that are linear in the state."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((4, 3), generator=torch.Generator().manual_seed(seed)) * 3)

    def q_values(self, state: torch.Tensor, noise: torch.Generator | None = None) -> torch.Tensor:
        return state.flatten(1).to(self.weight.dtype) @ self.weight.T


def transitions(size: int = 30, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    state, next_state = torch.randn((2, size, 1, 3), generator=g)
    action, reward = torch.randint(0, 4, (size,), generator=g), torch.randn(size, generator=g) * 50
    return Batch.unweighted(state, action, reward, 0.9 * (torch.arange(size) % 3 != 0), next_state)


@pytest.mark.parametrize("error", ["squared", "huber"])
def test_the_loss_is_that_of_a_plain_loop_in_float64(error: str) -> None:
    network, target, batch = Linear(1), Linear(2), transitions()
    found: Loss = loss(network, target, batch, Options(error=error), None)  # type: ignore[arg-type]
    for i in range(len(batch.action)):
        state, following = (x[i].flatten().double() for x in (batch.state, batch.next_state))
        best = int((network.weight.double() @ following).argmax())
        value = inverse(float((target.weight.detach().double() @ following)[best]))
        y = h(batch.return_n[i].item() + batch.discount_n[i].item() * value)
        q = float((network.weight.detach().double() @ state)[batch.action[i]])
        delta = abs(y - q)
        penalty = delta**2 if error == "squared" or delta <= 1 else delta - 0.5
        penalty /= 2 if error == "huber" and delta <= 1 else 1
        assert found.loss[i].item() == pytest.approx(penalty, rel=2e-4, abs=1e-4)
        assert found.priority[i].item() == pytest.approx(delta, rel=2e-4, abs=1e-4)
        assert found.q[i].item() == pytest.approx(q, rel=1e-5, abs=1e-5)


def test_the_gradient_is_that_of_finite_differences_with_the_target_held() -> None:
    network, target, batch = Linear(1).double(), Linear(2).double(), transitions(8)
    options = Options(error="squared")
    with torch.no_grad():
        y = rescaled_double_target(
            batch.return_n.double(), batch.discount_n.double(), network.q_values(batch.next_state),
            target.q_values(batch.next_state), EPS,
        )  # fmt: skip
    loss(network, target, batch, options, None).loss.sum().backward()  # type: ignore[arg-type]
    assert network.weight.grad is not None

    def total() -> float:
        q = network.q_values(batch.state).gather(1, batch.action[:, None]).squeeze(1)
        return float((y - q).square().sum())

    with torch.no_grad():
        for i, j in [(0, 0), (1, 2), (3, 1)]:
            network.weight[i, j] += 1e-6
            above = total()
            network.weight[i, j] -= 2e-6
            below = total()
            network.weight[i, j] += 1e-6
            assert network.weight.grad[i, j].item() == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-4)


@given(st.lists(st.floats(-1e-3, 1e-3), min_size=4, max_size=4))
def test_where_values_are_small_it_is_the_double_dqn_target_on_another_scale(values: list[float]) -> None:
    """h(x) is (1/2 + eps) x near 0."""
    x, slope = torch.tensor(values), 0.5 + EPS
    next_q, next_q_target = x[None, :2], x[None, 2:]
    reward, discount = torch.tensor([1e-3]), torch.tensor([0.9])
    y = rescaled_double_target(reward, discount, next_q, next_q_target * slope, EPS)
    expected = double_q_target(reward, discount, next_q, next_q_target) * slope
    torch.testing.assert_close(y, expected, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("eps", [0.0, -1.0, 2.0, math.nan])
def test_an_eps_that_leaves_h_without_an_inverse_is_refused(eps: float) -> None:
    with pytest.raises(UserError, match="must be between 1e-6 and 1"):
        bound_loss(Config(loss="rescaled_double", loss_options={"rescale_eps": eps}))
