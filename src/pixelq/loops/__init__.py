"""The training loops, a page each, found by name.

They are replay (DQN and its family), overlapped (the same, learning while the emulators play), recurrent_replay (DRQN
and R2D2: with a memory), parallel (PQN), recurrent_parallel (PQN with a memory) and stream (Stream Q).

A file `<name>_loop.py` has a function `loop(run)`, which trains until `run.goes_on()` is false, and may have a
dataclass `Options`, whose values are `config.loop_options`. It may also say

- `Learner`: the class of what learns, made as `Learner(network, config, device, noise)`; without it,
  `pixelq.learner.learner.Learner`. What a run asks of it is `pixelq.learner.Learning`; what the loop asks is between
  the two, but for `update(batch, learning_rate)`, which `pixelq bench` asks, too;
- `GIVES`: what it hands to its loss, in a word: transitions (of a replay, or what else has a target network), rollouts
  (played in order, T agent steps of each environment) or stream (each transition once, at once), or another word, for
  which a loss of one's own says `TAKES`. Without it, transitions if it has a replay; else a loss that says nothing of
  loops, or names this one, goes with it;
- `HAS_REPLAY = True`: a replay memory is built for it, and is a part of its checkpoints;
- `build_replay(config, network, make_sampler, sizes)`: that memory, of what `sizes` say of `BaseReplay`'s arguments;
  without it, a `Replay`. `make_sampler(num_envs, size, every)` makes the recipe's sampler, `every` as in
  `pixelq.replay.samplers`;
- `WITH_MEMORY_AS = "parallel"`: it is made for networks with a memory (`Config.memory`), and for others the loop of
  this name does the same; without it, networks with a memory are refused;
- `WITH_MEMORY = "recurrent_replay"`: the loop that `--memory` brings in its place, where that one names another;
- `OWN_FIELDS`: fields of `Config` that have an effect in this loop (and in others that say so) alone, each with the
  value that says what is so without it, or None;
- `check(config, require)`: what fits together, as `pixelq.recipes.validation` calls it;
- `kept_bytes(config, observed)`: bytes of what it keeps of the past, by the field or option that decides them;
- `least_capacity(config)`: transitions that its replay must have room for; without it, 0;
- `updates_per_step(config)`: updates for one agent step; without it, 1;
- `learns_from(config, sampler)`: in words, for a person who compares runs; `sampler` in words, too.

What a loop is given is a `pixelq.runs.run.Run`. It may read `run.config`, and of `run.parts`: `envs` (a vector of N
environments: `step`, `action_masks`), `policy` (called for actions `(N,)`; `act_and_value`, `act_and_greedy`,
`q_values`, `recurrent_state`, `forget`), `learner`, `replay` (None without `HAS_REPLAY`), `replay_generator` (for
whatever it draws: its state is in every checkpoint), `device` and `counters`. It keeps nothing of its own from one
iteration to the next but the last observations: a resumed run calls it anew. It has to call

- `state = run.first_observations()` once, at the beginning: `(N, stack, ...)`, of new episodes or of those left open;
- `run.goes_on()` before each iteration, which is one agent step or more in each environment; if false, it returns;
- `run.target_ends(terminated, info["life_lost"])` for bool `(N,)`: where the target has no future term;
- `run.learning_reward(reward, target_ends | truncated)`, once for each agent step, for float32 `(N,)`: the rewards as
  learning sees them;
- `state = run.observed(next_state)` with all observations that are acted on, which the network's statistics count;
- `run.count_step(reward, terminated | truncated)` after each agent step, with the game's own rewards: it adds N to
  `counters.agent_steps` and counts episodes. The loop itself adds 1 to `counters.updates` for each update;
- `run.do_what_is_due(since=t)` at the end of each iteration, with the agent steps t at its beginning: logs, test games
  and checkpoints, from which a run goes on exactly if all that the next iteration needs is in the run's parts.

Epsilon and the learning rate at an agent step are `epsilon_schedule(config)` and `learning_rate_schedule(config)` of
`pixelq.schedules`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.own_code import told_as_own_code
from pixelq.variants import KINDS, from_outside

if TYPE_CHECKING:
    from gymnasium.spaces import Box

Require = Callable[[bool, str, str], None]
"""`require(good, field, rule)`: refuses the field's value with the rule, where it is not good."""


