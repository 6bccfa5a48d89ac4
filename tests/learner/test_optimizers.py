"""Optimizers held to their formulas."""

import contextlib
import math

import pytest
import torch

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.optimizers import build_optimizer, parameter_groups, set_learning_rate
from pixelq.learner.optimizers.fused_adam import FusedAdam
from pixelq.learner.optimizers.plain_adam import PlainAdam, adam_scalars, radam_scalars
from pixelq.learner.optimizers.rectified_adam import RectifiedAdam, rectification
from pixelq.learner.optimizers.rmsprop import CentredRMSprop
from pixelq.recipes.partners import steps_in
from pixelq.recipes.validation import validate
from pixelq.variants import KINDS


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


LARGE_STEPS = {"adadelta": 1.0}
"""Learning rates of those whose steps are otherwise too small for a short test."""


@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "radam", "adadelta"])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_every_optimizer_lowers_a_quadratic(name, amsgrad):
    theta = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    config = Config(optimizer=name, learning_rate=LARGE_STEPS.get(name, 0.05), optimizer_eps=0.01, amsgrad=amsgrad)
    optimizer = build_optimizer(config, [theta])
    for _ in range(200):
        optimizer.zero_grad()
        theta.square().sum().backward()
        optimizer.step()
    assert theta.square().sum().item() < 0.5


@pytest.mark.parametrize("beta", [-0.1, 0.0, 0.5, math.nextafter(1.0, 0.0), 1.0, 1.5, math.nan])
@pytest.mark.parametrize("field", ["adam_beta1", "adam_beta2"])
@pytest.mark.parametrize("name", ["adam", "adamw", "radam"])
def test_a_recipe_may_have_the_decays_that_its_optimizer_takes_and_no_others(name, field, beta):
    config, weight = Config(optimizer=name, **{field: beta}), torch.nn.Parameter(torch.ones(3))
    taken = allowed = False
    with contextlib.suppress(ValueError):
        build_optimizer(config, [weight])
        taken = True
    with contextlib.suppress(UserError):
        validate(config)
        allowed = True
    assert allowed == taken == (0 <= beta < 1)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "radam", "adadelta"])
def test_a_weight_without_a_gradient_stays_and_the_others_learn_as_if_it_were_not_there(name, compiled):
    config = Config(optimizer=name, learning_rate=0.05, optimizer_eps=0.01, compile=compiled)
    ends = []
    for frozen in (0, 1, 2):
        thetas = [torch.nn.Parameter(torch.tensor([3.0, -2.0])) for _ in range(frozen + 1)]
        optimizer = build_optimizer(config, thetas)
        for _ in range(8):
            optimizer.zero_grad()
            thetas[-1].square().sum().backward()
            optimizer.step()
        assert all(theta.tolist() == [3.0, -2.0] for theta in thetas[:-1])
        ends.append(thetas[-1].tolist())
    assert ends[0] == ends[1] == ends[2] != [3.0, -2.0]


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


def assert_same_steps(make, make_reference, *, rtol: float, updates: int = 30):
    """Two optimizers of the same gradients: the same weights all the way, and the same state in the end."""
    g = torch.Generator().manual_seed(1)
    ours = torch.nn.Parameter(torch.randn(50, generator=g))
    theirs = torch.nn.Parameter(ours.detach().clone())
    pair = [(ours, make([ours])), (theirs, make_reference([theirs]))]
    start = ours.detach().clone()
    for _ in range(updates):
        gradient = torch.randn(50, generator=g)
        for p, optimizer in pair:
            p.grad = gradient.clone()
            optimizer.step()
        assert (ours - theirs).norm() <= rtol * (theirs - start).norm()
    states = [optimizer.state[p] for p, optimizer in pair]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-5, atol=1e-6)


