"""What Stable-Baselines3's DQN was told (its `data`) as fields of `Config`; what differs here, in words.

Sources: `DQN.__init__`, `train` and `_on_step` of stable_baselines3/dqn/dqn.py, `collect_rollouts` and `learn` of
common/off_policy_algorithm.py, `QRDQN` of sb3_contrib/qrdqn/qrdqn.py. Its steps are agent steps over all environments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pixelq.errors import UserError
from pixelq.imported.replay_sizes import replay_notes, replay_sizes
from pixelq.imported.run_lengths import seed_of
from pixelq.imported.sb3_file import TYPE, Sb3File, atoms_of_pickle, words_of

OPTIMIZERS = {"torch.optim.adam.Adam": "adam", "torch.optim.adamw.AdamW": "adamw", "torch.optim.radam.RAdam": "radam"}
LINEAR = "stable_baselines3.common.utils.LinearSchedule"
LEARNING_RATE = 1e-4
"""DQN's default."""
STEPS = 1_000_000
"""rl-baselines3-zoo's default, for a model that has not learned."""


def sb3_options(file: Sb3File, frame_stack: int) -> tuple[dict[str, Any], list[str]]:
    """Fields of `Config`, and what is not the same here.

    Args:
        file: read by `read_sb3`.
        frame_stack: frames of a state.

    Raises:
        UserError: an option is of another type than Stable-Baselines3's own.
    """
    said, notes = _Said(file), list[str]()
    steps = said.whole("_total_timesteps", 0) or STEPS
    num_envs, n_step = max(1, said.whole("n_envs", 1)), max(1, said.whole("n_steps", 1))
    asked = {
        "replay_capacity": said.whole("buffer_size", 1_000_000), "replay_start": said.whole("learning_starts", 100),
    }  # fmt: skip
    batch_size = said.whole("batch_size", 32)
    sizes = replay_sizes(
        asked["replay_capacity"],
        asked["replay_start"],
        batch_size,
        num_envs=num_envs,
        frame_stack=frame_stack,
        n_step=n_step,
    )
    notes += replay_notes(asked, sizes)
    values: dict[str, Any] = {
        "loop": "replay", "seed": seed_of(said.whole("seed", 1)), "steps": steps, "num_envs": num_envs,
        "gamma": said.number("gamma", 0.99), "n_step": n_step, "batch_size": batch_size, **sizes,
        "epsilon_schedule": "linear", "epsilon_start": said.number("exploration_initial_eps", 1.0),
        "epsilon_end": said.number("exploration_final_eps", 0.05),
        "epsilon_steps": max(1, round(said.number("exploration_fraction", 0.1) * steps)),
        "eval_epsilon": 0.0, "initialisation": "torch", "precision": "float32",
    }  # fmt: skip
    if said.data.get("max_grad_norm") in (None, math.inf):  # QR-DQN's default, and what clips nothing
        values["gradient_clip"] = "none"
    else:
        values |= {"gradient_clip": "norm", "gradient_clip_at": said.number("max_grad_norm", 10.0)}
    values |= _target(said, notes) | _learning_rate(said, steps, notes) | _optimizer(said, notes)
    values["train_every"] = _train_every(said, num_envs, notes)
    values["loss_options"] = {"error": "huber"} if file.algorithm == "DQN" else {"double": False, "kappa": 1.0}
    return values, notes


class _Said:
    """Options of `data`, held to their types."""

    def __init__(self, file: Sb3File) -> None:
        self.data, self._where = file.data, file.where

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        value = self.data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{self._where}: its {name} is {words_of(value)[:60]!r}, no finite number; it is damaged")
        return float(value)

    def whole(self, name: str, default: int) -> int:
        """A whole number; `default` where there is none (`null`)."""
        value = self.data.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
            raise UserError(f"{self._where}: its {name} is {words_of(value)[:60]!r}, no whole number; it is damaged")
        return value


