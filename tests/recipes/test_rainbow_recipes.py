"""Dueling, prioritized replay, noisy nets and the Rainbows: their numbers, networks and short real training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixelq.learner.learner import Learner
from pixelq.networks import build_network
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.validation import validate
from pixelq.recipes.values import with_all_options
from pixelq.replay.batch import Batch
from pixelq.replay.samplers.prioritized import Sampler
from pixelq.runs.session import resume, start
from run_fixtures import in_folder, no_plots, torch_settings_restored
from small_networks import images
from small_runs import SMALL, Killed, at_agent_step, die, facts

__all__ = ["in_folder", "no_plots", "torch_settings_restored"]

C51 = {"atoms": 51, "v_min": -10.0, "v_max": 10.0}
RISING = {"beta_start": 0.4, "beta_end": 1.0, "beta_steps": 0}
RAINBOW: dict[str, Any] = {
    "loss": "c51", "head": "categorical", "streams": "dueling", "linear": "noisy", "sampler": "prioritized",
    "double": True, **C51, **RISING, "priority_exponent": 0.5, "n_step": 3,
    "learning_rate": 6.25e-5, "optimizer": "adam", "optimizer_eps": 1.5e-4, "batch_size": 32, "gamma": 0.99,
    "replay_capacity": 1_000_000, "train_every": 4, "target_every": 8_000,
    "epsilon_schedule": "constant", "epsilon_start": 0.0, "sticky_actions": 0.0, "life_loss_ends_target": True,
}  # fmt: skip
"""What the paper's Rainbow and CleanRL's have in common."""
TABLE: dict[str, dict[str, Any]] = {
    "dueling": {
        "loss": "double", "streams": "dueling", "gradient_scale": 2**-0.5, "learning_rate": 6.25e-5,
        "gradient_clip": "norm", "gradient_clip_at": 10.0, "optimizer": "rmsprop", "sampler": "uniform",
    },
    "prioritized": {
        "loss": "double", "sampler": "prioritized", "priority_exponent": 0.6, **RISING, "learning_rate": 2.5e-4 / 4,
        "optimizer": "rmsprop", "streams": "plain", "stratified": True, "epsilon_end": 0.01,
    },
    "noisy": {
        "loss": "dqn", "linear": "noisy", "sigma0": 0.5, "factorised": True, "epsilon_schedule": "constant",
        "epsilon_start": 0.0, "optimizer": "rmsprop", "learning_rate": 2.5e-4, "target_every": 10_000,
    },
    "rainbow": RAINBOW | {
        "sigma0": 0.5, "factorised": True, "priority": "kl", "replay_start": 80_000 // 4, "gradient_clip": "norm",
        "noop_max": 30, "steps": 50_000_000, "padding": "valid", "stratified": True,
    },
    "cleanrl-rainbow": RAINBOW | {
        "sigma0": 0.5, "factorised": False, "priority": "cross_entropy", "replay_start": 80_000, "priority_eps": 1e-6,
        "gradient_clip": "none", "steps": 10_000_000, "wrapper_openings": True,
    },
    "dopamine-rainbow": C51 | {
        "loss": "c51", "double": False, "streams": "plain", "linear": "plain", "sampler": "prioritized", "n_step": 3,
        "priority_exponent": 0.5, "priority_eps": 1e-10, "beta_start": 0.5, "beta_end": 0.5, "stratified": False,
        "learning_rate": 6.25e-5, "optimizer_eps": 1.5e-4, "replay_start": 20_000, "target_every": 8_000,
        "epsilon_end": 0.01, "epsilon_steps": 250_000, "eval_epsilon": 0.001, "sticky_actions": 0.25,
        "initialisation": "fan_in", "padding": "same", "life_loss_ends_target": False, "noop_max": 0,
    },
    "data-efficient-rainbow": RAINBOW | {
        "channels": (32, 64), "kernels": (5, 5), "strides": (5, 5), "hidden": (256,), "sigma0": 0.1,
        "steps": 100_000, "replay_capacity": 100_000, "replay_start": 1_600, "train_every": 1, "n_step": 20,
        "target_every": 2_000, "learning_rate": 1e-4, "beta_begin": 1_600, "gradient_clip_at": 10.0,
    },
}  # fmt: skip
"""Written out by hand from the papers and codes that the recipes name."""


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_has_its_sources_numbers(name: str) -> None:
    config = with_all_options(read_recipe(name))
    found = dict(vars(config))
    for table in ("torso", "linear", "streams", "head", "loss", "sampler"):
        found |= getattr(config, f"{table}_options")
    assert {field: found[field] for field in TABLE[name]} == TABLE[name]


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def noisy(inputs: int, outputs: int) -> int:
    return 2 * dense(inputs, outputs)


NATURE = dense(4 * 8 * 8, 32) + dense(32 * 4 * 4, 64) + dense(64 * 3 * 3, 64)
SIZES = {
    # Kaixhin's model.py with architecture canonical, CleanRL's rainbow_atari.py: four noisy layers on 3,136 features.
    "rainbow": NATURE + 2 * noisy(3_136, 512) + noisy(512, 51) + noisy(512, 51 * 6),
    "cleanrl-rainbow": NATURE + 2 * noisy(3_136, 512) + noisy(512, 51) + noisy(512, 51 * 6),
    # Kaixhin's model.py with architecture data-efficient and 256 units: 576 features.
    "data-efficient-rainbow": dense(4 * 5 * 5, 32) + dense(32 * 5 * 5, 64)
    + 2 * noisy(576, 256) + noisy(256, 51) + noisy(256, 51 * 6),
    # Dopamine's networks.RainbowNetwork: padding SAME, 11 x 11 x 64 features.
    "dopamine-rainbow": NATURE + dense(7_744, 512) + dense(512, 51 * 6),
    "noisy": NATURE + noisy(3_136, 512) + noisy(512, 6),
    "dueling": NATURE + 2 * dense(3_136, 512) + dense(512, 1) + dense(512, 6),
    "prioritized": NATURE + dense(3_136, 512) + dense(512, 6),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_a_network_has_as_many_weights_as_its_source(name: str) -> None:
    network = build_network(read_recipe(name), images(4, 84, 84), 6, torch.Generator().manual_seed(0))
    assert sum(p.numel() for p in network.parameters()) == SIZES[name]


LEFT_TO_THE_RECIPE = ("screen_size", "noop_max", "epsilon_start", "epsilon_steps")
SMALLER: dict[str, Any] = {name: value for name, value in SMALL.items() if name not in LEFT_TO_THE_RECIPE} | {
    "torso": "mlp", "hidden": [16], "num_envs": 3, "frame_skip": 1, "frame_stack": 1, "max_frames_per_episode": 24,
    "sticky_actions": 0.0, "steps": 210, "replay_start": 66, "replay_capacity": 66, "checkpoint_every": 60,
    "train_every": 4, "eval_every": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_a_killed_and_resumed_run_of_a_recipe_ends_as_an_unbroken_one(
    name: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some agent steps of CartPole, in which the replay's ring wraps around; killed beside a checkpoint."""
    prioritized = TABLE[name].get("sampler") == "prioritized"
    fields = SMALLER | ({"n_step": 4} if "n_step" in TABLE[name] else {}) | ({"beta_begin": 90} if prioritized else {})
    config, learners, first = configure("CartPole-v1", name, fields), [], []
    update = Learner.update

    def noted(learner: Learner, *rest: Any) -> torch.Tensor:
        learners.append(learner)
        if len(learners) == 1:
            first.extend(p.detach().clone() for p in learner.network.parameters())
        return update(learner, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Learner, "update", noted)
        start(config, Path("unbroken"))
    assert len(learners) == 210 // 4 - (66 - 3) // 4
    for before, after in zip(first, learners[0].network.parameters(), strict=True):
        assert not torch.equal(before, after)
    with at_agent_step(monkeypatch, 150, die), pytest.raises(Killed):
        start(config, Path("broken"))
    resume(Path("broken"))
    unbroken = facts(Path("unbroken"))
    assert facts(Path("broken")) == unbroken
    assert ("sampler" in unbroken) == prioritized


