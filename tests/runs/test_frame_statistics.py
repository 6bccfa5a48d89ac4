"""Whole runs that normalise what they observe: whichever loop, the target reads the numbers that the network reads."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.learner import Learner
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.runs.session import resume, start
from pixelq.variants import KINDS
from small_runs import QUICK, Killed, at_agent_step, die, facts

NORMALISING = {k: v for k, v in QUICK.items() if k not in ("recipe", "rollout_length")} | {
    "normalise_observations": True, "hidden": (8,), "averaged_network_tau": 0.05, "eval_every": 0,
    "max_frames_per_episode": 17,
}  # fmt: skip
REPLAY = {
    "recipe": "cartpole", "target": "hard", "target_every": 10_000, "replay_start": 40, "replay_capacity": 500,
    "train_every": 8, "optimizer": "adam", "loss": "double", "steps": 120, "frame_stack": 1,
}  # fmt: skip
SEQUENCES = {"memory": "lstm", "units": 4, "sequence_length": 4, "burn_in": 2, "sequence_every": 3, "batch_size": 8}
WITH_A_TARGET = {"replay": REPLAY, "overlapped": REPLAY, "recurrent_replay": REPLAY | SEQUENCES}
"""The loops that learn with a target network, each with fields for a game of a few numbers."""


def cut_down(loop: str) -> Config:
    fields = NORMALISING | {"loop": loop} | WITH_A_TARGET[loop]
    return configure("CartPole-v1", fields.pop("recipe"), fields)


@pytest.mark.parametrize("loop", WITH_A_TARGET)
def test_the_target_normalises_as_the_network_does_at_every_update_and_after_a_kill(
    loop: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    update = Learner.update

    def seen(learner: Learner, batch: Any, rate: float) -> torch.Tensor:
        parts = [n.normalisation for n in (learner.network, learner.target_network, learner.averaged_network)]
        of_network, *others = [part(batch.state) for part in parts if part is not None]
        assert len(others) == 2
        assert all(torch.equal(of_network, x) for x in others)
        assert of_network.abs().max() < 10
        counted.append(int(learner.target_network.normalisation.count))
        return update(learner, batch, rate)

    monkeypatch.setattr(Learner, "update", seen)
    start(cut_down(loop), Path("unbroken"))
    assert counted[0] >= REPLAY["replay_start"]
    assert counted == sorted(set(counted))
    unbroken, counted[:] = [*counted], []
    with at_agent_step(monkeypatch, 90, die), contextlib.suppress(Killed):
        start(cut_down(loop), Path("broken"))
    before = len(counted)
    resume(Path("broken"))
    assert counted[before:] == unbroken[-len(counted[before:]) :]
    assert facts(Path("broken")) == facts(Path("unbroken"))


@pytest.mark.parametrize("loop", sorted({*KINDS["loop"].names()} - WITH_A_TARGET.keys()))
def test_no_other_loop_has_a_target_network(loop: str) -> None:
    recipe = "stream-q-minatar" if loop == "stream" else "gymnasium"
    more: dict[str, Any] = {"torso": "mlp"} if loop == "stream" else {}
    more |= {"memory": "lstm", "batch_size": 64} if loop.startswith("recurrent") else {}
    config = configure("CartPole-v1", recipe, {"loop": loop, "target": "none"} | more)
    validate(config)
    with pytest.raises(UserError, match=r"^target = hard is out of range"):
        validate(configure("CartPole-v1", recipe, {"loop": loop, "target": "hard"} | more))
