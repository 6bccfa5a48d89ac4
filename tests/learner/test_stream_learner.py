"""The learner of streams held to Q(lambda) with traces written out in float64, and to numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.means import NotFiniteError
from pixelq.learner.stream_learner import StreamLearner
from pixelq.networks import build_network
from pixelq.recipes.values import overridden
from pixelq.replay.batch import Batch
from small_networks import vectors

CPU = torch.device("cpu")
LINEAR: dict[str, Any] = {
    "loop": "stream", "loss": "td_error", "optimizer": "obgd", "target": "none", "batch_size": 1, "torso": "mlp",
    "hidden": (), "gamma": 0.9,
}  # fmt: skip
"""q(s, .) = W s + b: the head alone."""


def learner(features: int, space: Box | None = None, **fields: Any) -> StreamLearner:
    config = overridden(Config(), LINEAR | fields)
    generator = torch.Generator().manual_seed(1)
    return StreamLearner(build_network(config, space or vectors(1, features), 3, generator), config, CPU)


def transition(state: Any, action: int, reward: float, discount: float, next_state: Any) -> Batch:
    states = [torch.tensor(x, dtype=torch.float32).view(1, 1, -1) for x in (state, next_state)]
    numbers = [torch.tensor([x], dtype=torch.float32) for x in (reward, discount)]
    return Batch.unweighted(states[0], torch.tensor([action]), *numbers, states[1])


class Naive:
    """Algorithm 3 for q(s, .) = W s + b, one number after the other."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray, gamma: float, trace_lambda: float, kappa: float) -> None:
        self.w, self.b = weight.astype(float), bias.astype(float)
        self.z = dict.fromkeys(self._keys(), 0.0)
        self.decay, self.kappa = gamma * trace_lambda, kappa

    def _keys(self) -> list[tuple[int, ...]]:
        rows, columns = self.w.shape
        return [(i, j) for i in range(rows) for j in range(columns)] + [(i,) for i in range(rows)]

    def q(self, s: np.ndarray, a: int) -> float:
        return float(sum(self.w[a, j] * s[j] for j in range(len(s))) + self.b[a])

    def update(self, s: Any, a: int, r: float, discount: float, following: Any, alpha: float, end: bool) -> float:
        best = max(self.q(following, i) for i in range(len(self.b)))
        delta = r + discount * best - self.q(s, a)
        for key in self.z:
            gradient = 0.0 if key[0] != a else (s[key[1]] if len(key) == 2 else 1.0)
            self.z[key] = self.decay * self.z[key] + gradient
        m = alpha * self.kappa * max(abs(delta), 1.0) * sum(abs(z) for z in self.z.values())
        step = min(alpha / m, alpha) if m > 0 else alpha
        for key, z in self.z.items():
            if len(key) == 2:
                self.w[key] += step * delta * z
            else:
                self.b[key] += step * delta * z
        if end:
            self.z = dict.fromkeys(self.z, 0.0)
        return delta


@pytest.mark.parametrize("alpha", [1.0, 0.01])
@pytest.mark.parametrize("trace_lambda", [0.0, 0.8, 1.0])
def test_it_is_q_lambda_written_out_in_float64(trace_lambda: float, alpha: float) -> None:
    one = learner(4, trace_lambda=trace_lambda, kappa=3.0)
    output = one.network.head.output
    naive = Naive(output.weight.detach().numpy(), output.bias.detach().numpy(), 0.9, trace_lambda, 3.0)
    rng, deltas = np.random.default_rng(5), []
    for i in range(40):
        s, following = rng.normal(size=(2, 4)).astype(np.float32)
        a, r, discount = int(rng.integers(3)), float(rng.normal() * 3), 0.9 * (i % 7 != 0)
        end = i % 7 == 0 or i % 5 == 2
        deltas.append(naive.update(s, a, r, discount, following, alpha, end))
        found = one.update(transition(s, a, r, discount, following), alpha, end)
        assert found.item() == pytest.approx(abs(deltas[-1]), rel=1e-4, abs=1e-5)
    np.testing.assert_allclose(output.weight.detach(), naive.w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output.bias.detach(), naive.b, rtol=1e-4, atol=1e-5)
    assert one.take_means()[0] == pytest.approx(np.mean(np.square(deltas)), rel=1e-4)


