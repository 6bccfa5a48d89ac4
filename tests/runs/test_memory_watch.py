"""A replay of noise, which does not compress, beside the bytes that are free: told early, stopped with a checkpoint."""

import re
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.errors import RunError
from pixelq.machine.memory import transition_bytes
from pixelq.recipes.choice import configure
from pixelq.replay import Replay
from pixelq.runs import memory_watch
from pixelq.runs.memory_watch import MemoryWatch
from pixelq.runs.parts import Parts
from pixelq.runs.run import Run, _memory_watch
from pixelq.runs.session import resume, start

FRAME = (84, 84)
ASSUMED = 450.0


class Noise(gymnasium.Env[Any, Any]):
    """Pictures of random bytes, from the seed it is given; twenty steps a game."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    observation_space = gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def picture(self) -> np.ndarray:
        return self.np_random.integers(0, 256, (64, 64, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return self.picture(), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        return self.picture(), float(action), self.t >= 20, False, {}


gymnasium.register("Memory/Noise-v0", entry_point=Noise)


def replay_of(capacity: int, num_envs: int = 1) -> Replay:
    return Replay(capacity, num_envs, FRAME, stack=2, n_step=1, gamma=0.9)


def fill(replay: Replay, steps: int, *, noisy: bool, seed: int = 0) -> None:
    random, n = np.random.default_rng(seed), replay.num_envs
    no, state = np.zeros(n, bool), np.zeros((n, 2, *FRAME), np.uint8)
    for _ in range(steps):
        if noisy:
            state = random.integers(0, 256, state.shape, np.uint8)
        replay.add(state, np.zeros(n, int), np.zeros(n, np.float32), no, no, state)


def watch(replay: Replay, free: int, swap: int = 0) -> MemoryWatch:
    """Of an empty replay; afterwards `free` bytes are free, less what the replay grows by."""
    empty, now = replay.nbytes, iter(range(10**6))
    return MemoryWatch(
        replay, ASSUMED, 0, lambda: free + empty - replay.nbytes, lambda: swap, clock=lambda: float(next(now))
    )


@pytest.fixture
def small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must stay free is in proportion to these small replays."""
    monkeypatch.setattr(memory_watch, "WORKING_BYTES", 200_000)


@pytest.mark.usefixtures("small_reserve")
def test_noise_is_told_once_long_before_memory_ends_with_what_is_needed_what_is_there_and_what_fits() -> None:
    replay = replay_of(2_000)
    watched = watch(replay, free=6 * 10**6)  # of 14 million bytes that 2,000 frames of noise take
    told = []
    for step in range(300):
        fill(replay, 1, noisy=True, seed=step)
        warning, reason = watched.look()
        assert reason == ""
        if warning:
            told.append((step, warning))
    ((step, line),) = told
    assert step <= memory_watch.LEAST_ROWS
    assert ", not the 450 bytes assumed, so the replay needs" in line
    each, needed, free = (float(n) for n in re.findall(r"([\d.]+) [kM]B", line))
    assert each == pytest.approx(7.1, abs=0.15)
    assert needed == pytest.approx(1_900 * 7.1e-3, rel=0.03)
    assert free == pytest.approx(6 - 100 * 7.1e-3, abs=0.1)
    assert re.search(r"at about 7\d0 of 2,000 transitions; .* --replay-capacity 7\d0, which fits$", line)


@pytest.mark.usefixtures("small_reserve")
def test_the_capacity_that_is_said_to_fit_fits() -> None:
    first = replay_of(2_000)
    watched = watch(first, free=6 * 10**6)
    fill(first, 150, noisy=True)
    capacity = int(watched.look()[0].rpartition("--replay-capacity ")[2].split(",")[0])
    second = replay_of(capacity)
    watched = watch(second, free=6 * 10**6)
    for step in range(capacity + 100):
        fill(second, 1, noisy=True, seed=step)
        assert watched.look() == ("", "")
    assert capacity > 600


@pytest.mark.usefixtures("small_reserve")
def test_a_run_is_to_stop_while_what_a_checkpoint_needs_is_still_free_and_not_before() -> None:
    replay = replay_of(2_000)
    watched, empty = watch(replay, free=3 * 10**6), replay.nbytes
    for step in range(2_000):
        fill(replay, 1, noisy=True, seed=step)
        _, reason = watched.look()
        free = 3 * 10**6 + empty - replay.nbytes
        if reason:
            break
        assert free >= watched.reserve
    assert watched.reserve > free > watched.reserve - 8 * 8_000  # a block at a time
    assert f"which holds {step} of 2,000 transitions of" in reason
    assert "needs 1" in reason
    assert "MB more" in reason


@pytest.mark.usefixtures("small_reserve")
def test_frames_as_they_were_assumed_and_a_full_replay_are_left_alone() -> None:
    replay = replay_of(1_000)
    watched = watch(replay, free=1_000_000)
    for _ in range(600):
        fill(replay, 2, noisy=False)
        assert watched.look() == ("", "")


