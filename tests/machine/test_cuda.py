"""The CUDA path held to the CPU's and to itself without a graph. (Against the plain reference: test_fast_path.py.)"""

import copy
import dataclasses
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import pixelq
import small_learners
from pixelq.learner.graphed_update import WARM_UP, GraphedUpdate
from pixelq.learner.means import NotFiniteError
from pixelq.machine.device import prepare_cuda
from pixelq.machine.transfer import to_device
from pixelq.policy import EpsilonGreedy
from pixelq.replay import Batch, Replay
from pixelq.replay.ahead import minibatches
from pixelq.replay.device_frames import SPARE, has_room
from small_learners import CPU, batch

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

CUDA = torch.device("cuda")
LR = 1e-4
OPTIMIZERS = ["rmsprop", "adam", "adamw", "radam", "adadelta"]


@pytest.fixture(autouse=True)
def _plain_float32() -> Iterator[None]:
    """TF32 is another arithmetic than the CPU's; it is put back to torch's default afterwards."""
    prepare_cuda(deterministic=True)
    yield
    prepare_cuda(deterministic=False)


def learner(device=CUDA, *, graphed=True, seed=1, **fields):
    """The 2015 network; on CUDA without a graph if not `graphed` (as --deterministic asks for)."""
    return small_learners.learner(seed, device=device, **{"optimizer_eps": 0.01, "deterministic": not graphed} | fields)


def weights(one, target=False):
    network = one.target_network if target else one.network
    return torch.cat([p.detach().cpu().double().flatten() for p in network.parameters()])


def train(one, updates, copy_every=10, first=0):
    for i in range(first, first + updates):
        one.update(batch(seed=i), LR)
        if (i + 1) % copy_every == 0:
            one.copy_to_target()
    return one


def share_apart(a, b, start):
    """Distance of two ends of training, as a share of the way trained (Euclidean)."""
    return ((a - b).norm() / (b - start).norm()).item()


def has_captured(one):
    return isinstance(one._recorded, GraphedUpdate) and one._recorded._graph is not None


# --- the graph against the same kernels one by one -------------------------------------------------------------------

CASES = {
    **{name: {"optimizer": name, "target": "hard"} for name in OPTIMIZERS},
    **{f"{name}-soft": {"optimizer": name, "target": "soft"} for name in OPTIMIZERS},
    "double-clip-norm": {"loss": "double", "target": "hard", "gradient_clip": "norm", "gradient_clip_at": 0.5},
    "clip-value-sum": {"target": "hard", "gradient_clip": "value", "gradient_clip_at": 0.01, "reduction": "sum"},
    "no-target-norms": {"target": "none", "norm": "layer", "initialisation": "orthogonal", "error": "squared"},
    "zeros-around": {"padding": "same", "target": "hard"},
    "norm-element": {"norm": "element", "target": "hard"},
    "norm-channel": {"norm": "channel", "padding": "same", "target": "hard"},
    "amsgrad-decay": {"optimizer": "adamw", "amsgrad": True, "weight_decay": 0.01, "target": "hard"},
}


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("case", CASES)
def test_graphed_updates_are_the_same_updates(case, precision):
    """Old weights, an optimizer state made during the capture or an update too many would each show here at once.

    A kernel may add up in another order in each run. On random frames that grows: after 100 updates by half of the way
    trained where norms divide by hardly anything, so 20 are looked at. (benchmarks/gpu_basics.py makes 100 on real
    frames.)
    """
    fields = CASES[case] | {"precision": precision}
    graphed, eager = learner(**fields), learner(graphed=False, **fields)
    start = weights(eager)
    for done, updates in ((0, 1), (1, WARM_UP + 1), (WARM_UP + 1, 20)):
        for one in (graphed, eager):
            train(one, updates - done, first=done)
        assert has_captured(graphed) == (updates > WARM_UP)
        bound = 2e-3 if precision == "float32" else 5e-2
        assert share_apart(weights(graphed), weights(eager), start) < bound, updates
    assert share_apart(weights(graphed, target=True), weights(eager, target=True), start) < bound
    assert graphed.take_means() == pytest.approx(eager.take_means(), rel=2e-2)
    assert not has_captured(eager)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "radam"])
