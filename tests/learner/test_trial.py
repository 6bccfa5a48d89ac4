"""A first update on trial: what a person's own code does wrong is refused at the start; the trial changes nothing."""

import copy
import re
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from own_variants import as_it_was, refused
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.image_and_numbers import ImageAndNumbers
from pixelq.learner import trial
from pixelq.learner.learner import check_same_formats
from pixelq.learner.trial import try_parts
from pixelq.losses import Loss
from pixelq.losses.dqn import Options, loss
from pixelq.networks import build_network
from pixelq.networks.heads.linear import Head as LinearHead
from pixelq.recipes.values import overridden
from pixelq.variants import register
from small_learners import CPU, batch, learner, screens

__all__ = ["as_it_was"]

pytestmark = pytest.mark.usefixtures("as_it_was")
NUMBERS = Box(-np.inf, np.inf, (2, 6), np.float32)
SMALL = {"torso": "mlp", "batch_size": 8, "num_envs": 4, "target": "hard"}
PARALLEL = {"loop": "parallel", "rollout_length": 4, "target": "none"}
WITH_MEMORY = {"loop": "recurrent_parallel", "rollout_length": 4, "target": "none"}


def tried(masked: bool = False, **fields: Any) -> Any:
    """Try the first update of a recipe on vectors; the network."""
    config = overridden(Config(), SMALL | fields)
    network = build_network(config, NUMBERS, 3, torch.Generator().manual_seed(1))
    try_parts(config, network, CPU, masked)
    return network


def changed(change: Any) -> Any:
    """DQN's loss, with something of it changed."""
    return lambda *given: change(loss(*given))


def fails(*given: Any) -> Loss:
    raise ValueError("a mistake\nwith a second line")


def changes_in_place(network: Any, target: Any, batch: Any, options: Any, noise: Any) -> Loss:
    q = network.q_values(batch.state, noise).exp()
    found = q.square()[:, 0]
    q.detach().zero_()  # what the gradient needs
    return Loss(found, found.detach(), found.detach())


def asks_the_head(network: Any, target: Any, batch: Any, options: Any, noise: Any) -> Loss:
    q = network.head.values(network(batch.state, noise)[:, :2])[:, 0]
    return Loss(q, q.detach(), q.detach())


def of_the_target(network: Any, target: Any, batch: Any, options: Any, noise: Any) -> Loss:
    q = target.q_values(batch.state, noise)[:, 0]
    return Loss(q, q.detach(), q.detach())


LOSSES: dict[str, tuple[Any, str]] = {
    "a scalar": (changed(lambda x: x._replace(loss=x.loss.mean())), r"the loss's loss is torch.float32 \(\), not"),
    "a column": (changed(lambda x: x._replace(priority=x.priority[:, None])), "the loss's priority is torch.float32"),
    "doubles": (changed(lambda x: x._replace(q=x.q.double())), "the loss's q is torch.float64"),
    "no gradient": (changed(lambda x: x._replace(loss=x.loss.detach())), "the loss carries no gradient"),
    "a tuple": (changed(tuple), "the loss gives a tuple"),
    "an error": (fails, r"loss 'mine': .*fails in .*test_trial.py, line \d+, \(ValueError: a mistake\)"),
    "a gradient that cannot be": (changes_in_place, "loss 'mine': .*RuntimeError: one of the variables needed for"),
}


@pytest.mark.parametrize("loop", ["replay", "parallel", "recurrent_parallel"])
@pytest.mark.parametrize("case", LOSSES)
def test_a_loss_that_its_first_update_would_refuse_is_refused(case: str, loop: str) -> None:
    function, said = LOSSES[case]
    register("loss", "mine", loss=function, Options=Options)
    register("loss", "good", loss=loss, Options=Options)
    fields = {"replay": {}, "parallel": PARALLEL, "recurrent_parallel": WITH_MEMORY | {"memory": "lstm"}}[loop]
    tried(loss="good", **fields)
    assert re.search(said, refused(lambda: tried(loss="mine", **fields)))


def test_a_loss_of_the_target_network_alone_carries_no_gradient() -> None:
    register("loss", "mine", loss=of_the_target)
    assert refused(lambda: tried(loss="mine")).startswith("loss 'mine': the loss carries no gradient")


