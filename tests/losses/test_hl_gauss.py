"""HL-Gauss held to its paper: the transform and its inverse, a plain loop with math.erf, and its ends."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.losses import bound_loss, hl_gauss
from pixelq.losses.c51 import projected
from pixelq.losses.hl_gauss import gaussian_histogram, two_hot
from pixelq.networks import build_network
from pixelq.networks.heads.categorical import Head, Options
from pixelq.networks.layers import Layers
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.validation import validate
from pixelq.recipes.values import with_all_options
from pixelq.replay import Batch
from small_learners import learner
from small_networks import vectors

SPACE = vectors(1, 3)


def head(atoms=51, v_min=-10.0, v_max=10.0):
    return Head(3, 4, Options(atoms, v_min, v_max, "edges"), Layers(Config(), torch.Generator().manual_seed(1)))


def plain_loop(y, edges, sigma):
    """The mass of the normal distribution around y between each two edges, of that between the outermost."""
    y = min(max(y, edges[0]), edges[-1])
    cdf = [0.5 * (1 + math.erf((edge - y) / (math.sqrt(2) * sigma))) for edge in edges]
    return [(above - below) / (cdf[-1] - cdf[0]) for below, above in itertools.pairwise(cdf)]


def edges_of(atoms, v_min, v_max):
    return [v_min + (v_max - v_min) * i / atoms for i in range(atoms + 1)]


@settings(max_examples=60, deadline=None)
@given(
    y=st.floats(-30, 30), atoms=st.integers(2, 101), v_min=st.floats(-20, 5), width=st.floats(0.5, 40),
    ratio=st.floats(0.1, 3),
)  # fmt: skip
def test_the_histogram_is_that_of_a_plain_loop_and_sums_to_one(y, atoms, v_min, width, ratio):
    found = gaussian_histogram(torch.tensor([y]), head(atoms, v_min, v_min + width), ratio)[0]
    assert found.sum().item() == pytest.approx(1.0, abs=1e-5)
    expected = plain_loop(y, edges_of(atoms, v_min, v_min + width), ratio * width / atoms)
    assert found.tolist() == pytest.approx(expected, abs=1e-3 / ratio)


@settings(max_examples=60, deadline=None)
@given(y=st.floats(-8, 8), ratio=st.floats(0.5, 0.8))
def test_the_mean_of_the_bins_centres_is_the_inverse(y, ratio):
    one = head()  # 8 is six deviations from the edges
    found = gaussian_histogram(torch.tensor([y]), one, ratio) @ one.support
    # The mean of a rounded normal number is off by its characteristic function at 2 pi / width (Poisson's sum).
    off = one.step / math.pi * math.exp(-2 * math.pi**2 * ratio**2)
    assert found.item() == pytest.approx(y, abs=1.1 * off + 2e-5)


@settings(max_examples=60, deadline=None)
@given(y=st.floats(-15, 15), atoms=st.integers(2, 101))
def test_two_hot_keeps_the_mean_to_the_outermost_atoms_and_is_c51s_projection_of_one_return(y, atoms):
    one = head(atoms)
    found = two_hot(torch.tensor([y]), one)
    assert (found > 0).sum() <= 2
    assert found.sum().item() == pytest.approx(1.0, abs=1e-4)
    assert (found @ one.support).item() == pytest.approx(min(max(y, one.first), one.last), abs=1e-3)
    anything = torch.full((1, atoms), 1.0 / atoms)
    of_c51 = projected(torch.tensor([y]), torch.zeros(1), anything, one)
    torch.testing.assert_close(found, of_c51, rtol=0, atol=2e-4)


def test_by_hand_on_three_bins():
    one = head(atoms=3, v_min=0.0, v_max=3.0)
    assert one.support.tolist() == [0.5, 1.5, 2.5]
    # A normal of deviation 1 around 1.5: 0.3829 within a half, 0.4332 - 0.1915 on each side, of 0.8664.
    found = gaussian_histogram(torch.tensor([1.5]), one, 1.0)[0]
    assert found.tolist() == pytest.approx([0.2417 / 0.8664, 0.3829 / 0.8664, 0.2417 / 0.8664], abs=1e-4)
    assert two_hot(torch.tensor([1.75]), one)[0].tolist() == pytest.approx([0.0, 0.75, 0.25])


def test_a_narrow_gaussian_is_one_hot_and_a_wide_one_even():
    y = torch.tensor([-9.0, 0.05, 9.9])
    one = head()
    narrow = gaussian_histogram(y, one, 1e-3)
    assert narrow.argmax(dim=1).tolist() == [int((v + 10) / (20 / 51)) for v in y.tolist()]
    assert (narrow.max(dim=1).values > 0.999).all()
    torch.testing.assert_close(gaussian_histogram(y, one, 1e4), torch.full((3, 51), 1 / 51), rtol=1e-3, atol=1e-3)


def test_targets_far_beyond_the_support_are_those_at_its_edges():
    one = head()
    found = gaussian_histogram(torch.tensor([1e6, -1e6]), one, 0.75)
    torch.testing.assert_close(found, gaussian_histogram(torch.tensor([10.0, -10.0]), one, 0.75))
    torch.testing.assert_close(found[0], found[1].flip(0))
    assert torch.isfinite(found).all()


def networks(**options):
    config = Config(
        torso="mlp", head="categorical", head_options={"ends": "edges"}, loss="hl_gauss", loss_options=options
    )
    return config, *(build_network(config, SPACE, 4, torch.Generator().manual_seed(seed)) for seed in (1, 2))


def batch(size=6):
    g = torch.Generator().manual_seed(0)
    state, next_state = 3 * torch.randn((2, size, *SPACE.shape), generator=g)
    discount = 0.9 * (torch.arange(size) % 3 != 0)  # every third state is terminal
    return Batch.unweighted(
        state, torch.randint(0, 4, (size,), generator=g), 2 * torch.randn(size, generator=g), discount, next_state
    )


@pytest.mark.parametrize("priority", ["cross_entropy", "kl"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("projection", ["gaussian", "two_hot"])
def test_the_loss_is_the_cross_entropy_of_a_plain_loop_in_float64(double, projection, priority):
    config, online, target = networks(double=double, projection=projection, priority=priority)
    b = batch()
    edges = edges_of(51, -10.0, 10.0)
    z = torch.tensor([(low + high) / 2 for low, high in itertools.pairwise(edges)], dtype=torch.float64)
    with torch.no_grad():
        now, following, chooser = (x.double() for x in (online(b.state), target(b.next_state), online(b.next_state)))
    found = bound_loss(config)(online, target, b, None)
    for i in range(6):
        q = following[i].softmax(dim=1) @ z
        best = int(((chooser[i].softmax(dim=1) @ z) if double else q).argmax())
        y = float(b.return_n[i]) + float(b.discount_n[i]) * float(q[best])
        if projection == "gaussian":
            m = plain_loop(y, edges, 0.75 * 20 / 51)
        else:
            m = [max(0.0, 1 - abs(y - float(atom)) / (20 / 51)) for atom in z]
        log_p = now[i, b.action[i]].log_softmax(dim=0).tolist()
        expected = -sum(mass * one for mass, one in zip(m, log_p, strict=True))
        assert found.loss[i].item() == pytest.approx(expected, rel=1e-4)
        assert found.q[i].item() == pytest.approx(float(now[i, b.action[i]].softmax(dim=0) @ z), abs=1e-4)
        entropy = -sum(mass * math.log(mass) for mass in m if mass > 0)
        left = expected - entropy if priority == "kl" else expected
        assert found.priority[i].item() == pytest.approx(left, rel=1e-4, abs=1e-4)
    assert torch.equal(found.priority, found.loss.detach()) == (priority == "cross_entropy")


class Fixed:
    """A network whose logits are given, whatever the state."""

    def __init__(self, logits):
        self.logits, self.head = logits, head(logits.shape[2]).double()

    def __call__(self, state, noise=None):
        return self.logits

    def q_values(self, state, noise=None):
        return self.head.values(self.logits)


@pytest.mark.parametrize("projection", ["gaussian", "two_hot"])
def test_the_gradient_is_that_of_finite_differences_and_p_minus_the_histogram(projection):
    logits, other = torch.randn((2, 2, 4, 5), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    logits.requires_grad_()
    b, options = batch(2), hl_gauss.Options(projection=projection)

    def loss(given):
        return hl_gauss.loss(Fixed(given), Fixed(other), b, options, None).loss

    assert torch.autograd.gradcheck(loss, logits)
    (gradient,) = torch.autograd.grad(loss(logits).sum(), logits)
    rows = torch.arange(2)
    y = b.return_n + b.discount_n * Fixed(other).q_values(b.next_state).max(dim=1).values
    histogram = two_hot(y, head(5)) if projection == "two_hot" else gaussian_histogram(y, head(5), 0.75)
    torch.testing.assert_close(gradient[rows, b.action], logits.detach()[rows, b.action].softmax(dim=1) - histogram)


def test_updates_bring_the_mean_to_the_rewards_of_terminal_states():
    one = learner(
        observations=SPACE, torso="mlp", head="categorical", loss="hl_gauss", ends="edges", optimizer_eps=1e-8
    )
    state = torch.eye(3).view(3, 1, 3)
    reward, action = torch.tensor([-4.0, 0.3, 7.0]), torch.tensor([0, 1, 2])
    b = Batch.unweighted(state, action, reward, torch.zeros(3), state)
    for _ in range(150):
        one.update(b, 3e-3)
    with torch.no_grad():
        q = one.network.q_values(state)[range(3), action]
    torch.testing.assert_close(q, reward, rtol=0, atol=0.05)


def test_the_recipe_changes_of_dopamines_c51_the_target_alone():
    """Tables B.2 and B.3: HL-Gauss has C51's locations and optimizer, and the smoothing ratio besides."""
    hl_gauss, c51 = (vars(with_all_options(read_recipe(name))) for name in ("hl-gauss", "dopamine-c51"))
    changed = {field for field in c51 if hl_gauss[field] != c51[field]}
    assert changed == {"recipe", "loss", "loss_options", "head_options"}
    assert hl_gauss["head_options"] == c51["head_options"] | {"ends": "edges"}
    assert hl_gauss["loss_options"] == c51["loss_options"] | {"projection": "gaussian", "sigma_to_bin": 0.75}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"sigma_to_bin": 0.0}, "sigma_to_bin = 0.0 must be above 0"),
        ({"sigma_to_bin": float("inf")}, "finite"),
        ({"projection": "one_hot"}, "projection"),
        ({"head": "linear"}, "learns a head categorical"),
        ({"double": True, "target": "none"}, "needs a target network"),
    ],
)
def test_what_hl_gauss_cannot_have_is_refused_in_one_line(overrides, message):
    with pytest.raises(UserError, match=message) as caught:
        validate(configure("pong", "hl-gauss", overrides))
    assert "\n" not in str(caught.value)