def test_warming_up_and_capturing_take_no_step_of_their_own(optimizer):
    one = learner(optimizer=optimizer)
    for done in range(1, WARM_UP + 4):
        one.update(batch(seed=done), LR)
        counts = {one.optimizer.state[p]["step"].item() for p in one.network.parameters()}
        assert counts == {float(done)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("updates", [1, 100])
def test_graphed_updates_stay_within_bounds_of_the_cpu(updates, optimizer):
    gpu, cpu = learner(optimizer=optimizer), learner(CPU, optimizer=optimizer)
    start = weights(cpu)
    for one in (gpu, cpu):
        train(one, updates)
    # torch's RAdam counts in float32 on a GPU: a step near its threshold (the fifth) may fall on its other side.
    bound = 3e-2 if optimizer == "radam" else 1e-2
    assert share_apart(weights(gpu), weights(cpu), start) < bound
    if updates > 1:
        assert share_apart(weights(gpu, target=True), weights(cpu, target=True), start) < bound


def test_a_learning_rate_reaches_a_graph_that_was_captured_with_another():
    one = train(learner(), WARM_UP + 2)
    before = weights(one)
    one.update(batch(), 0.0)
    assert torch.equal(weights(one), before)
    one.update(batch(), LR)
    assert not torch.equal(weights(one), before)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_hard_copy_reaches_a_graph_that_was_captured_before_it(precision):
    """The bootstrap must come from the new weights: with the old ones the loss would stay as it was."""
    one = train(learner(precision=precision, target="hard"), WARM_UP + 2)
    with torch.no_grad():
        for p in one.network.parameters():
            p.mul_(3.0)
    one.take_means()
    one.update(batch(), 0.0)
    before, _ = one.take_means()
    one.copy_to_target()
    one.update(batch(), 0.0)
    after, _ = one.take_means()
    plain = learner(graphed=False, precision=precision)
    plain.load_state_dict(copy.deepcopy(one.state_dict()))
    plain.take_means()
    plain.update(batch(), 0.0)
    assert after == pytest.approx(plain.take_means()[0], rel=1e-3)
    assert abs(after - before) > 0.02 * after


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_acting_after_a_replay_sees_its_weights(precision):
    one = learner(precision=precision)
    policy = EpsilonGreedy(one.network, CUDA, np.random.default_rng(0))
    states = batch().state.contiguous().numpy()
    for i in range(WARM_UP + 5):
        policy.q_values(states)
        one.update(batch(seed=i), 1e-3)
        fresh = learner(seed=9, precision=precision)
        fresh.network.load_state_dict(one.network.state_dict())
        there = EpsilonGreedy(fresh.network, CUDA, np.random.default_rng(0))
        np.testing.assert_allclose(policy.q_values(states), there.q_values(states), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_target_network_changed_in_place_counts_in_the_next_replay(precision):
    """As CleanRL copies, and though the graph was captured with other weights."""
    one = train(learner(precision=precision, target="hard"), WARM_UP + 2)
    fresh = learner(graphed=False, seed=9, precision=precision, target="hard")
    before = one.update(batch(), 0.0).clone()
    for target_param, param in zip(one.target_network.parameters(), one.network.parameters(), strict=True):
        target_param.data.copy_(2.0 * param.data + (1.0 - 2.0) * target_param.data)
        target_param.data.mul_(2.0)
    fresh.load_state_dict(copy.deepcopy(one.state_dict()))
    found, expected = one.update(batch(), 0.0), fresh.update(batch(), 0.0)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 if precision == "float32" else 2e-2)
    assert not torch.allclose(found, before, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("loss", ["dqn", "double"])
def test_a_graph_reads_the_weights_of_each_batch_and_writes_its_priorities(loss):
    graphed, eager = (learner(graphed=g, loss=loss) for g in (True, False))
    start = weights(eager)
    for i in range(WARM_UP + 10):
        b = dataclasses.replace(batch(seed=i), weight=torch.linspace(0, 1 + i % 3, 32))
        found, expected = (one.update(b, LR) for one in (graphed, eager))
        assert found.device.type == "cuda"
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)
    assert has_captured(graphed)
    assert share_apart(weights(graphed), weights(eager), start) < 2e-3


@pytest.mark.parametrize("target", ["hard", "soft"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_batch_of_another_size_is_learned_from_between_replays(precision, target):
    graphed, eager = (learner(graphed=g, precision=precision, target=target) for g in (True, False))
    start = weights(eager)
    for one in (graphed, eager):
        for i in range(30):
            one.update(batch(seed=i, size=7 if i % 4 == 1 else 32), LR)
    assert has_captured(graphed)
    assert share_apart(weights(graphed), weights(eager), start) < (2e-3 if precision == "float32" else 5e-2)


def test_the_parallel_loops_batches_with_one_state_twice():
    graphed, eager = (learner(graphed=g, loss="lambda_returns", target="none") for g in (True, False))
    start = weights(eager)
    for one in (graphed, eager):
        for i in range(10):
            b = batch(seed=i)
            one.update(Batch.unweighted(b.state, b.action, b.return_n, torch.zeros(32), b.state), LR)
    assert share_apart(weights(graphed), weights(eager), start) < 2e-3


# --- nobody waits ----------------------------------------------------------------------------------------------------


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Inside, whatever waits for the GPU is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("graphed", [True, False])
@pytest.mark.parametrize("where", [CPU, CUDA])
@pytest.mark.parametrize("fields", [CASES["adam"], CASES["radam-soft"], CASES["double-clip-norm"], CASES["rmsprop"]])
def test_an_update_waits_for_nothing(fields, where, graphed, request):
    one = train(learner(graphed=graphed, **fields), WARM_UP + 1)
    there = [batch(seed=i).to(where) for i in range(3)]
    before = weights(one)
    request.getfixturevalue("no_waiting")
    for i, b in enumerate(there):
        one.update(b, LR / (i + 1))
    one.copy_to_target()
    torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(weights(one)).all()
    assert torch.equal(weights(one, target=True), weights(one)) == (fields["target"] == "hard")
    assert not torch.equal(weights(one), before)


def test_drawing_and_storing_on_the_device_wait_for_nothing(request):
    replay, steps = small_replay()
    assert replay.keep_raw_frames_on(CUDA)
    request.getfixturevalue("no_waiting")
    for step in steps:
        replay.add(*step)
    for drawn in minibatches(replay, 3, 32, np.random.default_rng(0), CUDA):
        assert drawn.state.is_cuda


WAITING = """
import sys
sys.path[:0] = {path!r}
from pixelq.errors import UserError
from small_learners import asks_for_a_value
from test_cuda import WARM_UP, learner, train
one = learner()
asks_for_a_value(one)
try:
    train(one, WARM_UP + 1)
except UserError as error:
    print(error)
"""


def test_a_loss_that_waits_is_refused_with_what_to_do():
    """In a process of its own, because a capture that failed leaves the device in disorder."""
    here = Path(__file__).parent
    path = [str(here), str(here.parent), str(Path(pixelq.__file__).parents[1])]
    done = subprocess.run([sys.executable, "-c", WAITING.format(path=path)], capture_output=True, text=True)
    assert "--deterministic updates without a graph" in done.stdout, done.stderr


# --- states ----------------------------------------------------------------------------------------------------------


def on_cpu(state):
    """As a checkpoint carries it."""
    if isinstance(state, dict):
        return {key: on_cpu(value) for key, value in state.items()}
    return state.detach().cpu().clone() if isinstance(state, torch.Tensor) else state


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("source", [CPU, CUDA])
def test_a_learner_goes_on_from_a_checkpoint_though_it_has_captured_another_state(optimizer, source):
    fields = {"optimizer": optimizer, "target": "hard"}
    gone = train(learner(source, **fields), 15)
    resumed = train(learner(seed=9, **fields), 8)
    assert has_captured(resumed)
    start = weights(gone)
    resumed.load_state_dict(on_cpu(gone.state_dict()))
    assert not has_captured(resumed)
    assert torch.equal(weights(resumed), start)
    for one in (gone, resumed):
        train(one, 15, first=15)
    assert has_captured(resumed)
    assert share_apart(weights(resumed), weights(gone), start) < 1e-2
    assert resumed.take_means() == pytest.approx(gone.take_means(), rel=1e-2)


def test_a_checkpoint_of_a_gpu_goes_on_on_a_cpu():
    gone = train(learner(optimizer="radam"), 8)
    resumed = learner(CPU, seed=9, optimizer="radam")
    resumed.load_state_dict(on_cpu(gone.state_dict()))
    start = weights(resumed)
    for one in (gone, resumed):
        train(one, 5, first=8)
    assert share_apart(weights(resumed), weights(gone), start) < 1e-2


def test_a_loss_that_is_not_finite_is_found_at_the_next_look():
    one = train(learner(), WARM_UP + 1)
    one.check_finite()
    bad = batch()
    one.update(dataclasses.replace(bad, return_n=torch.full((32,), math.inf)), LR)
    with pytest.raises(NotFiniteError):
        one.check_finite()


# --- replay ----------------------------------------------------------------------------------------------------------


def small_replay(num_envs=3, steps=90):
    """A replay of 84x84 frames that has gone round, and the arguments of three further steps."""
    generator = np.random.default_rng(4)
    replay = Replay(40 * num_envs, num_envs, (84, 84), stack=4, n_step=2, gamma=0.9)

    def step():
        over = generator.random(num_envs) < 0.1
        frames = generator.integers(0, 256, (2, num_envs, 4, 84, 84), dtype=np.uint8)
        action = generator.integers(0, 4, num_envs)
        return frames[0], action, generator.random(num_envs, np.float32), over & (action > 1), over, frames[1]

    for _ in range(steps):
        replay.add(*step())
    return replay, [step() for _ in range(3)]


def same(a: Batch, b: Batch) -> bool:
    pairs = zip(a.named_tensors().values(), b.named_tensors().values(), strict=True)
    return all(torch.equal(x.cpu(), y.cpu()) for x, y in pairs)


def test_a_captured_update_with_action_masks_is_the_plain_one():
    masks = torch.rand((2, 32, 4), generator=torch.Generator().manual_seed(0)) < 0.5
    graphed, plain = learner(), learner(graphed=False)
    for i in range(WARM_UP + 3):
        b = batch(i)
        own = masks.roll(i, dims=2)
        own[0, torch.arange(32), b.action] = own[1, :, 0] = True
        b = dataclasses.replace(b, action_mask=own[0], next_action_mask=own[1])
        torch.testing.assert_close(graphed.update(b, LR).cpu(), plain.update(b, LR).cpu(), rtol=1e-3, atol=1e-3)


def test_batches_from_raw_frames_on_the_card_are_those_of_main_memory():
    plain, steps = small_replay()
    raw, _ = small_replay()
    assert raw.keep_raw_frames_on(CUDA)
    for _ in range(2):
        left, right = np.random.default_rng(1), np.random.default_rng(1)
        for _ in range(5):
            b = raw.sample(32, right)
            assert b.state.is_cuda
            assert same(plain.sample(32, left), b)
        for step in steps:
            plain.add(*step)
            raw.add(*step)
    other, _ = small_replay(steps=3)
    other.keep_raw_frames_on(CUDA)
    other.load_state_dict(raw.state_dict())
    assert same(plain.sample(64, np.random.default_rng(2)), other.sample(64, np.random.default_rng(2)))


@pytest.mark.parametrize("on_card", [True, False])
def test_minibatches_for_a_card_are_dealt_from_one_draw(on_card: bool):
    replay, _ = small_replay()
    assert not on_card or replay.keep_raw_frames_on(CUDA)
    plain, ahead = np.random.default_rng(5), np.random.default_rng(5)
    one = train(learner(), WARM_UP)  # the capture falls into the first of these: a thread unpacks meanwhile
    kept = []
    for b in minibatches(replay, 80, 32, ahead, CUDA):  # more than are gathered at once
        assert b.state.is_cuda
        one.update(b, LR)
        kept.append(b)
    whole = small_replay()[0].sample(80 * 32, plain).split(32)
    assert all(same(b, other) for b, other in zip(kept, whole, strict=True))
    assert ahead.bit_generator.state == plain.bit_generator.state
    assert has_captured(one)


def test_a_card_has_room_for_what_leaves_the_spare_bytes_free():
    free, _ = torch.cuda.mem_get_info()
    assert not has_room(CUDA, free - SPARE + 10**9)
    assert has_room(CUDA, 0) == (free > SPARE)


def test_strided_views_reach_the_card_whole():
    frames = torch.arange(2 * 5 * 6, dtype=torch.uint8).view(2, 5, 6)
    for view in (frames[:, :4], frames[:, 1:], frames.transpose(0, 2)):
        assert torch.equal(to_device(view, CUDA).cpu(), view)