def test_a_loss_may_need_states_that_differ_and_an_end() -> None:
    given: list[Any] = []

    def noted(network: Any, target: Any, batch: Any, *rest: Any) -> Loss:
        given.append(batch)
        return loss(network, target, batch, *rest)

    register("loss", "mine", loss=noted, Options=Options)
    tried(loss="mine")
    [shown] = given
    spread = shown.state.flatten(1)[:, :3].double().T.cov()
    assert torch.linalg.cholesky_ex(spread).info == 0  # a loss may whiten the states
    assert (shown.discount_n == 0).any()
    assert (shown.discount_n > 0).any()
    assert (shown.return_n >= 0).all()


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_is_refused_with_how_often(number: float) -> None:
    register("loss", "mine", loss=changed(lambda found: found._replace(loss=found.loss * number)), Options=Options)
    line = refused(lambda: tried(loss="mine"))
    assert line.startswith("loss 'mine': it is NaN or infinite for 8 of 8 transitions of drawn states")


def test_in_games_with_action_masks_a_loss_is_tried_with_masks() -> None:
    register("loss", "mine", loss=asks_the_head)
    tried(loss="mine")
    assert "ask network.values(output, state)" in refused(lambda: tried(masked=True, loss="mine"))


def test_returns_of_a_rollout_are_tried_where_a_loop_asks_for_them() -> None:
    register("loss", "good", loss=loss, Options=Options, returns=lambda played, options: played.rewards + 1)
    register("loss", "short", loss=loss, Options=Options, returns=lambda played, options: played.rewards[0])
    register("loss", "doubles", loss=loss, Options=Options, returns=lambda played, options: played.rewards.double())
    tried(loss="good", **PARALLEL)
    assert "its returns are of shape (4,), not (4, 4)" in refused(lambda: tried(loss="short", **PARALLEL))
    assert "its returns are torch.float64" in refused(lambda: tried(loss="doubles", **PARALLEL))
    assert tried(loss="short")  # the replay loop does not ask


class TwoNumbers(LinearHead):
    """Forgets an action."""

    def values(self, output: Tensor) -> Tensor:
        return output[:, :2]


