"""How many training games a run is to play, where its configuration leaves that to the device."""

from __future__ import annotations

import dataclasses

from pixelq.config import Config
from pixelq.machine.device import choose_device

BY_DEVICE = -1
WITH_GPU, WITHOUT_GPU = 500, 30
"""Games that `episodes = -1` stands for."""


def with_episodes(config: Config) -> Config:
    """The configuration with the number of games in it; unchanged where it says one, or that there is no limit.

    Raises:
        UserError: the device that the configuration names is not there.
    """
    if config.episodes != BY_DEVICE:
        return config
    games = WITHOUT_GPU if choose_device(config.device)[0].type == "cpu" else WITH_GPU
    return dataclasses.replace(config, episodes=games)