def _target(said: _Said, notes: list[str]) -> dict[str, Any]:
    tau, every = said.number("tau", 1.0), max(1, said.whole("target_update_interval", 10_000))
    if tau == 1.0:
        return {"target": "hard", "target_every": every}
    notes.append(f"tau {tau:g} every {every:,} agent steps: here at every update")
    return {"target": "soft", "target_tau": tau}


def _learning_rate(said: _Said, steps: int, notes: list[str]) -> dict[str, Any]:
    found = said.data.get("learning_rate", LEARNING_RATE)
    if not isinstance(found, Mapping):
        return {"learning_rate": said.number("learning_rate", LEARNING_RATE)}
    if words_of(found.get(TYPE)) == LINEAR:
        start, end, fraction = (_positive(found.get(name)) for name in ("start", "end", "end_fraction"))
        if 0 <= end <= start and fraction >= 0:
            length = max(1, round(fraction * steps))
            return {"learning_rate": start, "learning_rate_end": end, "learning_rate_steps": length}
    notes.append(f"the learning rate is a function, which does not lie in the file: {LEARNING_RATE:g} is put there")
    return {"learning_rate": LEARNING_RATE}


def _positive(value: Any) -> float:
    """A number of at least 0; -1 for anything else."""
    return float(value) if type(value) in (int, float) and 0 <= value < 2**31 else -1.0


def _optimizer(said: _Said, notes: list[str]) -> dict[str, Any]:
    kwargs = said.data.get("policy_kwargs")
    kwargs = kwargs if isinstance(kwargs, Mapping) else {}
    name = words_of(kwargs.get("optimizer_class", "torch.optim.adam.Adam"))
    if name not in OPTIMIZERS:
        notes.append(f"optimizer {name.rpartition('.')[2][:40]}: adam is put there")
        return {"optimizer": "adam"}
    values: dict[str, Any] = {"optimizer": OPTIMIZERS[name]}
    given = kwargs.get("optimizer_kwargs")
    for theirs, value in (given if isinstance(given, Mapping) else {}).items():
        if theirs == "eps" and type(value) is float and 0 < value < 1:
            values["optimizer_eps"] = value
        elif theirs == "weight_decay" and type(value) in (int, float) and value >= 0 and name.endswith("AdamW"):
            values["weight_decay"] = float(value)
        elif theirs == "amsgrad" and isinstance(value, bool) and not name.endswith("RAdam"):
            values["amsgrad"] = value
        else:
            notes.append(f"optimizer_kwargs {str(theirs)[:40]} is left out")
    return values


def _train_every(said: _Said, num_envs: int, notes: list[str]) -> int:
    """Agent steps for one update: theirs makes `gradient_steps` after `train_freq` steps of each environment."""
    updates = said.whole("gradient_steps", 1)
    if updates < 0:  # as many as there were agent steps
        return 1
    frequency = _train_freq(said.data.get("train_freq", 4))
    if frequency is None:
        notes.append("train_freq is in whole episodes, or unknown: an update after every 4 agent steps is put there")
        return 4
    every = frequency * num_envs / max(1, updates)
    if every != round(every) or every < 1:
        notes.append(
            f"{updates} updates after every {frequency * num_envs} agent steps: one every {max(1, round(every))}"
        )
    return max(1, round(every))


def _train_freq(found: Any) -> int | None:
    """Steps of each environment between updates; None if they are counted in episodes, or it cannot be told."""
    if isinstance(found, list) and len(found) == 2 and found[1] == "step":
        found = found[0]
    if isinstance(found, Mapping):  # TrainFreq(frequency, unit), of which JSON holds nothing
        atoms = atoms_of_pickle(found)
        numbers = [one for one in atoms if isinstance(one, int) and one > 0]
        found = _frequency(numbers) if "step" in atoms and "episode" not in atoms else None
    return found if type(found) is int and 0 < found < 2**31 else None


def _frequency(numbers: list[int]) -> int | None:
    return numbers[0] if len(numbers) == 1 else None
