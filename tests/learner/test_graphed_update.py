"""What a CUDA graph asks of an update, as far as it shows without a GPU (with one: test_cuda.py).

A graph repeats kernels on fixed addresses, and none of the Python around them: nothing that lasts may be replaced, and
no value may be asked for.
"""

import copy
import dataclasses
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

import small_learners
from pixelq.learner import graphed_update
from pixelq.learner.graphed_update import WARM_UP, GraphedUpdate

CPU, META = torch.device("cpu"), torch.device("meta")


def learner(device=CPU, **fields):
    fields = {"torso": "2013", "optimizer_eps": 0.01} | fields
    return small_learners.learner(1, small_learners.screens(36), device, **fields)


def batch(seed=0):
    return small_learners.batch(seed, size=8, side=36)


def lasting(one):
    """Every tensor that outlives an update, by name."""
    found = {"sums": one._sums}
    networks = {"network": one.network, "target": one.target_network, "averaged": one.averaged_network}
    for name, network in networks.items():
        found |= {f"{name}.{key}": p for key, p in network.named_parameters()}
    for key, p in one.network.named_parameters():
        found |= {f"{key}.{moment}": value for moment, value in one.optimizer.state[p].items()}
    return found


@pytest.mark.parametrize("target", ["none", "hard", "soft"])
@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "adamw", "radam", "adadelta"])
def test_after_the_first_update_all_that_lasts_is_changed_in_place(optimizer, target):
    one = learner(
        optimizer=optimizer, target=target, amsgrad=True, weight_decay=0.01, precision="bf16", averaged_network_tau=0.1
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
        {"loss": "dqn", "padding": "same", "averaged_network_tau": 0.1},
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


@pytest.mark.parametrize("norm", ["element", "channel"])
def test_an_update_through_the_modules_asks_the_device_for_no_value(norm):
    one = learner(META, optimizer="rmsprop", norm=norm, padding="same")
    assert one.network.fast is None
    one._step(batch().to(META))
    with pytest.raises(RuntimeError, match="meta"):
        one.take_means()


SPECTRAL = {"torso": "impala", "channels": (4, 4), "spectral_norm": True, "pooled": 6, "hidden": (8,)}
QUANTILES = {"head": "implicit_quantile", "taus": 4, "target_taus": 4}


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": "munchausen"},
        {"loss": "m_iqn", **QUANTILES},
        {"loss": "m_iqn", "bonus_by": "online", "choosing_taus": 0, "linear": "noisy", **QUANTILES, **SPECTRAL},
        {"loss": "fqf", "head": "fraction_proposal"},
    ],
    ids=["munchausen", "m_iqn", "btr", "fqf"],
)
def test_an_update_of_munchausen_fqf_and_btr_asks_the_device_for_no_value(fields):
    one = learner(META, optimizer="rmsprop", **fields)
    for group in one.optimizer.param_groups:
        group["lr"] = torch.zeros((), device=META)
    one._step(batch().to(META))
    with pytest.raises(RuntimeError, match="meta"):
        one.take_means()


def test_a_loss_that_asks_for_a_value_would_be_seen_so():
    one = learner(META, optimizer="rmsprop")
    small_learners.asks_for_a_value(one)
    with pytest.raises(RuntimeError, match="meta"):
        one._step(batch().to(META))


# --- a stand-in for graphs -------------------------------------------------------------------------------------------


class StandInGraph:
    """Repeats an update on the tensors that it was captured with, and writes priorities where it first did."""

    def __init__(self, step, inputs):
        self._step, self._inputs = step, inputs
        self.priority = torch.full((len(inputs.action),), torch.nan)
        self.replays = 0

    def replay(self):
        self.replays += 1
        self.priority.copy_(self._step(self._inputs))


@pytest.fixture
def graphed(monkeypatch):
    """Makes learners whose updates go through `GraphedUpdate`, on the CPU and with a stand-in for the graph."""

    def captured(self, inputs):
        graph = StandInGraph(self._step, inputs)
        self._priority = graph.priority
        return graph

    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    monkeypatch.setattr(graphed_update, "page_locked", lambda tensor: tensor)
    monkeypatch.setattr(GraphedUpdate, "_captured", captured)

    def make(**fields):
        one = learner(**fields)
        one._recorded = GraphedUpdate(one._step, one.optimizer, CPU, one.noise)
        return one

    return make


def graph_of(one):
    return one._recorded._graph


def weighted(seed, size=8):
    b = small_learners.batch(seed, size=size, side=36)
    rows = torch.stack([torch.arange(size), torch.arange(size) + seed], dim=1)
    return dataclasses.replace(b, weight=torch.linspace(0, 1 + seed % 3, size), rows=rows)


def assert_same_weights(one, other):
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["rmsprop", "radam", "adadelta"])
def test_a_graph_is_fed_every_field_of_the_batch_and_the_learning_rate(graphed, optimizer):
    ours, plain = graphed(optimizer=optimizer), learner(optimizer=optimizer)
    for i in range(WARM_UP + 5):
        found, expected = (one.update(weighted(i), 1e-3 / (1 + i % 3)) for one in (ours, plain))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert (graph_of(ours) is not None) == (i >= WARM_UP)
    assert graph_of(ours).replays == 5
    assert_same_weights(ours, plain)
    assert ours.take_means() == pytest.approx(plain.take_means(), rel=1e-5)


def test_a_priority_is_overwritten_by_the_next_replay(graphed):
    one = graphed()
    for i in range(WARM_UP + 1):
        first = one.update(weighted(i), 1e-3)
    kept = first.clone()
    second = one.update(weighted(99), 1e-3)
    assert second is first
    assert not torch.equal(kept, first)


@pytest.mark.parametrize("shared", [True, False])
def test_a_state_that_serves_twice_is_copied_once_and_a_batch_unlike_the_first_goes_beside_the_graph(graphed, shared):
    ours, plain = graphed(loss="lambda_returns"), learner(loss="lambda_returns")

    def one_of(i):
        b = weighted(i)
        twice = shared != (i == WARM_UP + 2)
        return dataclasses.replace(b, next_state=b.state) if twice else b

    for i in range(WARM_UP + 5):
        for one in (ours, plain):
            one.update(one_of(i), 1e-3)
            one.update(weighted(i, size=5), 1e-3)
    inputs = ours._recorded._inputs
    assert (inputs.next_state is inputs.state) == shared
    assert graph_of(ours).replays == 4
    assert_same_weights(ours, plain)


def test_a_state_that_is_loaded_asks_for_another_graph(graphed):
    ours, plain = graphed(), learner()
    for i in range(WARM_UP + 2):
        ours.update(weighted(i), 1e-3)
    old = graph_of(ours)
    ours.load_state_dict(copy.deepcopy(plain.state_dict()))
    assert graph_of(ours) is None
    for i in range(WARM_UP + 2):
        for one in (ours, plain):
            one.update(weighted(i), 1e-3)
    assert graph_of(ours) is not old
    assert_same_weights(ours, plain)
