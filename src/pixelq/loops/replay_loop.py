"""Deep Q-learning with experience replay: algorithm 1 of Mnih et al. 2013 and 2015, in the paper's order."""

from __future__ import annotations

from pixelq.replay.ahead import minibatches
from pixelq.runs.run import Run
from pixelq.schedules import crossed, epsilon_schedule, learning_rate_schedule


def replay_loop(run: Run) -> None:
    """Train until the run has played its agent steps, is solved, or is asked to stop.

    With several environments an iteration takes one agent step in each; updates and target copies are counted in
    agent steps, so their ratio is the recipe's whatever the number of environments.
    """
    parts, config, counters = run.parts, run.config, run.parts.counters
    envs, policy, replay, learner = parts.envs, parts.policy, parts.replay, parts.learner
    assert replay is not None
    epsilon, learning_rate = epsilon_schedule(config), learning_rate_schedule(config)

    state = run.first_observations()
    while run.goes_on():
        t = counters.agent_steps

        # With probability epsilon select a random action a_t, otherwise a_t = argmax_a Q(s_t, a; theta).
        action = policy(state, epsilon(t))

        # Execute a_t in the emulator and observe reward r_t and state s_{t+1}.
        next_state, reward, terminated, truncated, info = envs.step(action)

        # Store transition (s_t, a_t, r_t, s_{t+1}) in D; a frame is stored once, however many stacks it is in.
        replay.add(
            state,
            info["action"],
            run.learning_reward(reward),
            run.target_ends(terminated, info["life_lost"]),
            terminated | truncated,
            info["final_obs"],
        )
        state = next_state
        run.count_step(reward, terminated | truncated)

        if counters.agent_steps >= config.replay_start:
            updates = counters.agent_steps // config.train_every - t // config.train_every
            # Sample random minibatches of transitions (s_j, a_j, r_j, s_{j+1}) from D, one for each update.
            for batch in minibatches(replay, updates, config.batch_size, parts.replay_generator, parts.device):
                # Gradient step on (y_j - Q(s_j, a_j; theta))^2; y_j as in pixelq/losses/<loss>.py.
                priority = learner.update(batch, learning_rate(t))
                replay.learned(batch.rows, priority)
                counters.updates += 1

            # Every C agent steps: theta- = theta.
            if crossed(t, counters.agent_steps, config.target_every):
                learner.copy_to_target()

        run.do_what_is_due(since=t)
