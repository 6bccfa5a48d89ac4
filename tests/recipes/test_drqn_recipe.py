"""The DRQN recipe, held to the numbers of its authors' code by what it builds and does."""

import dataclasses

import pytest
import torch

from pixelq import loops
from pixelq.learner.learner import Learner
from pixelq.learner.optimizers import build_optimizer
from pixelq.losses.penalty import PENALTIES
from pixelq.networks import build_network
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.validation import validate
from pixelq.replay.batch import Batch
from pixelq.replay.samplers.uniform import Sampler
from pixelq.replay.sequence_replay import SequenceReplay
from small_networks import images

CONFIG = read_recipe("drqn")
UNROLL, MINIBATCH, ACTIONS = 10, 32, 6
"""dqn_main.cpp: unroll and minibatch; Pong's minimal action set."""


def test_the_network_has_the_weights_of_the_authors_on_one_frame() -> None:
    """CreateNet of dqn.cpp: three convolutions, an LSTM of 512 on their 64 x 7 x 7, a linear layer."""
    validate(CONFIG)
    network = build_network(CONFIG, images(1, 84, 84), ACTIONS, torch.Generator().manual_seed(1))
    convolutions = (1 * 64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 9 + 1) * 64
    lstm = 4 * 512 * (64 * 7 * 7 + 512) + 2 * 4 * 512  # both linear layers have a bias, as torch's; Caffe's has one
    assert sum(p.numel() for p in network.parameters()) == convolutions + lstm + (512 + 1) * ACTIONS
    assert network.recurrent_size == 1_024  # type: ignore[attr-defined]


def test_the_replay_gives_sequences_of_ten_from_anywhere_after_zeros() -> None:
    sizes = {
        "capacity": 1_000, "num_envs": 1, "frame_shape": (1, 1), "stack": CONFIG.frame_stack, "n_step": CONFIG.n_step,
        "gamma": CONFIG.gamma,
    }  # fmt: skip
    network = build_network(CONFIG, images(1, 84, 84), ACTIONS, None)
    replay = (
        loops.KINDS["loop"]
        .find("recurrent_replay")
        .build_replay(CONFIG, network, lambda num_envs, size, every: Sampler(num_envs, size), sizes)
    )
    assert isinstance(replay, SequenceReplay)
    sequencing = replay.sequencing
    assert (sequencing.length, sequencing.burn_in, sequencing.every, sequencing.stored) == (UNROLL, 0, 1, False)
    assert CONFIG.batch_size == MINIBATCH * UNROLL


def caffes_loss(td_error: torch.Tensor) -> torch.Tensor:
    """EuclideanLossLayer: half the sum of squares, divided by the first axis of (unroll, minibatch, actions)."""
    return td_error.square().sum() / UNROLL / 2


def ours(td_error: torch.Tensor) -> torch.Tensor:
    losses = PENALTIES[str(CONFIG.loss_options["error"])](td_error)
    return {"sum": losses.sum(), "mean": losses.mean()}[CONFIG.reduction]


def gradient(loss: torch.Tensor, weight: torch.nn.Parameter) -> torch.Tensor:
    [found] = torch.autograd.grad(loss, weight)
    return found


@pytest.mark.parametrize("size", [1e-6, 1e-4, 1e-2, 1.0])
def test_its_steps_are_those_of_the_authors_solver_on_the_authors_loss(size: float) -> None:
    """AdaDeltaSolver with recurrent_solver.prototxt and Caffe's delta, for gradients about eps and far from it."""
    rate, momentum, delta = 0.1, 0.95, 1e-8
    states = size * torch.randn((300, UNROLL * MINIBATCH, 3), generator=torch.Generator().manual_seed(1)).double()
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = build_optimizer(CONFIG, [weight])
    history, updates = torch.zeros(3).double(), torch.zeros(3).double()
    for state in states:
        before = weight.detach().clone()
        g = gradient(caffes_loss(state @ weight - 1), weight)
        history = momentum * history + (1 - momentum) * g * g
        step = rate * g * ((updates + delta) / (history + delta)).sqrt()
        updates = momentum * updates + (1 - momentum) * step * step
        weight.grad = gradient(ours(state @ weight - 1), weight)
        optimizer.step()
        torch.testing.assert_close(before - weight.detach(), step, rtol=0.02, atol=0.0)


def test_the_gradient_is_bounded_where_the_authors_is() -> None:
    """Its norm is 10 for Caffe's loss."""
    weight = torch.nn.Parameter(torch.ones(3))
    states = torch.randn((UNROLL * MINIBATCH, 3), generator=torch.Generator().manual_seed(1))
    theirs, here = (gradient(loss(states @ weight), weight) for loss in (caffes_loss, ours))
    assert CONFIG.gradient_clip == "norm"
    torch.testing.assert_close(here / theirs, torch.full((3,), CONFIG.gradient_clip_at / 10.0))


def test_a_first_update_moves_no_weight_further_than_the_authors_could() -> None:
    """By 0.1 sqrt(1e-8) times g / sqrt(0.05 g^2), whatever g is."""
    config = dataclasses.replace(CONFIG, torso_options=CONFIG.torso_options | {"channels": (4, 4, 4)})
    network = build_network(config, images(1, 84, 84), ACTIONS, torch.Generator().manual_seed(1))
    g = torch.Generator().manual_seed(2)
    frames = torch.randint(0, 256, (UNROLL * 2, 1, 84, 84), dtype=torch.uint8, generator=g)
    batch = dataclasses.replace(
        Batch.unweighted(
            frames, torch.zeros(UNROLL * 2, dtype=torch.int64), torch.ones(UNROLL * 2), torch.zeros(UNROLL * 2), frames
        ),
        recurrent_state=torch.zeros((2, 1_024)),
        starts=torch.zeros(UNROLL * 2, dtype=torch.bool),
    )
    learner = Learner(network, config, torch.device("cpu"))
    before = [p.detach().clone() for p in network.parameters()]
    learner.update(batch, config.learning_rate)
    moved = max((p.detach() - old).abs().max().item() for p, old in zip(network.parameters(), before, strict=True))
    assert 1e-5 < moved <= 1e-5 / 0.05**0.5 * 1.001
