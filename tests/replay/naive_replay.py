"""The reference: whole observation stacks of every step in plain lists, and transitions read off one by one."""

from dataclasses import dataclass

import numpy as np
import torch

from pixelq.replay import Batch, Replay

FRAME_SHAPE = (5, 7)
FRAMES = {np.uint8: FRAME_SHAPE, np.float32: (3,)}
"""Shape of a frame by its dtype: images of bytes, vectors of floats."""


@dataclass
class Step:
    """One agent step of one environment, with both observations whole; `action` is None in an episode's final row."""

    observation: np.ndarray
    action: int | None
    reward: float = 0.0
    terminated: bool = False
    over: bool = False
    next_observation: np.ndarray | None = None


@dataclass
class Transition:
    state: np.ndarray
    action: int
    return_n: float
    discount_n: float
    next_state: np.ndarray
    row: tuple[int, int]
    """Environment and position of its first row."""


class NaiveReplay:
    """Takes the same `add` as Replay and keeps everything for ever."""

    def __init__(self, capacity: int, num_envs: int, n_step: int, gamma: float):
        self.rows_per_env = -(-capacity // num_envs)
        self.n_step, self.gamma = n_step, gamma
        self.rows: list[list[Step]] = [[] for _ in range(num_envs)]

    def add(self, observation, action, reward, terminated, episode_over, final_observation):
        for env, rows in enumerate(self.rows):
            if rows and rows[-1].action is not None:
                rows[-1].next_observation = observation[env].copy()
            step = Step(observation[env].copy(), int(action[env]), float(reward[env]), bool(terminated[env]))
            step.over = bool(episode_over[env])
            rows.append(step)
            if step.over:
                step.next_observation = final_observation[env].copy()
                rows.append(Step(step.next_observation, None))

    def transitions(self) -> dict[int, Transition]:
        """Every transition that may be drawn, by the identity of its newest frame."""
        found = {}
        for env, rows in enumerate(self.rows):
            for i in range(max(0, len(rows) - self.rows_per_env), len(rows)):
                transition = self._transition(env, i)
                if transition is not None:
                    found[identity(transition.state)] = transition
        return found

    def _transition(self, env: int, i: int) -> Transition | None:
        rows = self.rows[env]
        first = rows[i]
        if first.action is None:
            return None
        total, discount = 0.0, 1.0
        for step in rows[i : i + self.n_step]:
            total += discount * step.reward
            discount *= self.gamma
            last = step
            if step.terminated or step.over:
                break
        else:
            if len(rows) < i + self.n_step:
                return None
        if last.next_observation is None:
            return None
        if last.terminated:
            discount = 0.0
        return Transition(first.observation, first.action, total, discount, last.next_observation, (env, i))


class Play:
    """Random episodes in several environments at once. Every frame shows its own number, so no two are equal."""

    def __init__(
        self, num_envs: int, stack: int, mean_length: float, generator: np.random.Generator, frame_shape=(),
        dtype: type = np.uint8,
    ):  # fmt: skip
        self.generator, self.mean_length = generator, mean_length
        self.frame_shape = frame_shape or FRAMES[dtype]
        self.frames_shown = 0
        self.observation = np.zeros((num_envs, stack, *self.frame_shape), dtype)
        for env in range(num_envs):
            self._reset(env)

    def step(self) -> tuple[np.ndarray, ...]:
        """Arguments of one `add`. Ends come by chance: terminations, truncations, both at once, and lost lives."""
        n = len(self.observation)
        before = self.observation.copy()
        ends = self.generator.random(n) < 1 / self.mean_length
        kind = self.generator.integers(0, 4, n)  # 0: terminated, 1: truncated, 2: both, 3: a lost life
        terminated = ends & (kind != 1)
        over = ends & (kind != 3)
        # What a vector environment leaves in rows without an end is meaningless: make it poison.
        final = np.full_like(self.observation, 255 if self.observation.dtype == np.uint8 else np.nan)
        for env in range(n):
            self.observation[env] = np.roll(self.observation[env], -1, axis=0)
            self.observation[env, -1] = self._frame()
            if over[env]:
                final[env] = self.observation[env]
                self._reset(env)
        action = self.generator.integers(0, 18, n)
        reward = self.generator.normal(size=n).astype(np.float32)
        return before, action, reward, terminated, over, final

    def _reset(self, env: int) -> None:
        self.observation[env] = 0
        self.observation[env, -1] = self._frame()

    def _frame(self) -> np.ndarray:
        self.frames_shown += 1
        if self.observation.dtype != np.uint8:
            # Of every size that a float has, denormals included; whole numbers name the frame exactly.
            sizes = 10.0 ** self.generator.integers(-40, 38, self.frame_shape)
            frame = (self.generator.normal(size=self.frame_shape) * sizes).astype(np.float32)
            frame.reshape(-1)[0] = self.frames_shown
            return frame
        frame = np.full(self.frame_shape, self.frames_shown % 253 + 1, np.uint8)
        frame.reshape(-1)[:4] = np.frombuffer(np.uint32(self.frames_shown).tobytes(), np.uint8)
        return frame


def identity(state: np.ndarray) -> int:
    """The number that the newest frame of a stack shows."""
    if state.dtype != np.uint8:
        return int(state[-1].reshape(-1)[0])
    return int(np.frombuffer(state[-1].reshape(-1)[:4].tobytes(), np.uint32)[0])


def drawn(batch: Batch) -> list[int]:
    """Identities of a batch's transitions."""
    return [identity(state) for state in batch.state.numpy()]


def check(batch: Batch, transitions: dict[int, Transition]) -> None:
    """Hold every transition of a batch to the reference."""
    assert batch.next_state.dtype == batch.state.dtype
    assert batch.weight.dtype == torch.float32
    assert batch.rows.dtype == torch.int64
    for i, name in enumerate(drawn(batch)):
        assert name in transitions, f"frame {name} does not start a whole transition in reach"
        wanted = transitions[name]
        assert batch.state.numpy().dtype == wanted.state.dtype
        np.testing.assert_array_equal(batch.state[i].numpy(), wanted.state)
        np.testing.assert_array_equal(batch.next_state[i].numpy(), wanted.next_state)
        assert batch.action[i].item() == wanted.action
        np.testing.assert_allclose(batch.return_n[i].item(), wanted.return_n, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.discount_n[i].item(), wanted.discount_n, rtol=1e-6)
        assert batch.weight[i].item() == 1.0
        assert tuple(batch.rows[i].tolist()) == wanted.row


def assert_same(left: Batch, right: Batch) -> None:
    """Two batches are equal to the bit."""
    assert left.named_tensors().keys() == right.named_tensors().keys()
    for name, tensor in left.named_tensors().items():
        np.testing.assert_array_equal(tensor.numpy(), right.named_tensors()[name].numpy(), name)


def fill(replay: Replay, play: Play, steps: int) -> None:
    for _ in range(steps):
        replay.add(*play.step())
