"""Deep Q-learning with experience replay in which the emulators play while the learner learns, as in BTR's code.

With a GPU and many environments the emulators take the processor about as long as the updates take the card. Here
neither waits for the other, at a price: the updates that are due after an iteration are made during the next one, so
its actions are of the network before them, as if every update came one agent step of each environment later.

Source: main.py of BTR's code (arXiv 2411.03820), which calls `step_async`, then `learn`, then `step_wait`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pixelq.envs.seeded_episodes import EnvironmentFailedError
from pixelq.loops import replay_loop
from pixelq.loops.replay_loop import GIVES, HAS_REPLAY, OWN_FIELDS, check, kept_bytes, updates_per_step
from pixelq.replay.ahead import minibatches
from pixelq.schedules import crossed, epsilon_schedule, learning_rate_schedule

if TYPE_CHECKING:
    from pixelq.config import Config
    from pixelq.runs.run import Run

LONGEST_STEP = 60.0
"""Seconds that what ends the loop waits for a step that is being played; a further Ctrl-C ends the wait."""

Result = TypeVar("Result")
__all__ = ["GIVES", "HAS_REPLAY", "OWN_FIELDS", "check", "kept_bytes", "learns_from", "loop", "updates_per_step"]


def loop(run: Run) -> None:
    """Train until the run has played its agent steps, is solved, or is asked to stop.

    As `pixelq.loops.replay_loop`, whose comments name the paper's lines, with the learning one iteration later.
    """
    parts, config, counters = run.parts, run.config, run.parts.counters
    envs, policy, replay, learner = parts.envs, parts.policy, parts.replay, parts.learner
    assert replay is not None
    epsilon, learning_rate = epsilon_schedule(config), learning_rate_schedule(config)

    state = run.first_observations()
    while run.goes_on():
        t = counters.agent_steps
        action_mask = envs.action_masks
        action = policy(state, epsilon(t), action_mask)
        playing = in_a_thread(partial(envs.step, action))

        # What was due after the agent steps of the iteration before.
        before, updates = t - config.num_envs, 0
        if t >= config.replay_start:
            updates = t // config.train_every - before // config.train_every
        try:
            for batch in minibatches(replay, updates, config.batch_size, parts.replay_generator, parts.device):
                priority = learner.update(batch, learning_rate(before))
                replay.learned(batch.rows, priority)
                counters.updates += 1
            if t >= config.replay_start and crossed(before, t, config.target_every):
                learner.copy_to_target()
            next_state, reward, terminated, truncated, info = playing.result()
        except EnvironmentFailedError as error:
            error.state_is_whole = error.state_is_whole and updates == 0  # else the learner is further than they are
            raise
        except BaseException:  # a second Ctrl-C, too
            wait([playing], LONGEST_STEP)  # nobody closes the environments while they play
            raise
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
        run.do_what_is_due(since=t)


def in_a_thread(call: Callable[[], Result]) -> Future[Result]:
    """What a call returns or raises, of a thread that nobody waits for at the end of the process.

    Where a Ctrl-C interrupts this, the call is not made, or has ended.
    """
    future: Future[Result] = Future()

    def make() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(call())
        except BaseException as error:  # as if the caller had made the call
            future.set_exception(error)

    try:
        threading.Thread(target=make, name="emulators", daemon=True).start()
    except BaseException:
        if not future.cancel():
            wait([future], LONGEST_STEP)
        raise
    return future


# --- what the loop needs ----------------------------------------------------------------------------------------------

WITH_MEMORY = "recurrent_replay"


def learns_from(config: Config, sampler: str) -> str:
    """As the replay loop, but when it does."""
    return f"{replay_loop.learns_from(config, sampler)}, one iteration later"
