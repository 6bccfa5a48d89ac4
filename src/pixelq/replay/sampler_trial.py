"""A sampler from outside on trial: it hears of rows, draws, learns, and is brought back, before a run writes anything.

A run draws for the first time when its replay has its first transitions, hours after the start of a long run perhaps,
and brings a sampler back when it is resumed, days after that.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from pixelq.checkpoints.state_tree import join, split
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.own_code import told_as_own_code
from pixelq.replay.batch import Drawn
from pixelq.replay.replay import Replay
from pixelq.replay.samplers import sampler_maker
from pixelq.variants import from_outside

MOST_ROWS, MOST_TRANSITIONS = 500, 20_000
"""Of a replay for a trial: rows of an environment, and transitions of all."""
A_LAP = 40
"""Agent steps after which the ring has begun anew, once the rows in reach are full: it has at most 32 places more."""
ENDS = 0.1
"""Share of agent steps that end an episode, and as many again lose a life."""


def try_sampler(config: Config) -> None:
    """Let a fresh sampler draw from a small replay of drawn rewards, as the recipe's loop would let it.

    Nothing of a run takes part. What the sampler draws from Python's, NumPy's or torch's global generators is the
    caller's to put back.

    Args:
        config: of the run; its sampler is from outside.

    Raises:
        UserError: it fails, draws what `check_drawn` refuses, has a state that cannot be saved, or draws otherwise once
            that is brought back.
    """
    variants = from_outside(config, ("sampler",))
    generator = np.random.default_rng(config.seed)
    try:
        replay = _small_replay(config)
    except Exception:  # options that fit the run's replay alone; what is wrong with them there, making that one tells
        return
    try:
        with told_as_own_code(variants):
            first = min(max(1, -(-config.replay_start // config.num_envs)), replay.rows_per_env)
            for step in range(1, replay.rows_per_env + A_LAP):
                _play(replay, generator)
                if step == first and len(replay):
                    _learn(replay, config, generator)
            if len(replay):
                _learn(replay, config, generator)
                _try_state(replay, config)
    except UserError as error:
        if str(error).startswith(variants[0]):
            raise
        raise UserError(f"{variants[0]}: tried before the run begins: {error}") from None


def _small_replay(config: Config) -> Replay:
    """An empty one, with as many environments as the run has, and fewer rows of each: at least two minibatches."""
    n, make = config.num_envs, sampler_maker(config)
    least = max(-(-2 * config.batch_size // n), 2 * config.n_step) + 2
    rows = min(-(-config.replay_capacity // n), max(least, min(MOST_ROWS, MOST_TRANSITIONS // n)))
    return Replay(rows * n, n, (1,), 1, config.n_step, config.gamma, np.float32, make_sampler=make)


def _play(replay: Replay, generator: np.random.Generator) -> None:
    """One agent step of every environment."""
    n = replay.num_envs
    frames, over = generator.random((2, n, 1, 1), np.float32), generator.random(n) < ENDS
    terminated = generator.random(n) < ENDS
    replay.add(frames[0], np.zeros(n, np.int64), generator.random(n, np.float32), terminated, over, frames[1])


def _learn(replay: Replay, config: Config, generator: np.random.Generator) -> Drawn:
    """Draw a minibatch, and tell what an update might find in it, above 0."""
    drawn = replay.draw(config.batch_size, generator)
    rows = torch.from_numpy(np.stack([drawn.envs, drawn.positions], axis=1))
    replay.learned(rows, torch.from_numpy(1 - generator.random(config.batch_size, np.float32)))
    return drawn


def _try_state(replay: Replay, config: Config) -> None:
    """Save the sampler's state as a checkpoint does, bring another one back with it, and go on with both.

    Raises:
        UserError: it cannot be saved, or they draw differently.
    """
    tree, tensors = split({"sampler": replay.sampler.state_dict()})
    snapshot, other = replay.snapshot(), _small_replay(config)
    other.restore(snapshot.meta, snapshot.arrays, snapshot.sealed)
    other.sampler.load_state_dict(join(json.loads(json.dumps(tree)), tensors)["sampler"])
    of_each = [_goes_on(one, config) for one in (replay, other)]
    if not all(_same(*pair) for pair in zip(*of_each, strict=True)):
        raise UserError(
            "brought back from its state it draws otherwise than without that, so no run could be resumed exactly; all "
            "that decides what it draws belongs into its state_dict, and what it draws at random comes from the "
            "generator that `draw` is given"
        )


def _goes_on(replay: Replay, config: Config) -> list[Drawn]:
    """What is drawn next, always by the same generator."""
    generator = np.random.default_rng(config.seed)
    drawn = [_learn(replay, config, generator)]
    _play(replay, generator)
    return [*drawn, _learn(replay, config, generator)]


def _same(one: Drawn, other: Drawn) -> bool:
    """The same rows, and the same weights but for rounding."""
    pairs: Any = ((one.envs, other.envs), (one.positions, other.positions))
    return all(np.array_equal(*pair) for pair in pairs) and np.allclose(one.weight, other.weight)
