"""What `pixelq doctor` measures of recipes whose networks have a memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixelq.config import Config
from pixelq.networks import Network
from pixelq.profiling.machine import STORED, estimate, measured_capacity, network_rates, play_rates
from pixelq.profiling.recorded_play import RecordedPlay
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


@pytest.mark.parametrize(("recipe", "envs", "calls"), [("cleanrl", 1, 4), ("cleanrl", 4, 1), ("nips2013", 8, 1)])
def test_acting_casts_its_weights_as_often_as_the_loops_updates_change_them(
    recipe: str, envs: int, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"cast": 0, "acted": 0}
    originals = {"cast": Network.lowered_weights, "acted": Network.q_values}
    for name, method in originals.items():

        def counted(*args: Any, name: str = name) -> Any:
            counts[name] += torch.is_inference_mode_enabled()  # and not where an update asks
            return originals[name](*args)

        monkeypatch.setattr(Network, method.__name__, counted)
    config = small(recipe, num_envs=envs, replay_start=200, replay_capacity=400, batch_size=16)
    run = TimedRun(config, tmp_path / "run")
    try:
        play = RecordedPlay(run, 100, np.random.default_rng(0))
        counts.update(cast=0, acted=0)
        network_rates(run, play, config.torso, config.precision, (envs,), 0.05)
    finally:
        run.close()
    acted, cast = counts["acted"], counts["cast"]
    assert acted > 8
    assert acted / calls <= cast <= acted / calls + 2


def test_the_measured_replay_is_small_and_has_whole_sequences_of_as_many_environments_as_are_measured() -> None:
    assert measured_capacity(read_recipe("cleanrl"), (1, 256)) == STORED
    assert measured_capacity(MEMORIES["replay"], (1, 5)) == 400
    assert measured_capacity(read_recipe("r2d2"), (1, 512)) == 512 * (40 + 80 + 5 + 40) > STORED
    assert measured_capacity(MEMORIES["replay"], (1, 40)) == 40 * (4 + 8 + 1 + 8) > 400
    assert measured_capacity(MEMORIES["parallel"], (1, 512)) == MEMORIES["parallel"].replay_capacity
