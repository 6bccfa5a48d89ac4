"""A short real training of every distributional recipe: it learns, and after a kill ends as if there had been none."""

from pathlib import Path

import pytest

from small_runs import checkpoints_of_a_run_that_survives_a_kill, small

RECIPES = ["c51", "cleanrl-c51", "dopamine-c51", "qr-dqn", "dopamine-quantile", "iqn", "dopamine-iqn", "hl-gauss"]
FEW = {"steps": 84, "replay_start": 40, "checkpoint_every": 30, "eval_every": 0, "log_every": 42}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_and_resumed_run_of_a_distributional_recipe_ends_as_an_unbroken_one(
    recipe: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(recipe, torso="2013", **FEW)
    before, after = checkpoints_of_a_run_that_survives_a_kill(config, 67, monkeypatch)
    assert before["network"] != after["network"]
    assert before["network"] == after["target network"]  # copied at agent step 60
    assert before["generators"] != after["generators"]
