"""Small Gymnasium games, each with one trait that users of this field have reported."""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Vector(gymnasium.Env):
    """Twenty steps; action 1 pays 1; the observation counts the steps."""

    metadata: ClassVar[dict] = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = spaces.Box(-1, 1, (3,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def obs(self):
        return np.full(3, self.t / 20, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.obs(), {}

    def step(self, action):
        self.t += 1
        return self.obs(), float(action), self.t >= 20, False, {}

    def render(self):
        return np.full((64, 64, 3), 10 * (self.t % 20), np.uint8)


class Image(Vector):
    """A 48 x 64 picture whose bright half says which action pays; the best score is 20, chance 10."""

    shape, dtype = (48, 64, 3), np.uint8

    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        self.observation_space = spaces.Box(0, 255, self.shape, self.dtype)

    def picture(self):
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, self.side * 32 : self.side * 32 + 32] = 200
        return image

    def obs(self):
        return self.picture()

    def reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        self.t, self.side = 0, int(self.np_random.integers(2))
        return self.obs(), {}

    def step(self, action):
        reward = 1.0 if action == self.side else 0.0
        self.t, self.side = self.t + 1, int(self.np_random.integers(2))
        return self.obs(), reward, self.t >= 20, False, {}


class ChannelFirst(Image):
    shape = (3, 48, 64)

    def obs(self):
        return self.picture().transpose(2, 0, 1)


class StackFirst(Image):
    shape = (4, 84, 84)

    def obs(self):
        gray = np.zeros((84, 84), np.uint8)
        gray[:, self.side * 42 : self.side * 42 + 42] = 200
        return np.stack([gray] * 4)


class ForgottenDtype(Image):
    def __init__(self, render_mode=None):
        Vector.__init__(self, render_mode)
        self.observation_space = spaces.Box(low=0, high=255, shape=(48, 64, 3))  # float32 by default

    def obs(self):
        return self.picture().astype(np.float32)


class UnitFloatsSaidBytes(Image):
    def obs(self):
        return self.picture() / 255.0


class WidthFirst(Image):
    def obs(self):
        return np.ascontiguousarray(self.picture().transpose(1, 0, 2))


class Payoffs(Image):
    """Action 0 pays 0.1 a step for five steps, action 1 pays 10 at once and ends the game: the best score is 10."""

    def step(self, action):
        self.t += 1
        return (self.obs(), 10.0, True, False, {}) if action == 1 else (self.obs(), 0.1, self.t >= 5, False, {})


class GlobalRandom(Vector):
    def obs(self):
        return np.random.uniform(-1, 1, 3).astype(np.float32)


class OwnRandom(Vector):
    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        self.generator = np.random.default_rng()

    def obs(self):
        return self.generator.uniform(-1, 1, 3).astype(np.float32)


class Curriculum(Vector):
    games = 0

    def reset(self, *, seed=None, options=None):
        self.games += 1
        return super().reset(seed=seed)

    def obs(self):
        return np.full(3, min(self.games, 1000) / 1000, np.float32)


class NanReward(Vector):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, float("nan") if self.t == 7 else reward, terminated, truncated, info


class Endless(Vector):
    """Never ends by itself: a greedy policy can stall in it."""

    def step(self, action):
        self.t += 1
        return np.zeros(3, np.float32), -1.0, False, False, {}


class BigScore(Vector):
    def step(self, action):
        self.t += 1
        return self.obs(), 1234567.0 if self.t == 1 else 0.0, self.t >= 20, False, {}


class NumpyAction(Vector):
    def step(self, action):
        return super().step(action.item())


class Masked(Vector):
    """Only the action that info's mask allows is legal; any other raises."""

    def mask(self):
        return {"action_mask": np.array([self.t % 2 == 0, self.t % 2 == 1], np.int8)}

    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed)
        return observation, self.mask()

    def step(self, action):
        if not self.mask()["action_mask"][action]:
            raise ValueError(f"illegal action {action}")
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward, terminated, truncated, self.mask()


class PictureInt64(Vector):
    def render(self):
        return np.full((64, 64, 3), 100)


class PictureFloat255(Vector):
    def render(self):
        return np.full((64, 64, 3), 100.0)


class PictureRGBA(Vector):
    def render(self):
        return np.full((64, 64, 4), 100, np.uint8)


class PictureGrows(Vector):
    def render(self):
        return np.full((64 + self.t, 64, 3), 100, np.uint8)


for _name, _class in list(globals().items()):
    if isinstance(_class, type) and issubclass(_class, Vector):
        gymnasium.register(f"Odd/{_name}-v0", entry_point=_class)
gymnasium.register("OddWithoutVersion", entry_point=Vector)
gymnasium.register(
    "Odd/NormalizedReward-v0",
    entry_point=lambda render_mode=None: gymnasium.wrappers.NormalizeReward(Vector(render_mode)),
)
