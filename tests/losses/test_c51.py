"""C51 held to its paper: algorithm 1 as a plain loop, what a projection keeps, and gradients by finite differences."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.losses import bound_loss
from pixelq.losses.c51 import cross_entropy, of_action, projected
from pixelq.networks import build_network
from pixelq.networks.heads.categorical import Head, Options
from pixelq.networks.layers import Layers
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.replay import Batch
from small_learners import learner
from small_networks import vectors

SPACE = vectors(1, 3)


def head(atoms=51, v_min=-10.0, v_max=10.0):
    return Head(3, 4, Options(atoms, v_min, v_max), Layers(Config(), torch.Generator().manual_seed(1)))


def probabilities(size, atoms, seed=0, spread=2.0):
    return (spread * torch.randn((size, atoms), generator=torch.Generator().manual_seed(seed))).softmax(dim=1)


def algorithm_1(reward, discount, p, z):
    """m of one transition, atom by atom in Python's floats, as the paper writes it."""
    step = (z[-1] - z[0]) / (len(z) - 1)
    m = [0.0] * len(z)
    for j, mass in enumerate(p):
        moved = min(max(reward + discount * z[j], z[0]), z[-1])
        b = min((moved - z[0]) / step, len(z) - 1)  # rounding may put the last atom a hair beyond itself
        lower, upper = math.floor(b), math.ceil(b)
        if lower == upper:  # on an atom, where the paper's two lines would lose the mass
            m[lower] += mass
        else:
            m[lower] += mass * (upper - b)
            m[upper] += mass * (b - lower)
    return m