def test_what_an_update_finds_goes_back_to_the_rows_it_learned_from(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three environments, four steps, so that rows and transitions are counted apart."""
    told: list[tuple[list[list[int]], list[float]]] = []
    heard: list[tuple[list[list[int]], list[float]]] = []
    update, learned = Learner.update, Sampler.learned

    def updated(learner: Learner, batch: Batch, learning_rate: float) -> torch.Tensor:
        priority = update(learner, batch, learning_rate)
        told.append((batch.rows.tolist(), priority.tolist()))
        return priority

    def hearing(sampler: Sampler, rows: np.ndarray, priority: np.ndarray) -> None:
        heard.append((rows.tolist(), priority.tolist()))
        learned(sampler, rows, priority)

    monkeypatch.setattr(Learner, "update", updated)
    monkeypatch.setattr(Sampler, "learned", hearing)
    start(configure("CartPole-v1", "rainbow", SMALLER | {"n_step": 4, "steps": 120}), Path("run"))
    assert len(heard) > 10
    assert heard == told
    assert len({env for rows, _ in heard for env, _ in rows}) == 3
    assert min(priority for _, priorities in heard for priority in priorities) >= 0


@pytest.mark.parametrize("recipe", ["nature2015", "dopamine", "cleanrl"])
def test_noisy_goes_with_recipes_whose_epsilon_waits_and_falls(recipe: str) -> None:
    config = configure("breakout", recipe, {"noisy": True})
    validate(config)
    assert (config.linear, config.epsilon_schedule, config.epsilon_start) == ("noisy", "constant", 0.0)