@pytest.mark.usefixtures("small_reserve")
def test_free_swap_keeps_a_run_going_but_not_unwarned() -> None:
    replay = replay_of(2_000)
    watched = watch(replay, free=2 * 10**6, swap=10**9)
    seen = []
    for step in range(400):
        fill(replay, 1, noisy=True, seed=step)
        seen.append(watched.look())
    assert [reason for _, reason in seen if reason] == []
    assert len([warning for warning, _ in seen if warning]) == 1


def test_where_nothing_tells_what_is_free_nothing_is_watched() -> None:
    replay = replay_of(200)
    watched = MemoryWatch(replay, ASSUMED, 0, lambda: None, lambda: 0)
    fill(replay, 150, noisy=True)
    assert watched.look() == ("", "")
    assert watched.fitting_capacity() == 200


def test_it_looks_at_most_twice_a_second() -> None:
    replay, looks, now = replay_of(1_000), [], [0.0]

    def free() -> int:
        looks.append(now[0])
        return 10**9

    watched = MemoryWatch(replay, ASSUMED, 0, free, lambda: 0, lambda: now[0])
    for _ in range(100):
        now[0] += 0.05
        watched.look()
    assert len(looks) == pytest.approx(10, abs=1)


@settings(max_examples=25, deadline=None)
@given(num_envs=st.integers(1, 3), rows=st.integers(110, 200), noisy=st.booleans(), free=st.integers(0, 40 * 10**6))
def test_a_run_that_will_be_stopped_is_warned_first(num_envs: int, rows: int, noisy: bool, free: int) -> None:
    """Unless memory is about to end at the first look; and who is not warned has room for all that is to come."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory_watch, "WORKING_BYTES", 200_000)
        replay = replay_of(1_500, num_envs)
        watched, empty = watch(replay, free), replay.nbytes
        fill(replay, rows, noisy=noisy)
        warning, reason = watched.look()
        left = free + empty - replay.nbytes
        to_come = (1_500 - len(replay)) * (replay.nbytes - empty) / len(replay)
        if warning == reason == "":
            assert left >= to_come
        if reason:
            assert left < watched.reserve


def test_the_assumed_bytes_are_those_a_run_is_let_begin_with_and_noise_takes_sixteen_times_as_much() -> None:
    space = gymnasium.spaces.Box(0, 255, (4, *FRAME), np.uint8)
    assert transition_bytes(space) == pytest.approx(ASSUMED)
    replay = replay_of(800)
    empty = replay.nbytes
    fill(replay, 800, noisy=True)
    assert 15 < (replay.nbytes - empty) / 800 / ASSUMED < 16.5


# --- in a run ---------------------------------------------------------------------------------------------------------


def noisy_run() -> Config:
    tiny = {"torso": "plain", "torso_options": {"channels": [2], "kernels": [8], "strides": [8], "hidden": [8]}}
    every = {"steps": 700, "eval_every": 0, "checkpoint_every": 0, "log_every": 500, "threads": 1, "device": "cpu"}
    replay = {"loop": "replay", "replay_capacity": 2_000, "replay_start": 650, "batch_size": 4, "num_envs": 1}
    images = {"screen_size": 0, "grayscale": False, "frame_stack": 2, "frame_skip": 1}
    return configure("Memory/Noise-v0", "gymnasium-pixels", tiny | every | replay | images)


def test_a_run_whose_replay_does_not_fit_is_stopped_with_a_checkpoint_that_goes_on_where_there_is_room(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replays: list[Replay] = []

    def watched(parts: Parts) -> MemoryWatch | None:
        assert parts.replay is not None
        replays.append(parts.replay)
        return _memory_watch(parts)

    with monkeypatch.context() as patched:
        patched.setattr(memory_watch, "WORKING_BYTES", 200_000)
        patched.setattr(memory_watch, "LOOK_SECONDS", 0.0)
        patched.setattr("pixelq.runs.run._memory_watch", watched)
        patched.setattr("pixelq.runs.run.free_swap", lambda: 0)
        patched.setattr("pixelq.runs.run.available_memory", lambda: 6 * 10**6 - replays[-1].nbytes)
        with pytest.raises(RunError) as stopped:
            start(noisy_run(), Path("r"))
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("memory will not last")]
    assert len(told) == 1
    assert "a transition takes 13." in told[0]  # 12.3, and a twentieth more for the last frames of games
    assert "not the 772 bytes assumed" in told[0]
    message = str(stopped.value)
    assert message.startswith("memory is about to end: ")
    assert "everything is saved: make room, then `pixelq resume r` goes on from the last good checkpoint" in message
    saved = max(Path("r/checkpoints").glob("step-*"))
    assert 200 < int(saved.name.removeprefix("step-")) < 600
    assert saved.name in message
    assert resume(Path("r")).agent_steps == 700


def test_a_run_without_a_replay_is_not_watched() -> None:
    run = Run(configure("CartPole-v1", "gymnasium", {"device": "cpu", "num_envs": 2, "batch_size": 2}))
    try:
        assert run._memory is None
    finally:
        run.parts.close()