@settings(max_examples=60, deadline=None)
@given(
    atoms=st.integers(2, 60), v_min=st.floats(-20, 5), width=st.floats(0.5, 40), discount=st.floats(0, 1),
    rewards=st.lists(st.floats(-30, 30), min_size=1, max_size=4), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_the_projection_is_algorithm_1_as_a_plain_loop(atoms, v_min, width, discount, rewards, seed):
    one = head(atoms, v_min, v_min + width)
    p = probabilities(len(rewards), atoms, seed)
    m = projected(torch.tensor(rewards), torch.full((len(rewards),), discount), p, one)
    z = [v_min + width * i / (atoms - 1) for i in range(atoms)]
    for i, reward in enumerate(rewards):
        expected = torch.tensor(algorithm_1(reward, discount, p[i].double().tolist(), z))
        torch.testing.assert_close(m[i], expected.float(), rtol=0, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(reward=st.floats(-50, 50), discount=st.floats(0, 1), atoms=st.integers(2, 101), seed=st.integers(0, 2**31))
def test_the_projection_keeps_the_mass_wherever_it_goes(reward, discount, atoms, seed):
    p = probabilities(3, atoms, seed)
    m = projected(torch.full((3,), reward), torch.full((3,), discount), p, head(atoms))
    assert (m >= 0).all()
    torch.testing.assert_close(m.sum(dim=1), p.sum(dim=1))


@settings(max_examples=60, deadline=None)
@given(reward=st.floats(-3, 3), discount=st.floats(0, 0.7), atoms=st.integers(2, 101), seed=st.integers(0, 2**31))
def test_the_projection_keeps_the_mean_within_the_support(reward, discount, atoms, seed):
    one, p = head(atoms), probabilities(3, atoms, seed)  # 3 + 0.7 x 10 is the last atom
    m = projected(torch.full((3,), reward), torch.full((3,), discount), p, one)
    torch.testing.assert_close(m @ one.support, reward + discount * (p @ one.support), rtol=1e-4, atol=1e-4)


def test_mass_beyond_the_support_lies_on_its_ends():
    one, p = head(), probabilities(2, 51)
    m = projected(torch.tensor([100.0, -100.0]), torch.ones(2), p, one)
    assert m[0, -1].item() == pytest.approx(1.0)
    assert m[1, 0].item() == pytest.approx(1.0)


def test_no_reward_and_no_discounting_change_nothing_and_a_terminal_states_target_is_its_reward_alone():
    one, p = head(), probabilities(2, 51)
    torch.testing.assert_close(projected(torch.zeros(2), torch.ones(2), p, one), p, rtol=0, atol=1e-4)
    # Atoms are 0.4 apart: 1 lies half-way between 0.8 and 1.2; -10 and 10 are the ends.
    m = projected(torch.tensor([1.0, 10.0]), torch.zeros(2), p, one)
    assert m[0, 27].item() == pytest.approx(0.5, abs=1e-4)
    assert m[0, 28].item() == pytest.approx(0.5, abs=1e-4)
    assert m[1, 50].item() == pytest.approx(1.0)


def test_the_projection_by_hand():
    one = head(atoms=5)  # -10, -5, 0, 5, 10
    half = torch.tensor([[0.0, 0.0, 0.5, 0.5, 0.0]])  # 0 or 5 becomes 1 or 3.5
    m = projected(torch.tensor([1.0]), torch.tensor([0.5]), half, one)
    torch.testing.assert_close(m, torch.tensor([[0.0, 0.0, 0.5 * 0.8 + 0.5 * 0.3, 0.5 * 0.2 + 0.5 * 0.7, 0.0]]))


def networks(**options):
    config = Config(torso="mlp", head="categorical", loss="c51", loss_options=options)
    return config, *(build_network(config, SPACE, 4, torch.Generator().manual_seed(seed)) for seed in (1, 2))


def batch(size=6):
    g = torch.Generator().manual_seed(0)
    state, next_state = 3 * torch.randn((2, size, *SPACE.shape), generator=g)
    discount = 0.9 * (torch.arange(size) % 3 != 0)  # every third state is terminal
    return Batch.unweighted(
        state, torch.randint(0, 4, (size,), generator=g), torch.randn(size, generator=g), discount, next_state
    )


@pytest.mark.parametrize("priority", ["cross_entropy", "kl"])
@pytest.mark.parametrize("double", [False, True])
def test_the_loss_is_the_cross_entropy_of_a_plain_loop_in_float64(double, priority):
    config, online, target = networks(double=double, priority=priority)
    b, z = batch(), torch.linspace(-10, 10, 51, dtype=torch.float64)
    with torch.no_grad():
        now, following, chooser = online(b.state), target(b.next_state), online(b.next_state)
    found = bound_loss(config)(online, target, b, None)
    choices = []
    for i in range(6):
        means = (chooser if double else following)[i].double().softmax(dim=1) @ z
        best = int(means.argmax())
        choices.append(best)
        p = following[i, best].double().softmax(dim=0).tolist()
        m = algorithm_1(float(b.return_n[i]), float(b.discount_n[i]), p, z.tolist())
        log_p = now[i, b.action[i]].double().log_softmax(dim=0)
        expected = -sum(mass * float(log_p[k]) for k, mass in enumerate(m))
        assert found.loss[i].item() == pytest.approx(expected, rel=1e-4)
        assert found.q[i].item() == pytest.approx(float(log_p.exp() @ z), abs=1e-4)
        entropy = -sum(mass * math.log(mass) for mass in m if mass > 0)
        left = expected - entropy if priority == "kl" else expected
        assert found.priority[i].item() == pytest.approx(left, rel=1e-4, abs=1e-4)
    assert len(set(choices)) > 1
    assert torch.equal(found.priority, found.loss.detach()) == (priority == "cross_entropy")


def test_double_c51_lets_the_network_choose_and_the_target_network_value():
    losses = []
    for double in (False, True):
        config, online, target = networks(double=double)
        losses.append(bound_loss(config)(online, target, batch(), None).loss.detach())
    terminal = batch().discount_n == 0
    torch.testing.assert_close(losses[0][terminal], losses[1][terminal])
    assert not torch.allclose(losses[0][~terminal], losses[1][~terminal])


def test_the_gradient_is_that_of_finite_differences_and_the_papers_p_minus_m():
    one = head(atoms=7).double()
    m = probabilities(3, 7, seed=1).double()
    logits = torch.randn((3, 7), dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: cross_entropy(m, x, one, "cross_entropy").loss, logits)
    (gradient,) = torch.autograd.grad(cross_entropy(m, logits, one, "kl").loss.sum(), logits)
    torch.testing.assert_close(gradient, logits.detach().softmax(dim=1) - m)


def test_a_divergence_as_priority_is_zero_where_nothing_is_left_to_learn():
    one, p = head(), probabilities(3, 51)
    same = cross_entropy(p, p.log(), one, "kl")
    torch.testing.assert_close(same.priority, torch.zeros(3), rtol=0, atol=1e-5)
    assert (same.loss > 1).all()  # the target's entropy is left
    other = probabilities(3, 51, seed=9)
    by_hand = (other.double() * (other.double() / p.double()).log()).sum(dim=1).float()
    torch.testing.assert_close(cross_entropy(other, p.log(), one, "kl").priority, by_hand, rtol=1e-4, atol=1e-5)
    certain = torch.eye(51)[:3]  # 0 log 0 is 0
    torch.testing.assert_close(cross_entropy(certain, p.log(), one, "kl").priority, -p.log()[range(3), range(3)])


def test_the_rows_of_the_actions_taken():
    output = torch.arange(24.0).view(2, 3, 4)
    assert of_action(output, torch.tensor([2, 0])).tolist() == [[8, 9, 10, 11], [12, 13, 14, 15]]


def test_updates_bring_the_distribution_to_the_rewards_of_terminal_states():
    one = learner(observations=SPACE, torso="mlp", head="categorical", loss="c51", optimizer_eps=1e-8)
    state = torch.eye(3).view(3, 1, 3)
    reward, action = torch.tensor([-4.0, 0.3, 7.0]), torch.tensor([0, 1, 2])
    b = Batch.unweighted(state, action, reward, torch.zeros(3), state)
    for _ in range(150):
        one.update(b, 3e-3)
    with torch.no_grad():
        p = one.network(state)[range(3), action].softmax(dim=1)
        q = one.network.q_values(state)[range(3), action]
    torch.testing.assert_close(q, reward, rtol=0, atol=0.05)
    assert (p.topk(2, dim=1).values.sum(dim=1) > 0.98).all()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"atoms": 1}, "atoms = 1 must be at least 2"),
        ({"v_min": 10.0}, "v_min = 10.0 must be below v_max = 10.0"),
        ({"v_max": float("inf")}, "both finite"),
        ({"ends": "middle"}, "ends"),
        ({"priority": "td"}, "priority"),
        ({"head": "linear"}, "learns a head categorical"),
        ({"double": True, "target": "none"}, "needs a target network"),
    ],
)
def test_what_c51_cannot_have_is_refused_in_one_line(overrides, message):
    with pytest.raises(UserError, match=message) as caught:
        validate(configure("pong", "c51", overrides))
    assert "\n" not in str(caught.value)