class WrittenOut:
    """A formula as a paper has it, of one weight: a step is the learning rate times `direction`; t counts from 1."""

    def __init__(self, parameters, lr, decays, eps):
        [self.theta] = parameters
        self.lr, self.decays, self.eps, self.t = lr, decays, eps, 0
        self.mean = self.mean_square = torch.zeros_like(self.theta, requires_grad=False)

    @torch.no_grad()
    def step(self):
        g, (first, second) = self.theta.grad, self.decays
        self.t += 1
        self.mean = first * self.mean + (1 - first) * g
        self.mean_square = second * self.mean_square + (1 - second) * g * g
        self.theta -= self.lr * self.direction(g)


class WrittenOutRMSprop(WrittenOut):
    """Mnih et al. 2015."""

    def direction(self, g):
        return g / torch.sqrt(self.mean_square - self.mean * self.mean + self.eps)

    @property
    def state(self):
        return {self.theta: {"mean": self.mean, "mean_square": self.mean_square}}


class WrittenOutAdadelta(WrittenOut):
    """Zeiler 2012, algorithm 1, with the learning rate in the step that is averaged."""

    mean_square_step = torch.zeros(())

    def direction(self, g):
        direction = torch.sqrt((self.mean_square_step + self.eps) / (self.mean_square + self.eps)) * g
        rho = self.decays[1]
        self.mean_square_step = rho * self.mean_square_step + (1 - rho) * (self.lr * direction) ** 2
        return direction

    @property
    def state(self):
        return {self.theta: {"mean_square": self.mean_square, "mean_square_step": self.mean_square_step}}


class WrittenOutRAdam(WrittenOut):
    """Liu et al. 2020, algorithm 2, with Optax's place of eps and both libraries' bound of 5."""

    def direction(self, g):
        t, (first, second) = self.t, self.decays
        mean, longest = self.mean / (1 - first**t), 2 / (1 - second) - 1
        rho = longest - 2 * t * second**t / (1 - second**t)
        if rho <= 5:
            return mean
        r = math.sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
        return r * mean / (torch.sqrt(self.mean_square / (1 - second**t)) + self.eps)

    @property
    def state(self):
        return {self.theta: {"step": torch.tensor(float(self.t)), "exp_avg": self.mean, "exp_avg_sq": self.mean_square}}


PLAIN = {"fused": False, "foreach": False}
BY_HAND = {
    "adam": lambda p: torch.optim.Adam(p, 0.02, (0.8, 0.95), 0.03, **PLAIN),
    "adam, amsgrad": lambda p: torch.optim.Adam(p, 0.02, (0.8, 0.95), 0.03, amsgrad=True, **PLAIN),
    "adamw": lambda p: torch.optim.AdamW(p, 0.02, (0.8, 0.95), 0.03, weight_decay=0.3, **PLAIN),
    "adamw, amsgrad": lambda p: torch.optim.AdamW(p, 0.02, (0.8, 0.95), 0.03, weight_decay=0.3, amsgrad=True, **PLAIN),
    "radam": lambda p: WrittenOutRAdam(p, 0.02, (0.8, 0.95), 0.03),
    "rmsprop": lambda p: WrittenOutRMSprop(p, 0.02, (0.7, 0.7), 0.03),
    "adadelta": lambda p: WrittenOutAdadelta(p, 0.9, (0.6, 0.6), 0.03),
}


@pytest.mark.parametrize(
    ("case", "compiled"), [(case, False) for case in BY_HAND] + [(case, True) for case in ("adam", "radam", "rmsprop")]
)
def test_an_optimizer_has_every_number_that_its_recipe_names(case, compiled):
    """None of them is the default; those with `compile` are the ones that a recipe may have with it."""
    name, _, amsgrad = case.partition(", ")
    config = Config(
        optimizer=name, learning_rate=0.9 if name == "adadelta" else 0.02, optimizer_eps=0.03, rmsprop_decay=0.7,
        optimizer_options={"rho": 0.6} if name == "adadelta" else {}, adam_beta1=0.8, adam_beta2=0.95, weight_decay=0.3,
        amsgrad=amsgrad == "amsgrad", compile=compiled,
    )  # fmt: skip
    assert_same_steps(lambda p: build_optimizer(config, p), BY_HAND[case], rtol=1e-5)


