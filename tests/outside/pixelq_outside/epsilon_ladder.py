"""An epsilon of its own for each environment: epsilon^(1 + alpha i / (N - 1)) (Horgan et al. 2018, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pixelq.config import Config

USES = ()
"""It goes by its own options alone."""


@dataclass(frozen=True)
class Options:
    """Options of the ladder."""

    base: float = 0.4
    """Epsilon of the first environment."""
    rungs: float = 7.0
    """alpha: how far the others are below it."""


def epsilon(config: Config, options: Options) -> Callable[[int], np.ndarray]:
    """The same (N,) at every agent step."""
    place = np.arange(config.num_envs) / max(1, config.num_envs - 1)
    ladder: np.ndarray = options.base ** (1 + options.rungs * place)
    return lambda agent_steps: ladder
