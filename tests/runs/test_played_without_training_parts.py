"""A policy is played, shown, shared and reported where only the parts of its network are known: how it was trained
does not matter any more."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import pixelq
from own_variants import as_it_was, refused
from pixelq.cli import main
from pixelq.loops import replay_loop
from pixelq.losses import dqn
from pixelq.networks.heads import linear
from pixelq.networks.linear import plain
from pixelq.replay.samplers import uniform
from pixelq.schedules.epsilon import linear as linear_epsilon
from pixelq.variants import KINDS, register
from pixelq.viewing.stages import read_stages
from pixelq.web.player import LivePlayer
from small_runs import QUICK

__all__ = ["as_it_was"]
pytestmark = pytest.mark.usefixtures("as_it_was")

REPLAY = {"loop": "replay", "loss": "dqn", "batch_size": 16, "replay_start": 40, "num_envs": 1}
PARTS: dict[str, Any] = {
    "loss": dqn,
    "optimizer": SimpleNamespace(optimizer=torch.optim.SGD),
    "sampler": uniform,
    "epsilon_schedule": linear_epsilon,
    "loop": replay_loop,
}
NETWORKS: dict[str, Any] = {"head": linear, "linear": plain}


def train(kind: str, thing: Any) -> None:
    """A short run with a variant that this process then no longer knows."""
    register(kind, "mine", thing)
    quick = {name: value for name, value in QUICK.items() if name not in ("rollout_length", "epochs")}
    options = quick | REPLAY | {kind: "mine", "keep_policies": 100}
    pixelq.train("CartPole-v1", run_dir="r", **options)
    KINDS[kind]._registered.clear()


@pytest.mark.parametrize("kind", PARTS)
def test_what_trained_a_policy_need_not_be_known_to_play_show_share_and_report_it(
    kind: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(kind, PARTS[kind])
    agent = pixelq.load("r")
    assert getattr(agent.config, kind) == "mine"
    assert agent.q_values(np.zeros((1, 1, 4), np.float32)).shape == (1, 2)
    assert main(["eval", "r", "--episodes", "2"]) == 0
    assert main(["export", "r", "--episodes", "2", "--no-video"]) == 0
    assert getattr(pixelq.load("exports/r").config, kind) == "mine"
    assert main(["compare", "r"]) == 0
    assert main(["report", "r"]) == 0
    assert "unknown" not in Path("r/report.html").read_text()
    assert len(read_stages(Path("r"), torch.device("cpu"))) >= 2
    assert LivePlayer(Path("r")).look_for_policy()
    pixelq.train("CartPole-v1", run_dir="next", load="r", **QUICK)
    capsys.readouterr()
    assert main(["resume", "r"]) == 2
    assert f"unknown {kind} 'mine'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_policy_whose_network_is_not_known_is_refused_in_a_line(
    kind: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(kind, NETWORKS[kind])
    assert f"unknown {kind} 'mine'" in refused(pixelq.load, "r")
    assert main(["eval", "r"]) == 2
    assert f"unknown {kind} 'mine'" in capsys.readouterr().err
