"""A short real training of every distributional recipe: it learns, and after a kill ends as if there had been none."""

import contextlib
from pathlib import Path

import pytest

from pixelq.cli.verify import verify
from pixelq.runs.session import resume, start
from small_runs import Killed, at_agent_step, die, facts, small

RECIPES = ["c51", "cleanrl-c51", "dopamine-c51", "qr-dqn", "dopamine-quantile", "iqn", "dopamine-iqn", "hl-gauss"]
FEW = {"steps": 84, "replay_start": 40, "checkpoint_every": 30, "eval_every": 0, "log_every": 42}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_and_resumed_run_of_a_distributional_recipe_ends_as_an_unbroken_one(
    recipe: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(recipe, torso="2013", **FEW)
    start(config, Path("unbroken"))
    with at_agent_step(monkeypatch, 67, die), contextlib.suppress(Killed):
        start(config, Path("broken"))
    resume(Path("broken"))
    unbroken = facts(Path("unbroken"))
    assert facts(Path("broken")) == unbroken
    before, after = verify(Path("unbroken")).checkpoints.values()
    assert before["network"] != after["network"]
    assert before["network"] == after["target network"]  # copied at agent step 60
    assert before["generators"] != after["generators"]
