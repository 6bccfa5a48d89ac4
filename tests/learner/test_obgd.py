"""ObGD held to its formula, and to what it is for: where q is linear, no step goes beyond the error it was made for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pixelq.learner.optimizers.obgd import bounded_step_size, decay_and_add, overshooting_bounded_step

SMALL = st.floats(-1, 1, width=32)
VECTORS = arrays(np.float32, 6, elements=SMALL)


def number(x: float) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float32)


@pytest.mark.parametrize(
    ("alpha", "kappa", "error", "traces", "by_hand"),
    [
        (1.0, 2.0, 3.0, [[1.0, -2.0], [0.5]], 1 / (2 * 3 * 3.5)),  # M = 1 x 2 x 3 x 3.5 = 21
        (1.0, 2.0, -3.0, [[1.0, -2.0], [0.5]], 1 / 21),  # its size counts, not its sign
        (1.0, 2.0, 0.25, [[1.0, -2.0], [0.5]], 1 / 7),  # an error below 1 counts as 1
        (0.5, 2.0, 0.25, [[1.0, -2.0], [0.5]], 0.5 / 3.5),
        (0.1, 2.0, 1.0, [[1.0, -2.0], [0.5]], 0.1),  # M = 0.7: the step is alpha
        (1.0, 3.0, 1.0, [[0.0, 0.0], [0.0]], 1.0),
    ],
)
def test_the_step_size_is_the_papers(alpha, kappa, error, traces, by_hand):
    z = [torch.tensor(trace) for trace in traces]
    assert bounded_step_size(alpha, kappa, number(error), z).item() == pytest.approx(by_hand, rel=1e-6)


@given(
    st.floats(-10, 10, width=32), st.lists(VECTORS, min_size=1, max_size=5), st.floats(0.0078125, 1, width=32),
    st.floats(1, 8, width=32),
)  # fmt: skip
def test_the_error_of_a_linear_function_keeps_its_sign(target, inputs, alpha, kappa):
    """q(s) = w x of inputs within 1, along the trace of any states before; w and target are any."""
    w = torch.linspace(-1, 1, 6)
    trace = torch.zeros(6)
    for x in inputs:
        decay_and_add([trace], 0.8, [torch.from_numpy(x)])
    last = torch.from_numpy(inputs[-1])
    before = target - last @ w
    overshooting_bounded_step([w], [trace], before, alpha, kappa)
    after = target - last @ w
    assert (before * after).item() >= -1e-5


def test_without_the_bound_the_same_step_overshoots():
    w, x = torch.zeros(6), torch.ones(6)
    overshooting_bounded_step([w], [x], number(1.0), 1.0, 1e-6)  # so small a kappa is no bound
    assert 1.0 - (x @ w).item() < -1
