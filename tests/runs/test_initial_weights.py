"""Runs that begin with a trained network's weights: which run they are of, and what is said where they do not fit."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelq.checkpoints.policy_file import load_agent
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_config
from pixelq.runs.session import start
from small_runs import QUICK, small


def quick(**overrides: Any) -> Config:
    return small("nips2013", **{"steps": 120, "eval_every": 0, "checkpoint_every": 0} | overrides)


def test_weights_are_loaded_from_a_run_and_auto_takes_the_newest_fitting_one(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(quick(seed=1), Path("runs/breakout"))
    start(quick(seed=2, game="pong"), Path("runs/pong"))
    capsys.readouterr()
    start(quick(seed=3, load="auto", steps=76), Path("third"))
    assert "weights from runs/breakout/final/policy.safetensors" in capsys.readouterr().err
    assert read_config(Path("third/config.toml")).load == "runs/breakout/final/policy.safetensors"
    first, third = (load_agent(Path(f)).network.head.output.weight for f in ("runs/breakout", "third"))
    assert torch.equal(first, third)  # 76 agent steps: not one update yet
    start(quick(seed=3, load="auto", steps=80, game="seaquest"), Path("none fits"))
    assert read_config(Path("none fits/config.toml")).load == ""
    with pytest.raises(UserError, match=r"weight head\.output"):
        start(quick(load="runs/breakout", game="pong"), Path("other"))
    assert not Path("other").exists()


def test_a_policy_that_pixelq_0_1_trained_is_begun_with(in_folder: Path) -> None:
    old = Path(__file__).parents[2] / "results" / "pong-default"
    Path("runs/old/final").mkdir(parents=True)
    shutil.copy(old / "config.toml", "runs/old")
    shutil.copy(old / "policy.safetensors", "runs/old/final")
    short = {"num_envs": 2, "rollout_length": 4, "batch_size": 8, "steps": 8, "eval_every": 0, "device": "cpu"}
    start(configure("pong", "default", short | {"load": "auto", "learning_rate": 1e-30}), Path("new"))
    assert read_config(Path("new/config.toml")).load == "runs/old/final/policy.safetensors"
    before, after = (load_agent(path).network.state_dict() for path in (old, Path("new")))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(UserError, match="another network"):
        start(configure("pong", "default", short | {"load": str(old), "hidden": [128]}), Path("other"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"memory": "lstm"}, "it was trained with --memory none, and this run has lstm"),
        ({"hidden": (16,)}, "it was trained with --hidden 8, and this run has 16"),
        ({"streams": "dueling"}, "it was trained with --streams plain, and this run has dueling"),
        ({"frame_stack": 2}, "it was trained with --frame-stack 1, and this run has 2"),
    ],
)
def test_weights_that_do_not_fit_name_the_choice_in_which_the_networks_differ(
    changed: dict[str, Any], said: str, in_folder: Path
) -> None:
    recipe = {k: v for k, v in QUICK.items() if k != "recipe"} | {"steps": 20, "eval_every": 0, "hidden": (8,)}
    start(configure("CartPole-v1", "gymnasium", recipe | {"frame_stack": 1}), Path("before"))
    with pytest.raises(UserError) as caught:
        start(
            configure("CartPole-v1", "gymnasium", recipe | {"frame_stack": 1, "load": "before"} | changed), Path("run")
        )
    assert str(caught.value).endswith(said)
    assert not Path("run").exists()