def test_the_optimizers_by_hand_are_all_that_take_minibatches():
    kind = KINDS["optimizer"]
    names = {name for name in kind.names() if kind.is_own(name) and steps_in(name, "replay")}
    assert {case.partition(", ")[0] for case in BY_HAND} == names


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decay", [None, 0.0, 0.3])
@pytest.mark.parametrize("rate", [0.02, torch.tensor(0.02)], ids=["number", "tensor"])
def test_fused_adam_is_torchs_to_the_bit_with_its_state_and_a_weight_that_has_no_gradient(amsgrad, decay, rate):
    g = torch.Generator().manual_seed(3)
    start = [torch.randn(shape, generator=g) for shape in [(5, 3), (7,), (4, 2, 3, 3), ()]]
    start[2] = start[2].contiguous(memory_format=torch.channels_last)
    ours, theirs = ([torch.nn.Parameter(p.clone()) for p in start] for _ in range(2))
    groups = [{"params": ours[:2]}, {"params": ours[2:], "lr": 0.5}]
    adam = FusedAdam(groups, rate, (0.8, 0.95), 0.03, amsgrad=amsgrad, decoupled_weight_decay=decay)
    kind, weight_decay = (torch.optim.Adam, 0.0) if decay is None else (torch.optim.AdamW, decay)
    reference = kind(
        [{"params": theirs[:2]}, {"params": theirs[2:], "lr": 0.5}], lr=rate, betas=(0.8, 0.95), eps=0.03,
        amsgrad=amsgrad, weight_decay=weight_decay, fused=True,
    )  # fmt: skip
    for i in range(20):
        for one, other in zip(ours, theirs, strict=True):
            given = i % 3 != 1 or one.dim() != 1  # the vector has no gradient in every third update
            one.grad = torch.randn(one.shape, generator=g).clone(memory_format=torch.preserve_format) if given else None
            one.grad = None if one.grad is None else torch.empty_like(one).copy_(one.grad)
            other.grad = None if one.grad is None else one.grad.clone()
        adam.step()
        reference.step()
        adam.zero_grad()
    assert all(one.grad is None for one in ours)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
        assert adam.state[one].keys() == reference.state[other].keys()
        for name, value in reference.state[other].items():
            assert torch.equal(adam.state[one][name], value)
            assert adam.state[one][name].dtype == value.dtype
            assert adam.state[one][name].stride() == value.stride()


def test_plain_adam_takes_the_steps_of_the_fused_kernel_and_shares_its_state():
    assert_same_steps(
        lambda p: PlainAdam(p, 1e-2, (0.9, 0.999), 1e-8, adam_scalars),
        lambda p: torch.optim.Adam(p, 1e-2, eps=1e-8, fused=True),
        rtol=1e-5,
    )


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.9, 0.5)])
def test_rectified_adam_takes_torchs_steps_from_the_first_on_and_shares_its_state(betas):
    assert_same_steps(
        lambda p: RectifiedAdam(p, 1e-2, betas, 1e-8),
        lambda p: torch.optim.RAdam(p, 1e-2, betas, 1e-8),
        rtol=1e-5,
    )


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.9, 0.5)])
def test_plain_radam_takes_the_steps_of_rectified_adam_with_an_eps_that_counts(betas):
    assert_same_steps(
        lambda p: PlainAdam(p, torch.tensor(1e-2), betas, 0.1, radam_scalars),
        lambda p: RectifiedAdam(p, 1e-2, betas, 0.1),
        rtol=1e-5,
    )