def has_replay(config: Config) -> bool:
    """Whether the recipe's loop has a replay memory."""
    return bool(_said(config, "HAS_REPLAY", False))


def gives(loop: str) -> str | None:
    """What a loop hands to its loss, in its own word; None: it does not say."""
    found = KINDS["loop"].find(loop)
    given: str | None = getattr(found, "GIVES", None)
    return "transitions" if given is None and getattr(found, "HAS_REPLAY", False) else given


def check(config: Config, require: Require) -> None:
    """Let the recipe's loop check what fits together.

    Raises:
        UserError: something does not.
    """
    plain = without_memory(config.loop)
    if config.memory != "none" and plain is None:
        carry = " or ".join(name for name in KINDS["loop"].names() if without_memory(name))
        raise UserError(
            f"memory = {config.memory} does not go with the {config.loop} loop, which does not learn from whole "
            f"sequences; use --loop {carry}, or --memory none"
        )
    if config.memory == "none" and plain is not None:
        raise UserError(
            f"loop = {config.loop} is made for a network with a memory; use --memory lstm, or --loop {plain}"
        )
    with told_as_own_code(from_outside(config, ("loop",)), "asked for its check"):
        _said(config, "check", lambda config, require: None)(config, require)


def without_memory(loop: str) -> str | None:
    """The loop that does for networks without a memory what this one does for those with one; None: it does not."""
    plain: str | None = getattr(KINDS["loop"].find(loop), "WITH_MEMORY_AS", None)
    return plain


def with_memory(loop: str) -> str | None:
    """The loop that does for networks with a memory what this one does for others; None: there is none."""
    named: str | None = getattr(KINDS["loop"].find(loop), "WITH_MEMORY", None)
    return named or next((name for name in KINDS["loop"].names() if without_memory(name) == loop), None)


def kept_bytes(config: Config, observed: Box) -> dict[str, int]:
    """Bytes of what the recipe's loop keeps of the past, by the field or option that decides them."""
    kept: dict[str, int] = _asked(dict, "kept_bytes", lambda config, observed: {}, config, observed)
    return kept


def least_capacity(config: Config) -> int:
    """Transitions that the replay of the recipe's loop must have room for."""
    least: int = _asked(int, "least_capacity", lambda config: 0, config)
    return least


def updates_per_step(config: Config) -> float:
    """Updates for one agent step."""
    updates: float = _asked(float, "updates_per_step", lambda config: 1.0, config)
    return updates


def learns_from(config: Config, sampler: str) -> str:
    """What the recipe's loop learns from, in words."""
    words: str = _asked(str, "learns_from", lambda config, sampler: f"as the loop {config.loop}", config, sampler)
    return words


def own_fields() -> dict[str, tuple[list[str], Any]]:
    """Fields that not every loop uses -> the loops that do, and the value that says what is so without them."""
    found: dict[str, tuple[list[str], Any]] = {}
    for name in KINDS["loop"].names():
        with contextlib.suppress(UserError):  # of an installed one that cannot be imported, and is not chosen here
            for field, nothing in fields_of(name).items():
                found.setdefault(field, ([], nothing))[0].append(name)
    return found


def fields_of(loop: str) -> dict[str, Any]:
    """Fields that not every loop uses, of those that this one does: field -> the value that says what is so without."""
    found: dict[str, Any] = getattr(KINDS["loop"].find(loop), "OWN_FIELDS", {})
    if unknown := [name for name in found if name not in Config.__dataclass_fields__]:
        raise UserError(f"loop {loop!r}: its OWN_FIELDS names {unknown[0]!r}, which is no field of the recipe")
    return found


def _said(config: Config, name: str, otherwise: Any) -> Any:
    return getattr(KINDS["loop"].find(config.loop), name, otherwise)


def _asked(kind: type, name: str, otherwise: Callable[..., Any], config: Config, *given: Any) -> Any:
    """What a function of the recipe's loop says, as `kind`, or `otherwise`, where it has none of that name.

    Raises:
        UserError: the loop is from outside, and its function fails, or says something else.
    """
    with told_as_own_code(from_outside(config, ("loop",)), f"asked for its {name}"):
        return kind(_said(config, name, otherwise)(config, *given))
