"""Parallelised Q-network (PQN): many environments, lambda-returns, no replay, no target network (arXiv 2407.04811)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.loops import Require
from pixelq.loops.minibatch_fields import MINIBATCH_FIELDS
from pixelq.loops.rollout import Rollout
from pixelq.losses import bound_loss
from pixelq.schedules import epsilon_schedule, learning_rate_schedule

if TYPE_CHECKING:
    from pixelq.runs.run import Run


def loop(run: Run) -> None:
    """Train until the run has played its agent steps, is solved, or is asked to stop (the paper's algorithm PQN)."""
    parts, config, counters = run.parts, run.config, run.parts.counters
    envs, policy, learner = parts.envs, parts.policy, parts.learner
    epsilon, learning_rate, loss = epsilon_schedule(config), learning_rate_schedule(config), bound_loss(config)
    rollout = Rollout(config.rollout_length, envs, config.gamma)

    state = run.first_observations()
    while run.goes_on():
        start = counters.agent_steps

        # Play T agent steps in every environment with the epsilon-greedy policy of the current theta.
        for t in range(config.rollout_length):
            action_mask = envs.action_masks
            action, value = policy.act_and_value(state, epsilon(counters.agent_steps), action_mask)
            next_state, reward, terminated, truncated, info = envs.step(action)
            target_ends = run.target_ends(terminated, info["life_lost"])
            learning_reward = run.learning_reward(reward, target_ends | truncated)
            rollout.store(t, state, info["action"], learning_reward, value, target_ends, action_mask)
            if (truncated & ~terminated).any():
                # A truncated episode has a future that was not played: bootstrap from its last observation.
                final, final_mask = info["final_obs"], info.get("final_action_mask")
                final_value = policy.q_values(final, final_mask).max(axis=1)
                rollout.cut(t, truncated & ~terminated, final, final_value, final_mask)
            state = run.observed(next_state)
            run.count_step(reward, terminated | truncated)
        rollout.end(state, policy.q_values(state, envs.action_masks).max(axis=1), envs.action_masks)

        # R_t = r_t + gamma ((1 - lambda) max_a Q(s_{t+1}, a) + lambda R_{t+1}), or as in pixelq/losses/<loss>.py.
        returns = loss.returns(rollout.played(), loss.options) if loss.returns else None

        # Some epochs of minibatches of (R_t - Q(s_t, a_t; theta))^2, shuffled anew each time.
        for _ in range(config.epochs):
            order = torch.from_numpy(parts.replay_generator.permutation(config.num_envs * config.rollout_length))
            for chosen in order.split(config.batch_size):
                learner.update(rollout.batch(chosen, returns), learning_rate(start))
                counters.updates += 1

        run.do_what_is_due(since=start)


# --- what the loop needs ----------------------------------------------------------------------------------------------

GIVES = "rollouts"
OWN_FIELDS = MINIBATCH_FIELDS | {"rollout_length": None, "epochs": None}


def check(config: Config, require: Require) -> None:
    """Rollouts of whole minibatches, and nothing that only a replay or a target network has.

    Raises:
        UserError: naming the field that does not fit.
    """
    rollout = config.num_envs * config.rollout_length
    require(
        config.batch_size <= rollout and rollout % config.batch_size == 0,
        "batch_size",
        f"a divisor of num_envs x rollout_length ({rollout})",
    )
    require(config.sampler == "uniform", "sampler", "uniform in the parallel loop, which has no replay to sample from")
    require(config.target == "none", "target", "none in the parallel loop (it bootstraps from the network itself)")


def kept_bytes(config: Config, observed: Box) -> dict[str, int]:
    """Bytes of a rollout's states."""
    state = math.prod(observed.shape) * observed.dtype.itemsize
    return {"rollout_length": config.num_envs * config.rollout_length * state}


def updates_per_step(config: Config) -> float:
    """Each rollout is learned from in minibatches, `epochs` times."""
    return config.epochs / config.batch_size


def learns_from(config: Config, sampler: str) -> str:
    """The rollouts and their epochs."""
    return f"rollouts of {config.rollout_length} in each environment, {config.epochs} epochs of {config.batch_size}"
