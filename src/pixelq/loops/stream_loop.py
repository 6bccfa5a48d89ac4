"""Stream Q(lambda): learns from every agent step once, at once, and keeps none (Elsayed et al. 2024, 2410.14606)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pixelq.config import Config
from pixelq.learner.stream_learner import StreamLearner
from pixelq.loops import Require
from pixelq.replay.batch import Batch
from pixelq.schedules import epsilon_schedule, learning_rate_schedule

if TYPE_CHECKING:
    from pixelq.runs.run import Run


def loop(run: Run) -> None:
    """Train until the run has played its agent steps, is solved, or is asked to stop (the paper's algorithm 3)."""
    parts, config, counters = run.parts, run.config, run.parts.counters
    envs, policy, learner = parts.envs, parts.policy, parts.learner
    epsilon, alpha = epsilon_schedule(config), learning_rate_schedule(config)

    state = run.first_observations()
    while run.goes_on():
        t = counters.agent_steps

        # With probability epsilon a random action A, otherwise argmax_a q(S, a; w).
        action_mask = envs.action_masks
        action, greedy = policy.act_and_greedy(state, epsilon(t), action_mask)

        # Take A, observe R and S'. The running statistics that normalise states and scale rewards count them first.
        next_state, reward, terminated, truncated, info = envs.step(action)
        game_over = terminated | truncated
        target_ends = run.target_ends(terminated, info["life_lost"])
        scaled_reward = run.learning_reward(reward, target_ends | truncated)
        following = run.observed(info["final_obs"] if game_over.any() else next_state)

        # delta = R + gamma max_a q(S', a; w) - q(S, A; w); z = gamma lambda z + grad q(S, A; w); w += step delta z.
        # After an action that was not greedy, and at an episode's end, z = 0: later errors are not those of this step.
        arrays = [state, info["action"], scaled_reward, np.float32(config.gamma) * ~target_ends, following]
        arrays += [] if action_mask is None else [action_mask, info["final_action_mask"]]
        transition = Batch.unweighted(*(torch.from_numpy(x) for x in arrays))
        traces_end = target_ends | truncated | (info["action"] != greedy)
        learner.update(transition, alpha(t), bool(traces_end.any()))
        counters.updates += 1

        state = run.observed(next_state) if game_over.any() else next_state
        run.count_step(reward, game_over)
        run.do_what_is_due(since=t)


# --- what the loop needs ----------------------------------------------------------------------------------------------

Learner = StreamLearner
GIVES = "stream"
OWN_FIELDS: dict[str, object] = {}


@dataclass(frozen=True)
class Options:
    """Options of the stream loop; the defaults are those of stream_q_atari.py."""

    trace_lambda: float = 0.8
    """lambda: with gamma the decay of the traces, 0 (only this step) to 1."""
    kappa: float = 2.0
    """How far below the bound of overshooting a step stays; at least 1, the bound itself."""

    def __post_init__(self) -> None:
        if not 0 <= self.trace_lambda <= 1:
            raise ValueError(f"trace_lambda = {self.trace_lambda} must be between 0 and 1")
        if not 1 <= self.kappa <= 1e6:
            raise ValueError(f"kappa = {self.kappa} must be between 1 and a million")


def check(config: Config, require: Require) -> None:
    """One environment, one transition, and nothing that is kept.

    Raises:
        UserError: naming the field that does not fit.
    """
    require(config.num_envs == 1, "num_envs", "1 in the stream loop, which learns from one stream")
    require(config.batch_size == 1, "batch_size", "1 in the stream loop, which learns from each agent step at once")
    require(config.target == "none", "target", "none in the stream loop (it bootstraps from the network itself)")
    require(config.averaged_network_tau == 0, "averaged_network_tau", "0 in the stream loop")
    require(config.n_step == 1, "n_step", "1 in the stream loop, whose traces do the same (--trace-lambda)")
    require(config.sampler == "uniform", "sampler", "uniform in the stream loop, which has no replay to sample from")


def learns_from(config: Config, sampler: str) -> str:
    """One transition at a time."""
    return "each agent step at once and once"
