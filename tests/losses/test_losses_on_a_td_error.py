"""DQN, Double DQN and PQN held to their mathematics: plain loops in float64, finite differences, where they meet."""

from typing import NamedTuple

import pytest
import torch

from pixelq.losses import Played, double, dqn, lambda_returns
from pixelq.replay import Batch

LOSSES = {"dqn": dqn, "double": double, "lambda_returns": lambda_returns}
SIZE, ACTIONS = 12, 4


class Table(NamedTuple):
    """A network whose Q-values are given: of the states, and of those that follow."""

    now: torch.Tensor
    following: torch.Tensor

    def q_values(self, state, noise=None):
        return self.now if state[0, 0] == 0 else self.following


def table(seed):
    now, following = 2 * torch.randn((2, SIZE, ACTIONS), dtype=torch.float64, generator=seeded(seed))
    return Table(now, following)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def batch():
    """Every third state is terminal; the states themselves only say which of the two they are."""
    g, discount = seeded(0), 0.9 * (torch.arange(SIZE) % 3 != 0).double()
    action = torch.randint(0, ACTIONS, (SIZE,), generator=g)
    reward = torch.randn(SIZE, dtype=torch.float64, generator=g)
    return Batch.unweighted(torch.zeros((SIZE, 1)), action, reward, discount, torch.ones((SIZE, 1)))


def found_by(name, online, target, b, error="huber"):
    return LOSSES[name].loss(online, target, b, LOSSES[name].Options(error=error), None)


def plain_target(name, reward, discount, next_q, next_q_target):
    """y of one transition in Python's floats: equation 2 of DQN's paper, section 3 of Double DQN's, or the return."""
    if name == "lambda_returns":
        return reward
    chooser = next_q if name == "double" else next_q_target
    best = 0
    for action, q in enumerate(chooser):
        best = action if q > chooser[best] else best
    return reward + discount * next_q_target[best]


@pytest.mark.parametrize("error", ["squared", "huber"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_a_plain_loop_in_float64(name, error):
    online, target, b = table(1), table(2), batch()
    found = found_by(name, online, target, b, error)
    assert found.loss.dtype == torch.float64
    sizes = []
    for i in range(SIZE):
        reward, discount, action = b.return_n[i].item(), b.discount_n[i].item(), int(b.action[i])
        y = plain_target(name, reward, discount, online.following[i].tolist(), target.following[i].tolist())
        sizes.append(abs(y - online.now[i, action].item()))
    expected = [s * s if error == "squared" else (s * s / 2 if s <= 1 else s - 0.5) for s in sizes]
    assert min(sizes) < 1 < max(sizes)  # on both sides of Huber's kink
    assert found.loss.tolist() == pytest.approx(expected, rel=1e-9)
    assert found.priority.tolist() == pytest.approx(sizes, rel=1e-9)


@pytest.mark.parametrize("error", ["squared", "huber"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_finite_differences_and_goes_to_the_values_of_the_actions_taken_alone(name, error):
    online, target, b = table(1), table(2), batch()
    for values in (*online, *target):
        values.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda now: found_by(name, Table(now, online.following), target, b, error).loss, online.now
    )
    found = found_by(name, online, target, b, error)
    given = (online.now, online.following, *target)
    gradient, *others = torch.autograd.grad(found.loss.sum(), given, allow_unused=True)
    assert others == [None] * 3
    assert gradient.nonzero().tolist() == [[i, int(action)] for i, action in enumerate(b.action)]


def test_double_dqn_whose_target_network_is_the_network_is_dqn():
    online, b = table(1), batch()
    same, other = found_by("double", online, online, b), found_by("double", online, table(2), b)
    expected = found_by("dqn", online, online, b)
    assert torch.equal(same.loss, expected.loss)
    assert torch.equal(same.priority, expected.priority)
    assert not torch.equal(other.loss, found_by("dqn", online, table(2), b).loss)  # of two networks it is not


@pytest.mark.parametrize("name", ["dqn", "double"])
def test_without_a_future_it_is_regression_on_the_reward(name):
    b = batch()
    b.discount_n.zero_()
    found = found_by(name, table(1), table(2), b, "squared")
    expected = (b.return_n - table(1).now[range(SIZE), b.action]).square()
    torch.testing.assert_close(found.loss, expected)


# --- PQN: its loss with the returns of a rollout ----------------------------------------------------------------------


def rollout(length=SIZE // 2, num_envs=2):
    """T x N of what was played: the second environment ends in the middle, the first is truncated there."""
    g = seeded(3)
    rewards, next_values = torch.randn((2, length, num_envs), dtype=torch.float64, generator=g)
    discounts, truncated = torch.full_like(rewards, 0.9), torch.zeros_like(rewards)
    discounts[1, 1], truncated[1, 0] = 0.0, 1.0
    return Played(rewards, discounts, next_values, truncated)


def plain_return(played, lam, t, n):
    """R_t = r_t + gamma_t ((1 - lambda) v_{t+1} + lambda R_{t+1}), in Python's floats, from its definition."""
    value = played.next_values[t, n].item()
    following = value
    if t + 1 < len(played.rewards) and not played.truncated[t, n]:
        following = plain_return(played, lam, t + 1, n)
    return played.rewards[t, n].item() + played.discounts[t, n].item() * ((1 - lam) * value + lam * following)


def with_returns(played, lam, error="squared"):
    """The batch whose returns are a rollout's, and PQN's loss of it."""
    options = lambda_returns.Options(error=error, trace_lambda=lam)
    returns = lambda_returns.returns(played, options).flatten()
    b = batch()
    b.return_n.copy_(returns)
    return b, lambda_returns.loss(table(1), table(1), b, options, None)


@pytest.mark.parametrize("lam", [0.0, 0.65, 1.0])
def test_pqns_loss_is_that_of_a_plain_loop_over_the_rollout_in_float64(lam):
    played = rollout()
    b, found = with_returns(played, lam)
    for t in range(SIZE // 2):
        for n in range(2):
            i = 2 * t + n
            delta = plain_return(played, lam, t, n) - table(1).now[i, b.action[i]].item()
            assert found.loss[i].item() == pytest.approx(delta * delta, rel=1e-9)


def test_pqn_with_lambda_zero_is_dqn_with_the_network_as_its_own_target():
    online, played = table(1), rollout()
    values = online.following.max(dim=1).values.view(-1, 2)
    played = played._replace(next_values=values)
    b, found = with_returns(played, 0.0, "huber")
    b.return_n.copy_(played.rewards.flatten())
    b.discount_n.copy_(played.discounts.flatten())
    torch.testing.assert_close(found.loss, found_by("dqn", online, online, b).loss, rtol=1e-9, atol=0)
