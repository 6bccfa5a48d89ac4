"""A short real training of Munchausen's recipes, FQF and BTR: after a kill it ends as if there had been none."""

from pathlib import Path
from typing import Any

import pytest
import torch

import pixelq
from pixelq.runs.session import start
from small_runs import checkpoints_of_a_run_that_survives_a_kill, small

FEW = {"steps": 84, "replay_start": 40, "checkpoint_every": 30, "eval_every": 0, "log_every": 42}
# No update is due at agent step 60: in BTR's loop it would be made after the checkpoint and before the copy.
SMALL_BTR = {"num_envs": 2, "train_every": 7, "channels": (2, 3), "blocks": 1, "hidden": (8,), "beta_begin": 40}
CASES: dict[str, dict[str, Any]] = {
    "munchausen": {},
    "m-iqn": {"taus": 4, "target_taus": 4},
    "fqf": {},
    "btr": SMALL_BTR | {"precision": "bf16"},
}


@pytest.mark.parametrize("recipe", CASES)
def test_a_killed_and_resumed_run_ends_as_an_unbroken_one(
    recipe: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(recipe, **(FEW | CASES[recipe]))
    before, after = checkpoints_of_a_run_that_survives_a_kill(config, 67, monkeypatch)
    assert before["network"] != after["network"]
    assert before["network"] == after["target network"]  # copied at agent step 60
    assert before["generators"] != after["generators"]
    assert ("sampler" in after) == (recipe == "btr")


def test_a_policy_of_btr_is_loaded_with_its_spectral_norms(in_folder: Path) -> None:
    start(small("btr", **(FEW | SMALL_BTR | {"steps": 60})), Path("run"))
    network = pixelq.load("run").network
    vectors = [x for name, x in network.named_buffers() if name.endswith(("_u", "_v"))]
    assert len(vectors) == 2 * 4  # of two convolutions in each stack's block
    for x in vectors:
        assert x.norm().item() == pytest.approx(1.0, abs=1e-5)
    with torch.inference_mode():
        weights = [m.weight.flatten(1) for m in network.modules() if torch.nn.utils.parametrize.is_parametrized(m)]
        largest = [torch.linalg.matrix_norm(weight, 2).item() for weight in weights]
    assert largest == pytest.approx([1.0] * 4, rel=0.05)
