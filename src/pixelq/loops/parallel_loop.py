"""Parallelised Q-network (PQN): many environments, lambda-returns, no replay, no target network (arXiv 2407.04811)."""

from __future__ import annotations

import torch

from pixelq.loops.rollout import Rollout
from pixelq.losses.lambda_returns import lambda_returns
from pixelq.replay.batch import Batch
from pixelq.runs.run import Run
from pixelq.schedules import epsilon_schedule, learning_rate_schedule


def parallel_loop(run: Run) -> None:
    """Train until the run has played its agent steps, is solved, or is asked to stop (the paper's algorithm PQN)."""
    parts, config, counters = run.parts, run.config, run.parts.counters
    envs, policy, learner = parts.envs, parts.policy, parts.learner
    epsilon, learning_rate = epsilon_schedule(config), learning_rate_schedule(config)
    rollout = Rollout(config.rollout_length, envs)

    s = run.first_observations()
    while run.goes_on():
        start = counters.agent_steps

        # Play T agent steps in every environment with the epsilon-greedy policy of the current theta.
        for t in range(config.rollout_length):
            action, value = policy.act_and_value(s, epsilon(counters.agent_steps))
            next_s, reward, terminated, truncated, info = envs.step(action)
            target_ends = run.target_ends(terminated, info["life_lost"])
            rollout.store(t, s, info["action"], run.learning_reward(reward), value, target_ends)
            if (truncated & ~terminated).any():
                # A truncated episode has a future that was not played: bootstrap from its last observation.
                rollout.cut(t, truncated & ~terminated, policy.q_values(info["final_obs"]).max(axis=1))
            s = next_s
            run.count_step(reward, terminated | truncated)

        # R_t = r_t + gamma ((1 - lambda) max_a Q(s_{t+1}, a) + lambda R_{t+1}).
        next_values = rollout.next_values(last=policy.q_values(s).max(axis=1))
        returns = lambda_returns(
            rollout.rewards,
            config.gamma * (1.0 - rollout.target_ends),
            next_values,
            config.trace_lambda * (1.0 - rollout.truncated),
        )

        # Some epochs of minibatches of (R_t - Q(s_t, a_t; theta))^2, shuffled anew each time.
        for _ in range(config.epochs):
            order = torch.from_numpy(parts.replay_generator.permutation(returns.numel()))
            for chosen in order.split(config.batch_size):
                state, action_taken = rollout.states(chosen), rollout.actions.view(-1)[chosen]
                target = returns.view(-1)[chosen]
                learner.update(
                    Batch(state, action_taken, target, torch.zeros_like(target), state), learning_rate(start)
                )
                counters.updates += 1

        run.do_what_is_due(since=start)
