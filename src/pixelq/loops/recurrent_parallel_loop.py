"""PQN with a memory: learns from whole sequences what was played in order (CleanRL, pqn_atari_envpool_lstm.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.loops import Require, parallel_loop
from pixelq.loops.sequences import Sequences
from pixelq.losses import bound_loss
from pixelq.schedules import epsilon_schedule, learning_rate_schedule

if TYPE_CHECKING:
    from pixelq.runs.run import Run


def loop(run: Run) -> None:
    """Train until the run has played its agent steps, is solved, or is asked to stop.

    It is PQN's loop (arXiv 2407.04811), whose network also knows h_t, what it remembers before s_t.
    """
    parts, config, counters = run.parts, run.config, run.parts.counters
    envs, policy, learner = parts.envs, parts.policy, parts.learner
    epsilon, learning_rate, loss = epsilon_schedule(config), learning_rate_schedule(config), bound_loss(config)
    sequences = Sequences(config.rollout_length, envs, config.gamma)

    state = run.first_observations()
    while run.goes_on():
        start = counters.agent_steps

        # Play T agent steps in every environment with the epsilon-greedy policy of the current theta, from h_0 on.
        sequences.begin(policy.recurrent_state)
        for t in range(config.rollout_length):
            action_mask = envs.action_masks
            # Q(s_t, h_t, .; theta), and h_{t+1}, which the policy remembers from here on.
            action, value = policy.act_and_value(state, epsilon(counters.agent_steps), action_mask)
            next_state, reward, terminated, truncated, info = envs.step(action)
            target_ends = run.target_ends(terminated, info["life_lost"])
            learning_reward = run.learning_reward(reward, target_ends | truncated)
            sequences.store(t, state, info["action"], learning_reward, value, target_ends, action_mask)
            if (truncated & ~terminated).any():
                # A truncated episode has a future that was not played: bootstrap from its last observation.
                final, final_mask = info["final_obs"], info.get("final_action_mask")
                final_value = policy.q_values(final, final_mask).max(axis=1)
                sequences.cut(t, truncated & ~terminated, final, final_value, final_mask)
            # Where an episode ends, or a life that the target takes for one, h_{t+1} = 0.
            policy.forget(target_ends | truncated)
            sequences.episodes_end(t, target_ends | truncated)
            state = run.observed(next_state)
            run.count_step(reward, terminated | truncated)
        sequences.end(state, policy.q_values(state, envs.action_masks).max(axis=1), envs.action_masks)

        # R_t = r_t + gamma ((1 - lambda) max_a Q(s_{t+1}, h_{t+1}, a) + lambda R_{t+1}), or as in the loss's file.
        returns = loss.returns(sequences.played(), loss.options) if loss.returns else None

        # Some epochs of minibatches of (R_t - Q(s_t, h_t, a_t; theta))^2: whole environments, shuffled anew each time,
        # whose h_1, h_2, ... the theta of now makes again from h_0.
        for _ in range(config.epochs):
            order = torch.from_numpy(parts.replay_generator.permutation(config.num_envs))
            for chosen in order.split(config.batch_size // config.rollout_length):
                learner.update(sequences.of(chosen, returns), learning_rate(start))
                counters.updates += 1

        run.do_what_is_due(since=start)


# --- what the loop needs ----------------------------------------------------------------------------------------------

WITH_MEMORY_AS = "parallel"
GIVES = "rollouts"
OWN_FIELDS = parallel_loop.OWN_FIELDS


def check(config: Config, require: Require) -> None:
    """Rollouts of minibatches of whole environments, and nothing that only a replay or a target network has.

    Raises:
        UserError: naming the field that does not fit.
    """
    environments, rest = divmod(config.batch_size, config.rollout_length)
    require(
        rest == 0 and 1 <= environments <= config.num_envs and config.num_envs % environments == 0,
        "batch_size",
        f"rollout_length ({config.rollout_length}) times a divisor of num_envs ({config.num_envs}), because a network "
        "with a memory learns from the whole rollouts of some environments",
    )
    parallel_loop.check(config, require)


def kept_bytes(config: Config, observed: Box) -> dict[str, int]:
    """Bytes of a rollout's states."""
    return parallel_loop.kept_bytes(config, observed)


def updates_per_step(config: Config) -> float:
    """Each rollout is learned from in minibatches, `epochs` times."""
    return parallel_loop.updates_per_step(config)


def learns_from(config: Config, sampler: str) -> str:
    """The rollouts, their environments and epochs."""
    environments = config.batch_size // config.rollout_length
    rollouts = f"rollouts of {config.rollout_length} in each environment"
    return f"{rollouts}, {config.epochs} epochs of those of {environments} environments, in order"
