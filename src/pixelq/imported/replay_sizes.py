"""A replay's capacity and first update as they were there, as far as our replay can hold and draw from it."""

from __future__ import annotations

from typing import Any


def replay_sizes(
    capacity: int, start: int, batch_size: int, *, num_envs: int, frame_stack: int, n_step: int
) -> dict[str, Any]:
    """Fields of `Config`: what was asked, brought into the bounds of `pixelq.loops.replay_loop`.

    Args:
        capacity: transitions, at most.
        start: agent steps before the first update.
        batch_size: transitions.
        num_envs: environments.
        frame_stack: frames of a state.
        n_step: rewards of a target.
    """
    least = num_envs * (frame_stack + n_step)
    capacity = max(capacity, 4 * least, batch_size)
    return {"replay_capacity": capacity, "replay_start": min(max(start, least), capacity)}


def replay_notes(asked: dict[str, int], values: dict[str, Any]) -> list[str]:
    """In words, what became another number.

    Args:
        asked: field of `Config` -> the number there.
        values: from `replay_sizes`.
    """
    return [
        f"{name} would be {number:,}, and is {values[name]:,}, for what a replay must hold"
        for name, number in asked.items()
        if values[name] != number
    ]
