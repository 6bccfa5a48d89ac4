"""Deep Q-learning with experience replay: algorithm 1 of Mnih et al. 2013 and 2015, in the paper's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.loops import Require
from pixelq.loops.minibatch_fields import MINIBATCH_FIELDS
from pixelq.machine.memory import transition_bytes
from pixelq.replay.ahead import minibatches
from pixelq.schedules import crossed, epsilon_schedule, learning_rate_schedule

if TYPE_CHECKING:
    from pixelq.runs.run import Run


def loop(run: Run) -> None:
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

        # With probability epsilon select a random action a_t, otherwise a_t = argmax_a Q(s_t, a; theta); in games with
        # action masks (None elsewhere) among the actions allowed in s_t.
        action_mask = envs.action_masks
        action = policy(state, epsilon(t), action_mask)

        # Execute a_t in the emulator and observe reward r_t and state s_{t+1}.
        next_state, reward, terminated, truncated, info = envs.step(action)

        # Store transition (s_t, a_t, r_t, s_{t+1}) in D; a frame is stored once, however many stacks it is in.
        target_ends = run.target_ends(terminated, info["life_lost"])
        replay.add(
            state,
            info["action"],
            run.learning_reward(reward, target_ends | truncated),
            target_ends,
            terminated | truncated,
            info["final_obs"],
            action_mask,
            info.get("final_action_mask"),
        )
        state = run.observed(next_state)
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


# --- what the loop needs ----------------------------------------------------------------------------------------------

HAS_REPLAY = True
GIVES = "transitions"
OWN_FIELDS = MINIBATCH_FIELDS | {
    "replay_capacity": None,
    "replay_start": None,
    "train_every": None,
    "n_step": 1,
    "sampler": "uniform",
}


def check(config: Config, require: Require) -> None:
    """A replay that holds minibatches and, at the first update, whole transitions of n steps.

    Raises:
        UserError: naming the field that does not fit.
    """
    require(
        config.replay_capacity >= config.batch_size, "replay_capacity", f"at least batch_size ({config.batch_size})"
    )
    require(
        config.replay_start <= config.replay_capacity,
        "replay_start",
        f"at most replay_capacity ({config.replay_capacity})",
    )
    # Until the first update there must be whole n-step transitions to draw a batch from, in every environment.
    least = config.num_envs * (config.frame_stack + config.n_step)
    require(config.replay_start >= least, "replay_start", f"at least num_envs x (frame_stack + n_step) = {least}")
    require(
        config.replay_capacity >= 4 * least,
        "replay_capacity",
        f"at least 4 x num_envs x (stack + n_step) = {4 * least}",
    )


def kept_bytes(config: Config, observed: Box) -> dict[str, int]:
    """Bytes of a full replay."""
    return {"replay_capacity": int(config.replay_capacity * transition_bytes(observed))}


def updates_per_step(config: Config) -> float:
    """One every `train_every` agent steps."""
    return 1 / config.train_every


def learns_from(config: Config, sampler: str) -> str:
    """The replay and its minibatches."""
    return (
        f"{sampler} replay of {config.replay_capacity:,}, from {config.replay_start:,} on {config.batch_size} every "
        f"{config.train_every} agent steps"
    )