def test_two_steps_by_hand() -> None:
    """Weights 0; gamma 0.9, lambda 0.5, kappa 2, alpha 1; states (1, 0), then (0, 1); action 0 both times."""
    one = learner(2, trace_lambda=0.5, kappa=2.0)
    output = one.network.head.output
    with torch.no_grad():
        output.weight.zero_()
        output.bias.zero_()
    # delta = 1; the traces of w(0, 0) and b(0) are 1; M = 2 x 1 x 2 = 4, step 1/4.
    one.update(transition([1, 0], 0, 1.0, 0.9, [0, 1]), 1.0)
    assert output.weight[0].tolist() == [0.25, 0.0]
    assert output.bias[0].item() == 0.25
    # q(s, 0) = 0.25, the end: delta = 2 - 0.25 = 1.75. Traces: w(0, 0) 0.45, w(0, 1) 1, b(0) 1.45, in all 2.9;
    # M = 2 x 1.75 x 2.9, so delta times the step is 1 / 5.8.
    one.update(transition([0, 1], 0, 2.0, 0.0, [0, 0]), 1.0, traces_end=True)
    assert output.weight[0].tolist() == pytest.approx([0.25 + 0.45 / 5.8, 1 / 5.8])
    assert output.bias[0].item() == pytest.approx(0.25 + 1.45 / 5.8)
    assert output.weight[1:].abs().sum() == 0


def test_traces_are_new_after_they_end_and_go_on_otherwise() -> None:
    one = learner(2, trace_lambda=1.0)
    step = transition([1, 2], 1, 1.0, 0.9, [0, 1])
    one.update(step, 1.0)
    assert one.state_dict()["optimizer"]["head.output.weight"]["trace"][1].tolist() == [1.0, 2.0]
    one.update(step, 1.0)
    assert one.state_dict()["optimizer"]["head.output.weight"]["trace"][1].tolist() == pytest.approx([1.9, 3.8])
    one.update(step, 1.0, traces_end=True)
    assert all(not s["trace"].any() for s in one.state_dict()["optimizer"].values())


def test_it_goes_on_from_its_state_to_the_bit() -> None:
    a, b = learner(3), learner(3)
    rng = np.random.default_rng(0)
    steps = [transition(*rng.normal(size=(1, 3)), i % 3, 1.0, 0.9, *rng.normal(size=(1, 3))) for i in range(6)]
    for step in steps[:3]:
        a.update(step, 1.0)
    b.load_state_dict(a.state_dict())
    for one in (a, b):
        for step in steps[3:]:
            one.update(step, 1.0)
    assert all(torch.equal(x, y) for x, y in zip(a.network.parameters(), b.network.parameters(), strict=True))
    assert a.take_means() == b.take_means()


def test_a_damaged_trace_is_refused() -> None:
    one = learner(3)
    state = one.state_dict()
    state["optimizer"]["head.output.bias"] = {"trace": torch.tensor([1.0, torch.nan, 0.0])}
    with pytest.raises(UserError, match=r"trace of head\.output\.bias is not finite"):
        learner(3).load_state_dict(state)


def test_an_infinite_td_error_stops_it_before_the_weights_change() -> None:
    one = learner(2)
    before = [parameter.clone() for parameter in one.network.parameters()]
    with pytest.raises(NotFiniteError, match="TD error is inf"):
        one.update(transition([1, 0], 0, np.inf, 0.9, [0, 1]), 1.0)
    assert not any(module.training for module in one.network.modules())
    assert all(torch.equal(x, y) for x, y in zip(before, one.network.parameters(), strict=True))
