"""What `pixelq doctor` measures of recipes whose networks have a memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelq.config import Config
from pixelq.profiling.machine import STORED, estimate, measured_capacity, network_rates, play_rates
from pixelq.profiling.timed_run import TimedRun
from pixelq.recipes.reading import read_recipe
from small_runs import small

TINY = {"torso": "plain", "channels": (4,), "kernels": (8,), "strides": (8,), "hidden": (8,), "units": 6}
MEMORIES: dict[str, Config] = {
    "replay": small("cleanrl", memory="lstm", replay_start=200, replay_capacity=400, **TINY | {"batch_size": 16}),
    "parallel": small("cleanrl-pqn", memory="lstm", num_envs=4, rollout_length=5, **TINY | {"batch_size": 10}),
}


@pytest.mark.parametrize("config", [*MEMORIES.values()], ids=lambda c: c.loop)
def test_every_part_of_a_recipe_has_a_rate_and_together_they_make_its_speed(config: Config, tmp_path: Path) -> None:
    run = TimedRun(config, tmp_path / "run")
    try:
        rates, play = play_rates(run, 0.05)
        network = network_rates(run, play, config.torso, config.precision, (config.num_envs,), 0.05)
    finally:
        run.close()
    found = estimate(config, rates, network, multiplications=1e10)
    assert np.isfinite([*found.seconds.values()]).all()
    assert min(found.seconds.values()) > 0
    assert {"emulator", "acting", "storing", "sampling", "update"} == found.seconds.keys()
    assert sum(found.seconds.values()) > found.floor_seconds > found.seconds["emulator"]


def test_the_measured_replay_is_small_and_has_whole_sequences_of_as_many_environments_as_are_measured() -> None:
    assert measured_capacity(read_recipe("cleanrl"), (1, 256)) == STORED
    assert measured_capacity(MEMORIES["replay"], (1, 5)) == 400
    assert measured_capacity(read_recipe("r2d2"), (1, 512)) == 512 * (40 + 80 + 5 + 40) > STORED
    assert measured_capacity(MEMORIES["replay"], (1, 40)) == 40 * (4 + 8 + 1 + 8) > 400
    assert measured_capacity(MEMORIES["parallel"], (1, 512)) == MEMORIES["parallel"].replay_capacity
