"""Parallelised Q-network (PQN): many environments, lambda-returns, no replay, no target network (arXiv 2407.04811)."""

from __future__ import annotations

import torch

from pixelq.loops.rollout import Rollout
from pixelq.losses import bound_loss
from pixelq.runs.run import Run
from pixelq.schedules import epsilon_schedule, learning_rate_schedule


def parallel_loop(run: Run) -> None:
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
            action, value = policy.act_and_value(state, epsilon(counters.agent_steps))
            next_state, reward, terminated, truncated, info = envs.step(action)
            target_ends = run.target_ends(terminated, info["life_lost"])
            rollout.store(t, state, info["action"], run.learning_reward(reward), value, target_ends)
            if (truncated & ~terminated).any():
                # A truncated episode has a future that was not played: bootstrap from its last observation.
                final = info["final_obs"]
                rollout.cut(t, truncated & ~terminated, final, policy.q_values(final).max(axis=1))
            state = next_state
            run.count_step(reward, terminated | truncated)
        rollout.end(state, policy.q_values(state).max(axis=1))

        # R_t = r_t + gamma ((1 - lambda) max_a Q(s_{t+1}, a) + lambda R_{t+1}), or as in pixelq/losses/<loss>.py.
        returns = loss.returns(rollout.played(), loss.options) if loss.returns else None

        # Some epochs of minibatches of (R_t - Q(s_t, a_t; theta))^2, shuffled anew each time.
        for _ in range(config.epochs):
            order = torch.from_numpy(parts.replay_generator.permutation(config.num_envs * config.rollout_length))
            for chosen in order.split(config.batch_size):
                learner.update(rollout.batch(chosen, returns), learning_rate(start))
                counters.updates += 1

        run.do_what_is_due(since=start)
