"""Deep recurrent Q-learning with experience replay: DRQN (arXiv 1507.06527) and R2D2 (Kapturowski et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.loops import Require, replay_loop
from pixelq.named_objects import innermost
from pixelq.networks import Network, network_sizes
from pixelq.networks.recurrent_network import RecurrentNetwork
from pixelq.replay.ahead import minibatches
from pixelq.replay.samplers import Sampler
from pixelq.replay.sequence_replay import SequenceReplay, Sequencing
from pixelq.schedules import crossed, epsilon_schedule, learning_rate_schedule
from pixelq.variants import KINDS

if TYPE_CHECKING:
    from pixelq.runs.run import Run


def loop(run: Run) -> None:
    """Train until the run has played its agent steps, is solved, or is asked to stop.

    It is the replay loop, whose network also knows h_t, what it remembers before s_t; so it learns from whole
    sequences.
    """
    parts, config, counters = run.parts, run.config, run.parts.counters
    envs, policy, replay, learner = parts.envs, parts.policy, parts.replay, parts.learner
    assert isinstance(replay, SequenceReplay)
    epsilon, learning_rate = epsilon_schedule(config), learning_rate_schedule(config)

    state = run.first_observations()
    while run.goes_on():
        t = counters.agent_steps

        # With probability epsilon select a random action a_t, otherwise a_t = argmax_a Q(s_t, h_t, a; theta), which
        # also gives h_{t+1}: the policy remembers it from here on.
        action_mask, recurrent_state = envs.action_masks, policy.recurrent_state
        action = policy(state, epsilon(t), action_mask)

        # Execute a_t in the emulator and observe reward r_t and state s_{t+1}.
        next_state, reward, terminated, truncated, info = envs.step(action)

        # Store (s_t, a_t, r_t, s_{t+1}) in D, and h_t where a sequence begins.
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
            recurrent_state=recurrent_state,
        )
        # Where an episode ends, or a life that the target takes for one, h_{t+1} = 0.
        policy.forget(target_ends | truncated)
        state = run.observed(next_state)
        run.count_step(reward, terminated | truncated)

        if counters.agent_steps >= config.replay_start:
            updates = counters.agent_steps // config.train_every - t // config.train_every
            # Sample random minibatches of sequences s_j, a_j, r_j, s_{j+1}, ... from D, one for each update.
            for batch in minibatches(replay, updates, config.batch_size, parts.replay_generator, parts.device):
                # Gradient step on (y_j - Q(s_j, h_j, a_j; theta))^2, where theta of now makes h_j, h_{j+1}, ... again
                # from the recurrent state before the burn-in; y_j as in pixelq/losses/<loss>.py.
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
WITH_MEMORY_AS = "replay"
OWN_FIELDS = replay_loop.OWN_FIELDS


@dataclass(frozen=True)
class Options:
    """Options of the loop: what a sequence is. The defaults make four sequences of a minibatch of 32."""

    sequence_length: int = 8
    """Agent steps that are learned from together, through which the gradient goes back (T)."""
    burn_in: int = 4
    """Agent steps before them by which the memory is brought up to date, without a gradient (b)."""
    sequence_every: int = 8
    """Agent steps from the beginning of a sequence to that of the next; they overlap where it is below T."""
    sequence_start: Literal["stored", "zero"] = "stored"
    """Recurrent state before a sequence: stored, what the network had when it played there (R2D2), or zero (DRQN)."""
    priority_max_share: float = 0.9
    """Share of the largest priority of a sequence in its own; the rest is their mean's (eta)."""

    def __post_init__(self) -> None:
        for name, least in (("sequence_length", 1), ("burn_in", 0), ("sequence_every", 1)):
            if not least <= getattr(self, name) <= 10_000:
                raise ValueError(f"{name} = {getattr(self, name)} must be between {least} and 10,000")
        if not 0 <= self.priority_max_share <= 1:
            raise ValueError(f"priority_max_share = {self.priority_max_share} must be between 0 and 1")


def build_replay(
    config: Config, network: Network, make_sampler: Callable[[int, int, int], Sampler], sizes: dict[str, Any]
) -> SequenceReplay:
    """The replay memory; see `pixelq.loops`."""
    assert isinstance(network, RecurrentNetwork)
    options = _options(config)
    sequencing = Sequencing(
        options.sequence_length,
        options.burn_in,
        options.sequence_every,
        stored=options.sequence_start == "stored",
        priority_max_share=options.priority_max_share,
    )
    return SequenceReplay(
        **sizes,
        sequencing=sequencing,
        recurrent_size=network.recurrent_size,
        make_sampler=lambda num_envs, size: make_sampler(num_envs, size, options.sequence_every),
    )


def check(config: Config, require: Require) -> None:
    """Minibatches of whole sequences, and a replay that has one at the first update and ever after.

    Raises:
        UserError: naming the field that does not fit.
    """
    options = _options(config)
    require(
        config.batch_size % options.sequence_length == 0,
        "batch_size",
        f"a multiple of sequence_length ({options.sequence_length}), because a network with a memory learns from whole "
        "sequences",
    )
    window = options.burn_in + options.sequence_length + config.n_step
    require(
        config.replay_start >= config.num_envs * window,
        "replay_start",
        f"at least num_envs x (burn_in + sequence_length + n_step) = {config.num_envs * window}, a whole sequence in "
        "each environment",
    )
    least = least_capacity(config)
    require(
        config.replay_capacity >= least,
        "replay_capacity",
        f"at least num_envs x (burn_in + sequence_length + n_step + sequence_every) = {least}",
    )
    replay_loop.check(config, require)
    share, sampler = options.priority_max_share, innermost(KINDS["sampler"].find(config.sampler).Sampler)
    if share != Options.priority_max_share and not sampler.uses_priorities:
        raise UserError(
            f"priority_max_share = {share} would have no effect: samplers that go by priorities use it, and this run "
            f"has --sampler {config.sampler}; leave out --priority-max-share, or add --prioritized"
        )


def least_capacity(config: Config) -> int:
    """Transitions that the replay must have room for, so that each environment has a whole sequence at any time.

    A game's last frame takes a row, too, so that the start of a sequence may lie anywhere.
    """
    options = _options(config)
    return config.num_envs * (options.burn_in + options.sequence_length + config.n_step + options.sequence_every)


def kept_bytes(config: Config, observed: Box) -> dict[str, int]:
    """Bytes of a full replay, with a recurrent state for each sequence, and of a minibatch's states around those that
    are learned from, which stand in it as they are stored and once in float32."""
    options = _options(config)
    kept = replay_loop.kept_bytes(config, observed)["replay_capacity"]
    if options.sequence_start == "stored":
        size = network_sizes(config, observed, num_actions=1).recurrent_size
        kept += config.replay_capacity // options.sequence_every * 4 * size
    sequences = config.batch_size // options.sequence_length
    around = sequences * (options.burn_in + config.n_step) * math.prod(observed.shape) * (observed.dtype.itemsize + 4)
    return {"replay_capacity": kept, "batch_size": around}


def updates_per_step(config: Config) -> float:
    """One every `train_every` agent steps."""
    return replay_loop.updates_per_step(config)


def learns_from(config: Config, sampler: str) -> str:
    """The replay, from which sequences are drawn."""
    return f"{replay_loop.learns_from(config, sampler)}, in whole sequences"


def _options(config: Config) -> Options:
    options: Options = KINDS["loop"].read_options(config.loop, config.loop_options)
    return options
