"""The example in Keras does the arithmetic of the PyTorch agent, and runs from the command line."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from pixelq import make_envs, read_recipe
from pixelq.learner.learner import Learner
from pixelq.networks import build_network
from pixelq.replay import Replay
from scripts import script

EXAMPLE = Path(__file__).parents[1] / "examples" / "keras_pong.py"
CONFIG = read_recipe("lapan-pong")
UPDATES, FREE_UPDATES, COPY_EVERY = 100, 100, 25


@pytest.fixture(scope="module")
def example() -> ModuleType:
    for package in ("keras", "tensorflow"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: python -m pip install -e '.[keras]'")
    return script("examples/keras_pong.py")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """torch's waiting threads would keep the cores from TensorFlow's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def replay() -> Replay:
    """Real Pong, a random agent; rewards and an episode's end among the transitions."""
    # A game as it comes, without the recipe's forced openings: Pong is played by itself from its first frame.
    config = dataclasses.replace(CONFIG, wrapper_openings=False, fire_on_reset=True)
    envs = make_envs(config, num_envs=1, seed=1, threads=1)
    replay, generator = Replay(2_000, 1, (84, 84), 4, n_step=1, gamma=0.99), np.random.default_rng(1)
    phi, _ = envs.reset()
    for _ in range(1_200):
        action = generator.integers(0, 6, 1)
        next_phi, reward, terminated, truncated, info = envs.step(action)
        replay.add(phi, action, reward, terminated, terminated | truncated, info["final_obs"])
        phi = next_phi
    envs.close()
    return replay


def torch_learner() -> Learner:
    envs = make_envs(CONFIG, num_envs=1, seed=1, threads=1)
    space: Any = envs.single_observation_space
    network = build_network(CONFIG, space, 6, torch.Generator().manual_seed(7))
    envs.close()
    return Learner(network, CONFIG, torch.device("cpu"))


def keras_weights(learner: Learner) -> list[np.ndarray]:
    """torch's (out, in, rows, columns) as Keras's (rows, columns, in, out), and (out, in) as (in, out)."""
    order: dict[int, tuple[int, ...]] = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    return [p.detach().numpy().transpose(order[p.dim()]).copy() for p in learner.network.parameters()]


def carry_weights(learner: Learner, keras_learner: Any) -> None:
    keras_learner.network.set_weights(keras_weights(learner))
    keras_learner.copy_to_target()
    learner.copy_to_target()


def torch_loss(learner: Learner, batch: Any) -> float:
    learner.update(batch, CONFIG.learning_rate)
    return learner.take_means()[0]


def test_q_values_are_pytorchs_with_the_same_weights(example: ModuleType, replay: Replay) -> None:
    ours, theirs = torch_learner(), example.KerasLearner(CONFIG, 6)
    carry_weights(ours, theirs)
    phi = replay.sample(16, np.random.default_rng(3)).state
    with torch.no_grad():
        np.testing.assert_allclose(theirs.q_values(phi.numpy()), ours.network.q_values(phi).numpy(), atol=1e-5)


def test_in_a_hundred_updates_every_loss_is_pytorchs_on_the_same_weights(example: ModuleType, replay: Replay) -> None:
    ours, theirs, generator = torch_learner(), example.KerasLearner(CONFIG, 6), np.random.default_rng(4)
    carry_weights(ours, theirs)
    losses = np.zeros((UPDATES, 2))
    for i in range(UPDATES):
        batch = replay.sample(CONFIG.batch_size, generator)
        theirs.network.set_weights(keras_weights(ours))
        losses[i] = torch_loss(ours, batch), theirs.update(batch)
        if (i + 1) % COPY_EVERY == 0:
            ours.copy_to_target()
            theirs.network.set_weights(keras_weights(ours))
            theirs.copy_to_target()
    np.testing.assert_allclose(losses[:, 1], losses[:, 0], atol=1e-6, rtol=1e-4)
    assert losses.max() > 100 * losses.min()  # with and without a reward in the batch


def test_left_to_themselves_the_two_stay_together(example: ModuleType, replay: Replay) -> None:
    """As far as float arithmetic allows: Adam divides rounding by rounding where a gradient is almost 0."""
    ours, theirs, generator = torch_learner(), example.KerasLearner(CONFIG, 6), np.random.default_rng(5)
    carry_weights(ours, theirs)
    start = keras_weights(ours)
    losses = np.zeros((FREE_UPDATES, 2))
    for i in range(FREE_UPDATES):
        batch = replay.sample(CONFIG.batch_size, generator)
        losses[i] = torch_loss(ours, batch), theirs.update(batch)
    np.testing.assert_allclose(losses[:10, 1], losses[:10, 0], atol=1e-4)
    np.testing.assert_allclose(losses[:, 1], losses[:, 0], atol=2e-3)
    moved = distance(keras_weights(ours), start)
    assert distance(keras_weights(ours), theirs.network.get_weights()) < 0.2 * moved


def distance(these: list[np.ndarray], those: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(these, those, strict=True))))


def test_one_game_is_played_learned_from_and_counted(example: ModuleType) -> None:
    config = replace(CONFIG, steps=1_000, replay_start=980, target_every=10)
    fresh = example.KerasLearner(config, 6).network.get_weights()
    learner, scores = example.train(config)
    assert -21 <= scores.mean <= 21
    assert all((a != b).any() for a, b in zip(learner.network.get_weights(), fresh, strict=True))


def test_the_actions_that_were_really_taken_are_stored(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A game begins with the recipe's FIRE and action 2, whatever was chosen."""
    stored: list[int] = []

    class Recorded(Replay):
        def add(self, *transition: Any) -> None:
            stored.append(int(transition[1][0]))
            super().add(*transition)

    monkeypatch.setattr(example, "Replay", Recorded)
    monkeypatch.setattr(example.KerasLearner, "q_values", lambda self, state: np.eye(1, 6, k=5))
    example.train(replace(CONFIG, steps=10, epsilon_start=0.0, epsilon_end=0.0))
    assert stored == [1, 2] + 8 * [5]


def test_it_runs_from_the_command_line_and_keeps_its_weights(example: ModuleType, tmp_path: Path) -> None:
    weights = tmp_path / "pong.weights.h5"
    command = [sys.executable, str(EXAMPLE), "--steps", "20", "--weights", str(weights)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    assert done.stdout == "done, mean of the last 100 games nan\n"
    assert weights.stat().st_size > 6_000_000


def test_without_the_extra_one_line_names_the_command() -> None:
    code = f"import runpy, sys; sys.modules['keras'] = None; runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("keras_pong: ")
    assert line.endswith("python -m pip install -e '.[keras]'")


def environment() -> dict[str, str]:
    """The process finds what this one finds, wherever it runs."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p)}
