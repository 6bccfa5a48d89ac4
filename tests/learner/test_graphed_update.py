"""What a CUDA graph asks of an update, as far as it shows without a GPU (with one: test_cuda.py).

A graph repeats kernels on fixed addresses, and none of the Python around them: nothing that lasts may be replaced, no
value may be asked for, and no cast of the weights from before may be read.
"""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

import small_learners
from pixelq.config import Config
from pixelq.networks import build_network
from pixelq.replay import Batch

CPU, META = torch.device("cpu"), torch.device("meta")


def learner(device=CPU, **fields):
    fields = {"network": "2013", "optimizer_eps": 0.01} | fields
    return small_learners.learner(1, small_learners.screens(36), device, **fields)


def batch(seed=0):
    return small_learners.batch(seed, size=8, side=36)


def lasting(one):
    """Every tensor that outlives an update, by name."""
    found = {"sums": one._sums}
    networks = {"network": one.network, "target": one.target_network, "averaged": one.tested_network}
    for name, network in networks.items():
        found |= {f"{name}.{key}": p for key, p in network.named_parameters()}
    for key, p in one.network.named_parameters():
        found |= {f"{key}.{moment}": value for moment, value in one.optimizer.state[p].items()}
    return found


@pytest.mark.parametrize("target", ["none", "hard", "soft"])
@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "adamw", "radam"])
def test_after_the_first_update_all_that_lasts_is_changed_in_place(optimizer, target):
    one = learner(
        optimizer=optimizer, target=target, amsgrad=True, weight_decay=0.01, precision="bf16", average_tau=0.1
    )
    one.update(batch(), 1e-2)
    before = {name: (tensor, tensor.data_ptr(), tensor.clone()) for name, tensor in lasting(one).items()}
    for i in range(1, 4):
        one.update(batch(i), 1e-2)
        one.copy_to_target()
    assert one.take_means()[0] > 0
    one.update(batch(9), 1e-2)
    after = lasting(one)
    assert after.keys() == before.keys()
    for name, (tensor, address, values) in before.items():
        assert after[name] is tensor, name
        assert tensor.data_ptr() == address, name
        assert not torch.equal(tensor, values), f"{name} did not change: the test shows nothing of it"


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(
    "fields",
    [
        {"loss": "dqn", "target": "hard", "gradient_clip": "value"},
        {"loss": "double", "target": "soft", "gradient_clip": "norm", "error": "squared"},
        {"loss": "lambda_returns", "target": "none", "norm": "layer", "reduction": "sum"},
    ],
    ids=lambda fields: fields["loss"],
)
def test_an_update_asks_the_device_for_no_value(fields, precision):
    """Tensors on the device `meta` have no values: whoever asks for one gets an error, as during a capture."""
    one = learner(META, optimizer="rmsprop", precision=precision, **fields)
    for group in one.optimizer.param_groups:
        group["lr"] = torch.zeros((), device=META)
    one._step(batch().to(META))
    one.copy_to_target()
    with pytest.raises(RuntimeError, match="meta"):
        one.take_means()


def test_a_loss_that_asks_for_a_value_would_be_seen_so():
    one = learner(META, optimizer="rmsprop")
    one._penalty = lambda delta: delta.square() * float(delta.detach().abs().max())
    with pytest.raises(RuntimeError, match="meta"):
        one._step(batch().to(META))


def test_casts_are_made_anew_once_forgotten_though_no_version_counter_tells():
    """After a replay the casts held from the capture are of older weights; so are those of acting for the capture."""
    network = build_network(Config(precision="bf16"), Box(0, 255, (4, 84, 84), np.uint8), 4, torch.Generator())
    states = torch.randint(0, 256, (3, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first = network(states)
    weights = list(network.hidden.parameters())
    with torch.no_grad(), torch.autograd._unsafe_preserve_version_counter(tuple(weights)):
        for weight in weights:
            weight.mul_(2.0)
    with torch.inference_mode():
        assert torch.equal(network(states), first)
        network.forget_casts()
        assert not torch.equal(network(states), first)


@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_moves_as_it_is_and_a_state_that_serves_twice_moves_once(shared):
    one = batch()
    if shared:
        one = Batch(one.state, one.action, one.return_n, one.discount_n, one.state)
    moved = one.to(META)
    assert (moved.next_state is moved.state) == shared
    for field in Batch.__slots__:
        there, here = getattr(moved, field), getattr(one, field)
        assert (there.device.type, there.shape, there.dtype) == ("meta", here.shape, here.dtype)
    assert one.to(CPU) is one
