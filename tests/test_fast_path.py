"""The fast path (bf16 torso, channels_last, fused optimizer, passes written out) held to a plain float32 one.

The reference is written out here: NCHW float32 convolutions, the loss, Adam; nothing of it is pixelq's. Everything runs
on real frames. Each bound stands beside what was measured, on a processor with AVX-512 BF16 and AMX.
"""

import copy
import dataclasses
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.learner.learner import Learner
from pixelq.losses import bound_loss
from pixelq.losses.dqn import q_learning_target
from pixelq.networks import build_network
from pixelq.recipes.choice import configure
from pixelq.replay import Batch, Replay
from small_learners import needs_compiler

pytestmark = pytest.mark.usefixtures("one_thread")
UPDATES, COPY_EVERY, LR = 100, 25, 1e-4
STRIDES = {"2013": (4, 2), "2015": (4, 2, 1)}
GAMES: dict[str, dict[str, Any]] = {
    "breakout": {},  # the cleanrl recipe as it is: 2015 network
    "pong": {"torso": "2013", "norm": "layer", "initialisation": "orthogonal"},  # the default recipe's network
}


# --- the reference --------------------------------------------------------------------------------------------------


def reference_q(weights: list[Tensor], strides: tuple[int, ...], state: Tensor) -> Tensor:
    """Q-values by the papers' description; `weights` in the network's order, weight before bias."""
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    layers, norms = [p for p in pairs if p[0].dim() > 1], [p for p in pairs if p[0].dim() == 1]
    x = state.float() / 255
    for i, (weight, bias) in enumerate(layers):
        if weight.dim() == 4:
            x = F.conv2d(x, weight, bias, strides[i])
        else:
            # pixelq counts features by position, then channel.
            x = F.linear(x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x, weight, bias)
        if i == len(layers) - 1:
            return x
        if norms:
            mean = x.flatten(1).mean(1).view(-1, *[1] * (x.dim() - 1))
            variance = (x - mean).square().flatten(1).mean(1).view_as(mean)
            scale, shift = (p.view(-1, *[1] * (x.dim() - 2)) for p in norms[i])
            x = (x - mean) / (variance + 1e-5).sqrt() * scale + shift
        x = x.clamp(min=0)
    raise AssertionError


@dataclass
class Reference:
    """Deep Q-learning with Adam (Kingma & Ba 2015, algorithm 1) on plain tensors."""

    weights: list[Tensor]
    strides: tuple[int, ...]
    target: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    t: int = 0

    def __post_init__(self) -> None:
        self.m = [torch.zeros_like(w) for w in self.weights]
        self.v = [torch.zeros_like(w) for w in self.weights]
        self.copy_to_target()

    def copy_to_target(self) -> None:
        self.target = [w.detach().clone() for w in self.weights]

    def update(self, batch: Batch) -> float:
        weights = [w.detach().requires_grad_() for w in self.weights]
        with torch.no_grad():
            next_q = reference_q(self.target, self.strides, batch.next_state)
        y = batch.return_n + batch.discount_n * next_q.max(dim=1).values
        q = reference_q(weights, self.strides, batch.state)[torch.arange(len(y)), batch.action]
        loss = ((y - q) ** 2).mean()
        self.gradients = list(torch.autograd.grad(loss, weights))
        self.t += 1
        for i, g in enumerate(self.gradients):
            self.m[i] = 0.9 * self.m[i] + 0.1 * g
            self.v[i] = 0.999 * self.v[i] + 0.001 * g * g
            m, v = self.m[i] / (1 - 0.9**self.t), self.v[i] / (1 - 0.999**self.t)
            self.weights[i] = self.weights[i] - LR * m / (v.sqrt() + 1e-8)
        return float(loss.detach())


# --- real games -----------------------------------------------------------------------------------------------------


class Played(NamedTuple):
    """A game, batches of its frames, and the reference after 1 and after all updates on them."""

    config: Config
    space: Any
    num_actions: int
    batches: list[Batch]
    start: list[Tensor]
    loss: float
    gradients: list[Tensor]
    after_one: list[Tensor]
    after_all: list[Tensor]


def batches_of(config: Config, count: int) -> tuple[list[Batch], Any, int]:
    """Minibatches of random play with the rewards and life losses that learning sees."""
    envs, generator = make_envs(config, num_envs=4, seed=3), np.random.default_rng(3)
    space: Any = envs.single_observation_space
    actions = int(envs.single_action_space.n)
    replay = Replay(4000, 4, space.shape[1:], config.frame_stack, config.n_step, config.gamma)
    phi, _ = envs.reset()
    for _ in range(600):
        after, reward, terminated, truncated, info = envs.step(generator.integers(0, actions, 4))
        ends = terminated | info["life_lost"]
        replay.add(phi, info["action"], np.sign(reward), ends, terminated | truncated, info["final_obs"])
        phi = after
    envs.close()
    return [replay.sample(32, generator) for _ in range(count)], space, actions


