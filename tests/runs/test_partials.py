"""A partial of a class or function is handed over as that itself would be, whatever kind of variant it is."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixelq
from pixelq.cli import main
from pixelq.losses import c51, dqn
from pixelq.networks.heads import categorical, linear
from pixelq.networks.linear import noisy
from pixelq.networks.memories import lstm
from pixelq.networks.streams import dueling
from pixelq.networks.torsos import plain
from pixelq.replay.samplers import prioritized

REPLAY: dict[str, Any] = {
    "recipe": "nips2013", "frame_skip": 1, "frame_stack": 1, "torso": "mlp", "hidden": (16,), "num_envs": 2,
    "steps": 120, "replay_start": 40, "replay_capacity": 400, "batch_size": 8, "eval_every": 0, "threads": 1,
}  # fmt: skip
SEQUENCES = {"loop": "recurrent_replay", "sequence_length": 4, "burn_in": 2, "sequence_every": 3}
PARTS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "head": (linear.Head, "linear", {}),
    "head of a distribution": (categorical.Head, "categorical", {"loss": "c51"}),
    "loss": (dqn.loss, "dqn", {"error": "squared"}),
    "loss of a distribution": (c51.loss, "c51", {"head": "categorical"}),
    "linear": (noisy.Linear, "noisy", {"epsilon_start": 0.0}),
    "streams": (dueling.streams, "dueling", {}),
    "torso": (plain.Torso, "plain", {"channels": (), "kernels": (), "strides": ()}),
    "sampler": (prioritized.Sampler, "prioritized", {}),
    "sampler of sequences": (prioritized.Sampler, "prioritized", SEQUENCES | {"memory": "lstm", "units": 6}),
    "memory": (lstm.Memory, "lstm", SEQUENCES | {"units": 6}),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_partial_trains_and_plays_as_the_variant_that_it_is_of(case: str, in_folder: Path) -> None:
    part, name, fields = PARTS[case]
    kind, partial = case.partition(" ")[0], functools.partial(functools.partial(part))
    pixelq.train("CartPole-v1", run_dir="named", **REPLAY | fields | {kind: name})
    pixelq.train("CartPole-v1", run_dir="partial", **REPLAY | fields | {kind: partial})
    states = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 1, 4)
    again = {kind: partial} if kind in ("head", "linear", "streams", "torso", "memory") else {}
    expected = pixelq.load("named").q_values(states)
    assert np.array_equal(pixelq.load("partial", **again).q_values(states), expected)
    longer = [pixelq.resume("named", steps=160), pixelq.resume("partial", steps=160, **{kind: partial})]
    assert [one.agent_steps for one in longer] == [160, 160]
    expected = pixelq.load("named").q_values(states)
    assert np.array_equal(pixelq.load("partial", **again).q_values(states), expected)


def test_verify_says_of_a_part_that_was_handed_over_that_no_file_brings_it_back(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixelq.train("CartPole-v1", run_dir="r", **REPLAY | {"loss": functools.partial(dqn.loss)})
    capsys.readouterr()
    assert main(["verify", "r"]) == 2
    shown = capsys.readouterr()
    said = " ".join((shown.out + shown.err).split())
    assert "is not known here; it was handed over in Python, and no file brings it back" in said
    assert "--import" not in said
