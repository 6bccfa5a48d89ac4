"""The preprocessing of the papers, written plainly with ale-py's single emulator: the reference for the fast one."""

import functools

import ale_py
import numpy as np
from ale_py.roms import get_rom_path

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)


@functools.cache
def area_shares(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """For each output pixel, the input pixels in [i, i + 1) * old / new and their shares, both (new, k)."""
    edges = np.arange(new + 1) * old / new
    first = np.floor(edges[:-1]).astype(int)
    inputs = first[:, None] + np.arange(int(np.ceil(old / new)) + 1)
    overlap = np.minimum(edges[1:, None], inputs + 1) - np.maximum(edges[:-1, None], inputs)
    return np.minimum(inputs, old - 1), np.clip(overlap, 0, None) * new / old


def area_resize(screen: np.ndarray, size: int) -> np.ndarray:
    """Return the means over areas, float64 (size, size). No matrix product: its threads would slow ale-py's."""
    rows, share = area_shares(screen.shape[0], size)
    tall = (screen[rows] * share[:, :, None]).sum(axis=1)
    columns, share = area_shares(screen.shape[1], size)
    return (tall[:, columns] * share).sum(axis=2)


class ReferenceEmulator:
    """One game from one seed, without no-ops: skip, maximum of the last two frames, gray, 84x84 by area, stack."""

    def __init__(
        self, rom: str, seed: int, *, sticky: float, skip: int = 4, stack: int = 4, fire: bool = False
    ) -> None:
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", sticky)
        self.ale.setInt("random_seed", seed)
        self.ale.loadROM(get_rom_path(rom))
        self.skip, self.actions = skip, self.ale.getMinimalActionSet()
        self.ale.reset_game()
        if fire:
            self.ale.act(ale_py.Action.FIRE)
        self.stack = np.zeros((stack, 84, 84))
        self._push(self.ale.getScreenGrayscale())

    def step(self, action: int) -> tuple[np.ndarray, float, bool, int]:
        """Return the stack (float64, not rounded), the reward, whether the game is over, and the lives."""
        reward, frames = 0.0, []
        for _ in range(self.skip):
            reward += self.ale.act(self.actions[action])
            frames.append(self.ale.getScreenGrayscale())
            if self.ale.game_over():
                break
        self._push(np.maximum(*frames[-2:]) if len(frames) > 1 else frames[0])
        return self.stack, reward, self.ale.game_over(), self.ale.lives()

    def _push(self, screen: np.ndarray) -> None:
        self.stack = np.concatenate([self.stack[1:], area_resize(screen, 84)[None]])
