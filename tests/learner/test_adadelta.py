"""Adadelta, held to Zeiler's algorithm and to the code of DRQN's authors."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixelq.learner.optimizers.adadelta import Adadelta


def after(optimizer: torch.optim.Optimizer, weight: torch.nn.Parameter, gradients: torch.Tensor) -> torch.Tensor:
    """The weight after an update with each of the gradients."""
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def test_the_first_two_steps_are_those_of_a_calculation_by_hand() -> None:
    """Algorithm 1 with rho 0.95 and eps 1e-6: E[g^2] is 0.0045, then 0.006275; E[d^2] is 9.9978e-7 after one step."""
    weight = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = Adadelta([weight], 1.0, 0.95, 1e-6)
    after(optimizer, weight, torch.tensor([[0.3]], dtype=torch.float64))
    assert 1.0 - weight.item() == pytest.approx(0.3e-3 / math.sqrt(0.004501), rel=1e-12)
    assert optimizer.state[weight]["mean_square_step"].item() == pytest.approx(9.9978e-7, rel=1e-5)
    before = weight.item()
    after(optimizer, weight, torch.tensor([[-0.2]], dtype=torch.float64))
    assert weight.item() - before == pytest.approx(0.2 * math.sqrt(1.99978e-6 / 0.006276), rel=1e-5)


sizes = st.floats(-1e3, 1e3).map(lambda x: 0.0 if abs(x) < 1e-9 else x)


@given(
    gradients=st.lists(sizes, min_size=1, max_size=20),
    rho=st.floats(0, 1),
    eps=st.floats(1e-12, 1.0),
    lr=st.floats(1e-6, 2.0),
)
def test_every_step_is_that_of_the_formula_written_out(
    gradients: list[float], rho: float, eps: float, lr: float
) -> None:
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Adadelta([weight], lr, rho, eps)
    mean_square = mean_square_step = x = 0.0
    for g in gradients:
        after(optimizer, weight, torch.tensor([[g]], dtype=torch.float64))
        mean_square = rho * mean_square + (1 - rho) * g * g
        step = lr * math.sqrt(mean_square_step + eps) / math.sqrt(mean_square + eps) * g
        mean_square_step = rho * mean_square_step + (1 - rho) * step * step
        x -= step
        assert weight.item() == pytest.approx(x, rel=1e-9, abs=1e-12)


def test_with_a_learning_rate_of_1_it_takes_torchs_steps() -> None:
    g = torch.Generator().manual_seed(1)
    start, gradients = torch.randn(50, generator=g), torch.randn((50, 50), generator=g)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizers = Adadelta([ours], 1.0, 0.9, 1e-3), torch.optim.Adadelta([theirs], 1.0, 0.9, 1e-3)
    torch.testing.assert_close(after(optimizers[0], ours, gradients), after(optimizers[1], theirs, gradients))
    state, torchs = optimizers[0].state[ours], optimizers[1].state[theirs]
    torch.testing.assert_close(state["mean_square"], torchs["square_avg"])
    torch.testing.assert_close(state["mean_square_step"], torchs["acc_delta"])


def test_below_1_its_steps_settle_where_torchs_grow() -> None:
    """The 2,000th step of gradients of size 1, as a multiple of lr sqrt(eps)."""
    lr, rho, eps = 0.1, 0.95, 1e-8
    gradients = torch.ones((2_000, 1), dtype=torch.float64)
    ours, theirs = (torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    optimizers = Adadelta([ours], lr, rho, eps), torch.optim.Adadelta([theirs], lr, rho, eps)
    last = [
        (after(o, w, gradients[1:]).clone() - after(o, w, gradients[:1])).item() / (lr * math.sqrt(eps))
        for o, w in zip(optimizers, (ours, theirs), strict=True)
    ]
    assert last[0] == pytest.approx(1 / math.sqrt(1 - lr**2), rel=1e-3)
    assert last[1] > math.sqrt(2_000 * (1 - rho))


@pytest.mark.parametrize("shape", [(3,), (4, 2, 3, 3)])
def test_it_takes_the_same_steps_with_a_learning_rate_in_a_tensor(shape: tuple[int, ...]) -> None:
    g = torch.Generator().manual_seed(1)
    number = torch.nn.Parameter(torch.randn(shape, generator=g))
    tensor = torch.nn.Parameter(number.detach().clone())
    optimizers = [Adadelta([p], 0.0, 0.95, 0.01) for p in (number, tensor)]
    rate = optimizers[1].param_groups[0]["lr"] = torch.zeros(())
    for lr in (1.0, 0.5, 0.1, 0.0):
        gradient = torch.randn((1, *shape), generator=g)
        optimizers[0].param_groups[0]["lr"] = lr
        rate.fill_(lr)
        moved = [after(o, p, gradient) for o, p in zip(optimizers, (number, tensor), strict=True)]
        torch.testing.assert_close(*moved, rtol=1e-6, atol=1e-7)
