"""Updates with action masks, recorded as a program: what is compiled computes what is computed kernel by kernel."""

import pytest
import torch

from pixelq.replay import Batch
from small_learners import learner
from small_networks import vectors

SPACE = vectors(1, 3)
CASES = {
    "munchausen": {"loss": "munchausen"},
    "c51": {"loss": "c51", "head": "categorical", "double": True},
    "qr": {"loss": "qr", "head": "quantile", "quantiles": 5},
}


def batch(seed, size=6):
    g = torch.Generator().manual_seed(seed)
    states = torch.randn((2, size, *SPACE.shape), generator=g)
    action = torch.randint(0, 4, (size,), generator=g)
    masks = torch.rand((2, size, 4), generator=g) < 0.5
    masks[0, torch.arange(size), action] = masks[1, :, seed % 4] = True
    numbers = torch.randn(size, generator=g), torch.full((size,), 0.9)
    return Batch.unweighted(states[0], action, *numbers, states[1], *masks)


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_update_with_masks_is_the_plain_one(case, monkeypatch):
    """What the compiler is given is called as it is: compiling it takes ten seconds."""
    programs = []

    def not_compiled(operations, **options):
        programs.append(operations)
        return operations

    monkeypatch.setattr("torch.compile", not_compiled)
    recorded, plain = (learner(1, SPACE, torso="mlp", compile=True, deterministic=False, **CASES[case]) for _ in "ab")
    plain._recorded = None
    for i in range(5):
        found = [one.update(batch(i), 1e-3) for one in (recorded, plain)]
        torch.testing.assert_close(*found)
    assert len(programs) == 1
    assert "where" in programs[0].code
    for a, b in zip(recorded.network.parameters(), plain.network.parameters(), strict=True):
        torch.testing.assert_close(a, b)