class Forgetful(nn.Module):
    """A memory that gives back what it remembers of one environment."""

    def __init__(self, features: int, options: Any, layers: Any) -> None:
        super().__init__()
        self.features, self.size, self.cell = 5, 5, nn.GRUCell(features, 5)

    def forward(self, features: Tensor, recurrent_state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        after = torch.stack([self.cell(x.float(), recurrent_state) for x in features])
        return after, after[:, :1]


class OnlyFirst(Forgetful):
    """A memory that forgets that sequences are longer than one agent step."""

    def forward(self, features: Tensor, recurrent_state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        after = self.cell(features[0].float(), recurrent_state)[None]
        return after, after


def test_heads_and_memories_that_give_another_shape_are_refused() -> None:
    register("head", "mine", Head=TwoNumbers)
    assert "head = mine gives Q-values (4, 2), not (4, 3)" in refused(lambda: tried(head="mine"))
    register("memory", "forgetful", Memory=Forgetful)
    line = refused(lambda: tried(memory="forgetful", **WITH_MEMORY))
    assert "memory = forgetful remembers (1, 5), not (4, 5)" in line
    register("memory", "first", Memory=OnlyFirst)
    assert "memory 'first'" in refused(lambda: tried(memory="first", **WITH_MEMORY))


class OneByOne(nn.Module):
    """A torso whose 1x1 convolution is made as a product: its gradient's strides of size 1 are not its weight's."""

    hidden = (4,)

    def __init__(self, space: Any, options: Any, layers: Any) -> None:
        super().__init__()
        self.mixing = nn.Conv2d(space.shape[0], 1, 1)
        self.features = space.shape[1] * space.shape[2]

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bihw,oi->bohw", x, self.mixing.weight[:, :, 0, 0]).flatten(1)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_dimensions_of_size_one_may_have_any_stride(precision: Any) -> None:
    register("torso", "mine", Torso=OneByOne)
    one = learner(observations=screens(12), torso="mine", precision=precision, optimizer="adam")
    assert isinstance(one.network.torso, OneByOne)
    weight = one.network.torso.mixing.weight
    before = weight.detach().clone()
    one.update(batch(side=12), 1e-3)
    assert weight.grad is not None
    assert weight.grad.stride() != weight.stride()
    # Adam's first step is the learning rate, against the gradient's sign, for each element by itself.
    assert torch.allclose(before - weight.detach(), 1e-3 * weight.grad.sign(), atol=1e-4)
    wrong = nn.Parameter(torch.zeros(4, 1, 3))
    wrong.grad = torch.zeros(3, 1, 4).permute(2, 1, 0)
    with pytest.raises(RuntimeError, match="gradient strides"):
        check_same_formats([wrong])


class Layered(nn.Module):
    """A torso of a layer of the recipe's kind, which it gives no noise."""

    hidden = ()

    def __init__(self, space: Any, options: Any, layers: Any) -> None:
        super().__init__()
        self.features, self.layer = 8, layers.linear(int(np.prod(space.shape)), 8)

    @staticmethod
    def reads_images(options: Any) -> bool:
        return False

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layer(x.flatten(1)))


class LayeredWithNoise(Layered):
    def forward(self, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        return torch.relu(self.layer(x.flatten(1), noise))


class WithoutNoise(nn.Linear):
    """A kind of linear layers that draws nothing."""

    def __init__(self, features: int, units: int, options: Any) -> None:
        super().__init__(features, units)

    def forward(self, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        return super().forward(x)


def test_layers_in_a_torso_are_noisy_where_it_hands_the_noise_on_and_refused_where_it_does_not() -> None:
    register("torso", "silent", Torso=Layered)
    register("torso", "noisy", Torso=LayeredWithNoise)
    register("linear", "other", Linear=WithoutNoise)
    for linear in ("plain", "other"):
        tried(torso="silent", linear=linear)
    assert "layer torso.layer of linear = noisy is called without noise" in refused(
        lambda: tried(torso="silent", linear="noisy")
    )
    network = tried(torso="noisy", linear="noisy")
    state = torch.ones(3, *NUMBERS.shape)
    drawn = [network.features(state, torch.Generator().manual_seed(seed)) for seed in (1, 2, 1)]
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(network.features(state), network.features(state))


class Drawing(LinearHead):
    """Draws from torch's own generator while it learns, and counts how often it was asked."""

    asked: Tensor

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, features: Tensor, *given: Any) -> Tensor:
        self.asked += 1
        return super().forward(self.dropout(features), *given)


def test_a_trial_changes_neither_weights_nor_statistics_nor_generators() -> None:
    register("head", "mine", Head=Drawing)
    fields = {"head": "mine", "linear": "noisy", "normalise_observations": True}
    config = overridden(Config(), SMALL | fields)
    network = build_network(config, NUMBERS, 3, torch.Generator().manual_seed(1))
    network.observe(np.ones((4, *NUMBERS.shape), np.float32))
    before, drawn = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    try_parts(config, network, CPU, masked=False)
    assert not network.training
    assert torch.equal(torch.get_rng_state(), drawn)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("seed", range(4))
def test_a_loss_of_ones_own_is_tried_on_numbers_beside_an_image_that_are_numbers(seed: int) -> None:
    register("loss", "mine", loss=loss, Options=Options)
    fields = SMALL | {
        "torso": "plain",
        "channels": (2,),
        "kernels": (3,),
        "strides": (2,),
        "loss": "mine",
        "seed": seed,
    }
    space = ImageAndNumbers(2, (9, 7, 3), 40)
    config = overridden(Config(), fields)
    network = build_network(config, space, 3, torch.Generator().manual_seed(1))
    drawn = trial._states(8, network, np.random.default_rng(seed))
    assert space.contains(drawn[0].numpy())
    assert space.split(drawn)[1].abs().max() <= 1
    assert len({one.numpy().tobytes() for one in drawn}) == 8
    try_parts(config, network, CPU, masked=False)  # random bytes would hold NaN, which the loss would be blamed for


def test_an_operation_without_a_deterministic_kernel_is_told_before_a_deterministic_run_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Pooled(torch.autograd.Function):
        """What torch does on a GPU, where the gradient of max-pooling has none."""

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, *sizes: Any, **named: Any) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(x, 3, stride=2, padding=1, ceil_mode=False)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> Any:
            raise RuntimeError(
                "max_pool2d_with_indices_backward_cuda does not have a deterministic implementation, but you set"
            )

    monkeypatch.setattr("pixelq.networks.torsos.impala.F.max_pool2d", lambda x, *sizes, **named: Pooled.apply(x))
    config = overridden(Config(), SMALL | {"torso": "impala", "channels": (2,), "deterministic": True})
    network = build_network(config, screens(), 3, torch.Generator().manual_seed(1))
    message = r"no deterministic kernel of max_pool2d_with_indices_backward_cuda on cpu.*; leave --deterministic out"
    with pytest.raises(UserError, match=message):
        try_parts(config, network, CPU, masked=False)
    assert not network.training
    try_parts(overridden(config, {"deterministic": False}), network, CPU, masked=False)  # is not tried, nor refused


def test_only_variants_from_outside_are_tried_and_a_lack_of_memory_is_none_of_their_faults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_memory(*given: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(trial, "bound_loss", without_memory)
    tried()
    register("loss", "mine", loss=loss, Options=Options)
    with pytest.raises(MemoryError):
        tried(loss="mine")
