"""What a CleanRL script does with its arguments as fields of `Config`: a recipe, and over it what the file says.

Atari's scripts have recipes of their own. Those for vectors (dqn.py, c51.py, pqn.py) have the defaults below.
"""

from __future__ import annotations

from typing import Any

from pixelq.config import Config
from pixelq.imported.cleanrl_file import CleanrlFile
from pixelq.imported.replay_sizes import replay_notes, replay_sizes
from pixelq.imported.run_lengths import seed_of
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.values import overridden

VECTORS: dict[str, Any] = {
    "steps": 500_000, "seed": 1, "loop": "replay", "num_envs": 1, "learning_rate": 2.5e-4, "gamma": 0.99,
    "optimizer": "adam", "gradient_clip": "none", "replay_capacity": 10_000, "replay_start": 10_000, "batch_size": 128,
    "train_every": 10, "target": "hard", "target_every": 500, "epsilon_schedule": "linear", "epsilon_start": 1.0,
    "epsilon_end": 0.05, "epsilon_steps": 250_000, "eval_epsilon": 0.05, "initialisation": "torch",
}  # fmt: skip
"""Defaults of dqn.py."""
C51: dict[str, Any] = {"loss": "c51", "loss_options": {"double": False}, "optimizer_eps": 0.01 / 128}
"""What c51.py has over them; Adam's eps is 0.01 / batch_size."""
PQN: dict[str, Any] = {
    "loop": "parallel", "num_envs": 4, "rollout_length": 128, "batch_size": 128, "epochs": 4, "target": "none",
    "optimizer": "radam", "learning_rate_end": 0.0, "gradient_clip": "norm", "gradient_clip_at": 10.0,
    "initialisation": "orthogonal", "output_gain": 2**0.5, "loss": "lambda_returns",
    "loss_options": {"error": "squared", "trace_lambda": 0.65},
}  # fmt: skip
"""What pqn.py has over them: 4 minibatches of 4 games x 128 steps."""

WHOLE = {
    "total_timesteps": "steps", "num_envs": "num_envs", "seed": "seed", "buffer_size": "replay_capacity",
    "learning_starts": "replay_start", "batch_size": "batch_size", "train_frequency": "train_every",
    "target_network_frequency": "target_every",
}  # fmt: skip
"""Arguments that are whole numbers -> fields of `Config`."""
NUMBERS = {"gamma": "gamma", "learning_rate": "learning_rate", "start_e": "epsilon_start", "end_e": "epsilon_end"}


def cleanrl_base(network: dict[str, Any], *, images: bool) -> Config:
    """The configuration of the script whose network that is.

    Args:
        network: fields of `Config` that say which it is.
        images: whether it reads images.
    """
    noisy, norm, head = network.get("linear") == "noisy", "norm" in network, network["head"]
    if images:
        name = "cleanrl-rainbow" if noisy else "cleanrl-c51" if head == "categorical" else "cleanrl"
        pqn = "cleanrl-pqn-lstm" if "memory" in network else "cleanrl-pqn"
        return read_recipe(pqn if norm else name)
    over = PQN if norm else C51 if head == "categorical" else {"loss": "dqn", "loss_options": {"error": "squared"}}
    name = "cleanrl-pqn" if norm else "cleanrl-c51" if head == "categorical" else "cleanrl"
    return overridden(Config(), {**VECTORS, **over, "recipe": name, "head": head}, "CleanRL's defaults")


def cleanrl_options(file: CleanrlFile, base: Config, frame_stack: int) -> tuple[dict[str, Any], list[str]]:
    """Fields of `Config` that the file's arguments say, and what is not the same here.

    Args:
        file: read by `read_cleanrl`.
        base: the script's configuration.
        frame_stack: frames of a state.

    Raises:
        UserError: an argument is no number.
    """
    values: dict[str, Any] = {}
    for theirs, ours in WHOLE.items():
        if (number := file.number(theirs)) is not None:
            values[ours] = int(number)
    for theirs, ours in NUMBERS.items():
        if (number := file.number(theirs)) is not None:
            values[ours] = float(number)
    if (fraction := file.number("exploration_fraction")) is not None:
        values["epsilon_steps"] = max(1, round(fraction * values.get("steps", base.steps)))
    if "epsilon_end" in values:
        values["eval_epsilon"] = values["epsilon_end"]
    if base.loss == "c51" and "batch_size" in values:
        values["optimizer_eps"] = 0.01 / max(1, values["batch_size"])
    if "seed" in values:
        values["seed"] = seed_of(values["seed"])
    if base.loop != "replay":
        return values, []
    said = {**vars(base), **values}
    asked = {name: said[name] for name in ("replay_capacity", "replay_start")}
    sizes = replay_sizes(
        asked["replay_capacity"], asked["replay_start"], said["batch_size"], num_envs=max(1, said["num_envs"]),
        frame_stack=frame_stack, n_step=base.n_step,
    )  # fmt: skip
    return values | sizes, replay_notes(asked, sizes)