def learner_of(game: "Played", precision: str, device: str = "cpu", compiled: bool = False) -> Learner:
    config = dataclasses.replace(game.config, precision=precision, compile=compiled)
    network = build_network(config, game.space, game.num_actions, torch.Generator().manual_seed(7))
    return Learner(network.to(device), config, torch.device(device))


def plain(tensors: Any) -> list[Tensor]:
    """NCHW copies."""
    return [t.detach().cpu().clone(memory_format=torch.contiguous_format) for t in tensors]


@pytest.fixture(scope="module", params=list(GAMES))
def game(request: pytest.FixtureRequest) -> Played:
    config = configure(request.param, "cleanrl", GAMES[request.param])
    batches, space, actions = batches_of(config, UPDATES)
    network = build_network(config, space, actions, torch.Generator().manual_seed(7))
    start = plain(network.parameters())
    reference = Reference([*start], STRIDES[config.torso])
    loss = reference.update(batches[0])
    gradients, after_one = reference.gradients, [*reference.weights]
    for i, batch in enumerate(batches[1:], start=1):
        if i % COPY_EVERY == 0:
            reference.copy_to_target()
        reference.update(batch)
    return Played(config, space, actions, batches, start, loss, gradients, after_one, reference.weights)


@dataclass(frozen=True)
class Distance:
    """How far the fast path is from the reference, each a share (0: equal)."""

    loss: float
    """Of the first loss."""
    gradient: float
    """Of the first gradient: Euclidean, of the parameter that is furthest away."""
    after_one: float
    """Of the way that the weights went in 1 update (Euclidean, all parameters together)."""
    after_all: float
    """Of the way that the weights went in 100 updates."""
    q_after_all: float
    """Of the change of Q-values in 100 updates (root mean square over the states of a batch)."""


def norm(tensors: list[Tensor]) -> float:
    return float(torch.sqrt(sum((t.double().square().sum() for t in tensors), torch.zeros((), dtype=torch.float64))))