def test_the_variance_is_taken_for_tractable_from_the_sixth_update_on_and_in_the_end_fully():
    # Liu et al. 2020, section 4.2: rho_t > 4 would be tractable; like torch and Optax we wait for 5.
    assert [rectification(t, 0.999) > 0 for t in range(1, 8)] == [False] * 5 + [True] * 2
    assert rectification(100_000, 0.999) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("eps", [1e-8, 0.01])
def test_radam_for_a_graph_is_radam_of_the_cpu(eps: float) -> None:
    """Also where eps is large beside the gradients, and before the variance is tractable; the lr may be a tensor."""
    from pixelq.learner.optimizers.rectified_adam import CapturableRectifiedAdam, RectifiedAdam

    g = torch.Generator().manual_seed(0)
    start = [torch.randn(5, 3, generator=g), torch.randn(3, generator=g)]
    ours, theirs = ([torch.nn.Parameter(p.clone()) for p in start] for _ in range(2))
    frozen = torch.nn.Parameter(torch.ones(2))
    graphed = CapturableRectifiedAdam([*ours, frozen], lr=torch.tensor(1e-2), eps=eps, fused=True, capturable=True)
    plain = RectifiedAdam(theirs, 1e-2, (0.9, 0.999), eps)
    for _ in range(60):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = 1e-2 * torch.randn(one.shape, generator=g)
            other.grad = one.grad.clone()
        graphed.step()
        plain.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert torch.equal(frozen, torch.ones(2))


class Slow(torch.nn.Module):
    """A layer that learns with a share of the learning rate, and one within it with another."""

    def __init__(self):
        super().__init__()
        self.outer, self.inner = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        self.learning_rate_factor, self.inner.learning_rate_factor = 0.5, 0.25


def test_a_module_learns_with_its_factor_and_the_innermost_one_counts():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), Slow(), torch.nn.Linear(2, 2))
    groups = parameter_groups(network)
    assert [group["learning_rate_factor"] for group in groups] == [1.0, 0.5, 0.25]
    names = {p: name for name, p in network.named_parameters()}
    assert [[names[p] for p in group["params"]] for group in groups] == [
        ["0.weight", "0.bias", "2.weight", "2.bias"], ["1.outer.weight", "1.outer.bias"],
        ["1.inner.weight", "1.inner.bias"],
    ]  # fmt: skip


def test_a_network_without_factors_is_one_group_in_its_own_order():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    [group] = parameter_groups(network)
    assert all(a is b for a, b in zip(group["params"], network.parameters(), strict=True))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "radam", "adadelta"])
def test_a_factor_scales_the_step_of_every_optimizer(name, compiled):
    config = Config(optimizer=name, learning_rate=0.05, optimizer_eps=0.01, compile=compiled)
    thetas = [torch.nn.Parameter(torch.tensor([3.0, -2.0])) for _ in range(2)]
    groups = [{"params": [theta], "learning_rate_factor": f} for theta, f in zip(thetas, (1.0, 0.1), strict=True)]
    optimizer = build_optimizer(config, groups)
    for as_tensor in (False, True):
        if as_tensor and (name, compiled) == ("radam", False):
            continue  # its CPU form takes numbers
        before = [theta.detach().clone() for theta in thetas]
        for group in optimizer.param_groups:
            group["lr"] = torch.zeros(()) if as_tensor else 0.0
        set_learning_rate(optimizer, 0.01)
        for theta in thetas:
            theta.grad = torch.tensor([1.0, -1.0])
        optimizer.step()
        moved = [before[i] - thetas[i].detach() for i in range(2)]
        torch.testing.assert_close(moved[1], 0.1 * moved[0], rtol=1e-3, atol=1e-6)
        assert moved[0].abs().min() > 0


def test_a_learning_rate_in_a_tensor_stays_that_tensor():
    theta = torch.nn.Parameter(torch.zeros(2))
    optimizer = build_optimizer(Config(), [{"params": [theta], "learning_rate_factor": 0.5}])
    rate = optimizer.param_groups[0]["lr"] = torch.zeros(())
    set_learning_rate(optimizer, 0.25)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.125
