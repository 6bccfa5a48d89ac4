"""What a learner makes of a loss: weights, reduction, priorities, means; losses that are none."""

import dataclasses
import math
from typing import Any

import pytest
import torch

from pixelq.errors import UserError
from small_learners import batch, gradients, learner, plain_forward


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["dqn", "double", "lambda_returns"])
def test_a_batchs_weights_multiply_the_loss_of_each_transition(loss, reduction):
    one = learner(loss=loss, reduction=reduction)
    b = batch(size=6)
    weight = torch.tensor([1.0, 0.5, 0.0, 0.25, 2.0, 0.125])
    singles = [gradients(one, b.map(lambda x, i=i: x[i : i + 1])) for i in range(6)]
    share = 1 / 6 if reduction == "mean" else 1.0
    found = gradients(one, dataclasses.replace(b, weight=weight))
    for i, gradient in enumerate(found):
        expected = share * sum(w * of_one[i] for w, of_one in zip(weight.tolist(), singles, strict=True))
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found[-1], gradients(one, b)[-1], rtol=0.05)


def test_weights_change_neither_priorities_nor_the_mean_loss_of_the_curves():
    plain, weighted = learner(), learner()
    b = batch()
    priority = plain.update(b, 1e-3)
    assert torch.equal(weighted.update(dataclasses.replace(b, weight=torch.linspace(0.1, 1, 32)), 1e-3), priority)
    assert weighted.take_means() == plain.take_means()


@pytest.mark.parametrize("error", ["squared", "huber"])
@pytest.mark.parametrize("loss", ["dqn", "double"])
def test_an_update_returns_the_sizes_of_the_td_errors_before_it(loss, error):
    one = learner(loss=loss, error=error, target="hard")
    for seed in range(2):
        one.update(batch(seed), 1e-3)
    b = batch(7)
    weights, target = one.network.state_dict(), one.target_network.state_dict()
    with torch.no_grad():
        next_q = plain_forward(target, b.next_state)
        chosen = (plain_forward(weights, b.next_state) if loss == "double" else next_q).argmax(dim=1)
        y = b.return_n + b.discount_n * next_q[torch.arange(32), chosen]
        td_error = y - plain_forward(weights, b.state)[torch.arange(32), b.action]
    priority = one.update(b, 1e-3)
    assert priority.dtype == torch.float32
    assert not priority.requires_grad
    torch.testing.assert_close(priority, td_error.abs(), rtol=1e-4, atol=1e-5)


def test_sum_reduction_makes_gradients_batch_size_times_larger():
    mean, total = learner(reduction="mean"), learner(reduction="sum")
    mean.update(batch(), 1e-4)
    total.update(batch(), 1e-4)
    of_mean, of_total = (one.network.head.output.bias.grad for one in (mean, total))
    assert torch.allclose(of_mean * 32, of_total, rtol=1e-3, atol=1e-6)


def test_means_are_over_the_updates_since_they_were_last_taken():
    one = learner()
    assert all(math.isnan(x) for x in one.take_means())
    one.update(batch(), 1e-4)
    loss, q = one.take_means()
    assert loss > 0
    assert math.isfinite(q)
    assert all(math.isnan(x) for x in one.take_means())


BAD_LOSSES = {
    "a column": lambda loss: loss._replace(loss=loss.loss[:, None]),
    "a scalar": lambda loss: loss._replace(loss=loss.loss.mean()),
    "doubles": lambda loss: loss._replace(loss=loss.loss.double()),
    "a scalar priority": lambda loss: loss._replace(priority=loss.priority.mean()),
    "a priority in half precision": lambda loss: loss._replace(priority=loss.priority.bfloat16()),
    "no gradient": lambda loss: loss._replace(loss=loss.loss.detach()),
    "a plain tuple": tuple,
    "nothing": lambda loss: None,
}


@pytest.mark.parametrize("how", BAD_LOSSES)
def test_a_loss_of_another_shape_is_refused_before_it_is_broadcast(how: str) -> None:
    one = learner(torso="2013")
    bound = one._loss
    one._loss = lambda *arguments: BAD_LOSSES[how](bound(*arguments))  # type: ignore[assignment]
    before = one.network.head.output.weight.clone()
    with pytest.raises(UserError, match="the loss"):
        one.update(batch(), 1e-3)
    assert torch.equal(one.network.head.output.weight, before)


def test_the_curves_keep_no_graph_of_a_loss_that_forgot_to_detach() -> None:
    one = learner(torso="2013")
    bound = one._loss

    def forgetful(*arguments: Any) -> Any:
        found = bound(*arguments)
        return found._replace(q=found.q + 0 * found.loss, priority=found.priority + 0 * found.loss)

    one._loss = forgetful  # type: ignore[assignment]
    assert not one.update(batch(), 1e-3).requires_grad
    assert not one._sums.requires_grad