def apart(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
    return [x - y for x, y in zip(a, b, strict=True)]


def distance(game: Played, learner: Learner) -> Distance:
    """Train as the reference was trained, and compare."""
    learner.update(game.batches[0], LR)
    loss, _ = learner.take_means()
    gradients = plain(p.grad for p in learner.network.parameters())
    after_one = plain(learner.network.parameters())
    for i, batch in enumerate(game.batches[1:], start=1):
        if i % COPY_EVERY == 0:
            learner.copy_to_target()
        learner.update(batch, LR)
    after_all = plain(learner.network.parameters())
    strides, state = STRIDES[game.config.torso], game.batches[0].state
    with torch.no_grad():
        q, then, before = (
            learner.network(state.to(learner.device)).cpu(),
            *(reference_q(weights, strides, state) for weights in (game.after_all, game.start)),
        )
    return Distance(
        loss=abs(loss - game.loss) / game.loss,
        gradient=max(norm([x - y]) / norm([y]) for x, y in zip(gradients, game.gradients, strict=True)),
        after_one=norm(apart(after_one, game.after_one)) / norm(apart(game.after_one, game.start)),
        after_all=norm(apart(after_all, game.after_all)) / norm(apart(game.after_all, game.start)),
        q_after_all=norm([q - then]) / norm([then - before]),
    )


CPU_BOUNDS = {
    # Measured: loss 1e-6, gradient 1e-5, after 1 update 3e-4, after 100 5e-5, Q-values 4e-6.
    "float32": Distance(loss=1e-4, gradient=1e-3, after_one=1e-2, after_all=1e-2, q_after_all=1e-3),
    # Measured: loss 3e-3, gradient 0.12, after 1 update 0.30, after 100 0.31, Q-values 0.04. Adam's first steps make
    # every weight go equally far, those with a gradient that is all rounding too; Q-values hardly depend on these.
    "bf16": Distance(loss=2e-2, gradient=0.25, after_one=0.5, after_all=0.5, q_after_all=0.1),
}


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_updates_stay_within_bounds_of_the_plain_reference(game: Played, precision: str) -> None:
    found, bounds = distance(game, learner_of(game, precision)), CPU_BOUNDS[precision]
    for name, bound in dataclasses.asdict(bounds).items():
        assert getattr(found, name) < bound, f"{name}: {found}"


@needs_compiler
def test_compiled_updates_stay_within_the_same_bounds(game: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breakout's are really compiled; Pong's are called as they were recorded: compiling them takes ten seconds."""
    if game.config.torso == "2013":
        monkeypatch.setattr(torch, "compile", lambda program, **options: program)
    found, bounds = distance(game, learner_of(game, "bf16", compiled=True)), CPU_BOUNDS["bf16"]
    for name, bound in dataclasses.asdict(bounds).items():
        assert getattr(found, name) < bound, f"{name}: {found}"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_updates_on_a_gpu_stay_within_bounds_of_the_plain_reference(
    game: Played, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # TF32, torch's default for convolutions, has 10 bits of mantissa: float32 is held to its bounds without it.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    found, bounds = distance(game, learner_of(game, precision, "cuda")), CPU_BOUNDS[precision]
    for name, bound in dataclasses.asdict(bounds).items():
        assert getattr(found, name) < bound, f"{name}: {found}"


def test_the_bounds_of_float32_would_notice_a_step_of_another_size(game: Played) -> None:
    learner = learner_of(game, "float32")
    learner.update(game.batches[0], LR * 1.05)
    off = apart(plain(learner.network.parameters()), game.after_one)
    assert norm(off) / norm(apart(game.after_one, game.start)) > CPU_BOUNDS["float32"].after_one


# --- what stays float32 ---------------------------------------------------------------------------------------------


def rounded_to_bf16(x: Tensor) -> Tensor:
    return x.to(torch.bfloat16).to(x.dtype)


def test_q_values_targets_and_losses_never_leave_float32(game: Played) -> None:
    learner = learner_of(game, "bf16")
    for batch in game.batches[:3]:
        learner.update(batch, LR)  # the target network is another one from here on
    q = learner.network(game.batches[0].state)
    batch = game.batches[0]
    loss, td_error, q_taken = bound_loss(game.config)(learner.network, learner.target_network, batch, None)
    target = q_learning_target(batch.return_n, batch.discount_n, learner.target_network.q_values(batch.next_state))
    torch.testing.assert_close((target - q_taken).abs(), td_error)
    for name, x in {"q": q, "q taken": q_taken, "target": target, "td error": td_error, "loss": loss}.items():
        assert x.dtype == torch.float32, name
        # Not only called so: numbers that had been bfloat16 in between would survive this rounding.
        assert (rounded_to_bf16(x) != x).float().mean() > 0.5, name


def test_master_weights_gradients_and_moments_stay_float32_in_one_memory_format(game: Played) -> None:
    learner = learner_of(game, "bf16")
    for batch in game.batches[:3]:
        learner.update(batch, LR)
    for name, p in learner.network.named_parameters():
        assert p.grad is not None
        moments = [x for x in learner.optimizer.state[p].values() if isinstance(x, Tensor) and x.dim()]
        assert len(moments) == 2
        for x in (p, p.grad, *moments):
            assert x.dtype == torch.float32, name
            assert x.stride() == p.stride(), name


def test_master_weights_keep_steps_far_below_the_spacing_of_bf16(game: Played) -> None:
    learner = learner_of(game, "bf16")
    before = plain(learner.network.parameters())
    tiny = 1e-6  # bfloat16's spacing at 0.02, a usual weight, is 1.2e-4
    for batch in game.batches[:3]:
        learner.update(batch, tiny)
    moved = apart(plain(learner.network.parameters()), before)
    # A weight behind a pixel that is always black, or a unit that never fires, has no gradient to follow.
    pulled = [learner.optimizer.state[p]["exp_avg"].abs() > 1e-9 for p in learner.network.parameters()]
    assert sum(int(w.sum()) for w in pulled) > 100_000
    assert sum(int((w[by] != 0).sum()) for w, by in zip(moved, pulled, strict=True)) > 0.9 * sum(
        int(by.sum()) for by in pulled
    )
    assert max(float(w.abs().max()) for w in moved) < 10 * tiny


def test_a_gradient_of_another_memory_format_is_refused_before_it_is_used(game: Played) -> None:
    learner = learner_of(game, "bf16")
    first = next(learner.network.parameters())

    def reorder(p: Tensor) -> None:
        assert p.grad is not None
        p.grad = p.grad.contiguous()  # the silent mistake of a fused optimizer: same shape, other strides

    first.register_post_accumulate_grad_hook(reorder)
    before = plain(learner.network.parameters())
    with pytest.raises(RuntimeError, match="strides"):
        learner.update(game.batches[0], LR)
    assert all(torch.equal(a, b) for a, b in zip(plain(learner.network.parameters()), before, strict=True))


def test_an_optimizer_state_of_another_memory_format_is_brought_into_the_parameters(game: Played) -> None:
    one, other = learner_of(game, "bf16"), learner_of(game, "bf16")
    one.update(game.batches[0], LR)
    state = copy.deepcopy(one.state_dict())
    for moments in state["optimizer"].values():
        for key, value in moments.items():
            moments[key] = value.clone(memory_format=torch.contiguous_format)
    other.load_state_dict(state)
    for learner in (one, other):
        learner.update(game.batches[1], LR)
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)
