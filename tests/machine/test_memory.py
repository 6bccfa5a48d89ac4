"""What is free here, and what a recipe needs, against what real parts take."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.machine.memory import (
    BASE,
    _container_available,
    _meminfo,
    available_memory,
    check_memory,
    disk_needed,
    free_disk,
    memory_needed,
    nearest_folder,
)
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.replay import Replay
from pixelq.runs.session import start
from pixelq.variants import KINDS, register

GB = 10**9


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux tells in /proc/meminfo")
@pytest.mark.skipif(_container_available() is not None, reason="the container's limit counts, not the machine")
def test_free_memory_falls_by_what_processes_take() -> None:
    """Held to Linux's own count of the memory that programs have taken, where what others take meanwhile counts too."""
    seen = []
    for _ in range(8):  # the two are not read in the same instant; one undisturbed try is enough
        before = available_memory(), _meminfo("AnonPages")
        taken = np.ones(400 * 10**6, np.uint8)
        after = available_memory(), _meminfo("AnonPages")
        del taken
        assert None not in (*before, *after)
        fallen, grown = before[0] - after[0], after[1] - before[1]
        seen.append((fallen, grown))
        if grown > 200 * 10**6 and abs(fallen - grown) < 50 * 10**6:
            return
    pytest.fail(f"400 MB were taken; free memory fell, and what programs hold grew, by {seen} bytes")


def test_a_million_transitions_need_about_half_a_gigabyte() -> None:
    config = read_recipe("nature2015")
    small = dataclasses.replace(config, replay_capacity=100_000)
    per_million = (memory_needed(config) - memory_needed(small)) / 900_000 * 10**6
    assert 0.4 * GB < per_million < 0.5 * GB
    assert memory_needed(config) < 1.5 * GB


def test_colour_and_larger_frames_need_more_in_proportion() -> None:
    config = dataclasses.replace(Config(), replay_capacity=50_000_000)
    gray = memory_needed(config)
    assert 2.8 < memory_needed(dataclasses.replace(config, grayscale=False)) / gray < 3.1
    assert 3.8 < memory_needed(dataclasses.replace(config, screen_size=168)) / gray < 4.1


def test_the_parallel_loop_needs_its_rollout_and_no_replay() -> None:
    config = read_recipe("default")
    assert memory_needed(dataclasses.replace(config, replay_capacity=10**12)) == memory_needed(config)
    longer = dataclasses.replace(config, rollout_length=2 * config.rollout_length)
    rollout = config.num_envs * config.rollout_length * 4 * 84 * 84
    assert memory_needed(longer) - memory_needed(config) == rollout


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_fits_into_two_gigabytes(name: str) -> None:
    # BTR's residual torso keeps far more for the backward pass of its 256 states, and R2D2 learns from 5,120 states at
    # once and keeps four million; their authors had a GPU for it.
    most = {"btr": 3.5 * GB, "r2d2": 6 * GB}.get(name, 2 * GB)
    # Nor are MinAtar's networks for pictures of 84 x 84: their features are as many as there are pixels, times 16.
    observed = Box(0, 255, (1, 10, 10, 4), np.uint8) if "minatar" in name else None
    assert BASE < memory_needed(read_recipe(name), observed) < most


def test_vectors_lie_in_the_replay_as_they_are() -> None:
    config = dataclasses.replace(Config(), torso="mlp", frame_stack=1, replay_capacity=10**6)
    needed = {d: memory_needed(config, Box(-np.inf, np.inf, (1, d), np.float32)) for d in (4, 504)}
    layers = 500 * 256 * 4 * 5  # wider first layer: weights, gradients, two moments, target
    minibatch = config.batch_size * 500 * (2 * 4 + 4)
    assert needed[504] - needed[4] == 10**6 * 500 * 4 + layers + minibatch
    replay = Replay(10**6, 1, (504,), 1, 1, 0.99, np.float32)
    twice = dataclasses.replace(config, replay_capacity=2 * 10**6)
    per_transition = (memory_needed(twice, Box(-1, 1, (1, 504))) - memory_needed(config, Box(-1, 1, (1, 504)))) / 10**6
    assert replay.nbytes / 10**6 <= per_transition < 1.01 * replay.nbytes / 10**6


def test_a_game_is_asked_before_a_run_is_refused_for_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelq.machine.memory.available_memory", lambda: BASE + 500 * 10**6)
    config = dataclasses.replace(Config(), torso="mlp", frame_stack=1, replay_capacity=10**6)
    check_memory(config, None)
    check_memory(config, Box(-1, 1, (1, 8)))
    with pytest.raises(
        UserError, match=r"replay_capacity = 1000000: the run needs about 1\.\d GB .* --replay-capacity"
    ):
        check_memory(config, Box(-1, 1, (1, 128)))
    with pytest.raises(UserError, match=r"num_envs = 1000: the run needs about 2\.7 GB .* --num-envs"):
        check_memory(dataclasses.replace(config, num_envs=1000), None)


@dataclasses.dataclass(frozen=True)
class Window:
    """Of a loop of a person's own."""

    window: int = 4096


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("window", r"window = 8192: the run .*; choose a smaller window with --window"),  # an option of the loop
        ("frame_stack", r"frame_stack = 4: the run .*; choose a smaller frame_stack with --frame-stack"),
        ("replay_capacity", r"replay_capacity = 1000000: the run .*; choose fewer transitions with --replay-capacity"),
        ("tape", r"tape: the run .*; choose a smaller tape"),  # neither an option nor a field
    ],
)
def test_a_loop_of_ones_own_may_say_what_it_keeps_by_any_name(
    key: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KINDS["loop"], "_registered", {})
    register("loop", "windowed", loop=lambda run: None, Options=Window, kept_bytes=lambda config, observed: {key: GB})
    config = dataclasses.replace(Config(), loop="windowed", loop_options={"window": 8192}, torso="mlp", frame_stack=4)
    observed = Box(-1, 1, (4, 8))
    assert memory_needed(config, observed) == memory_needed(dataclasses.replace(config, loop="stream"), observed) + GB
    check_memory(config, observed, available=3 * GB)
    with pytest.raises(UserError, match=rf"^{said}$"):
        check_memory(config, observed, available=GB)


def test_a_network_is_not_made_before_it_is_known_to_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pixelq.machine.memory.available_memory", lambda: 64 * GB)
    made: list[int] = []
    monkeypatch.setattr("pixelq.runs.parts.initial_network", lambda *given: made.append(1))
    folder = tmp_path / "run"
    largest: dict[str, dict[str, Any]] = {
        "memory = lstm": {"memory": "lstm", "units": 65_536}, "torso = mlp": {"hidden": (200_000, 200_000)},
    }  # fmt: skip
    for part, fields in largest.items():
        config = configure("CartPole-v1", "gymnasium", {"device": "cpu", "threads": 1, **fields})
        with pytest.raises(UserError, match=rf"{part}: the run needs about \d+\.\d GB and 64\.0 GB are free; choose a"):
            start(config, folder)
    assert not made
    assert not folder.exists()


# --- the container's limit ------------------------------------------------------------------------------------------


def write_group(folder: Path, limit: str, used: int, cache: int, version: int) -> None:
    files = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / files[0]).write_text(limit + "\n")
    (folder / files[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{files[2]} {cache}\n")


@pytest.mark.parametrize(("version", "line"), [(1, "4:memory:/a/b"), (2, "0::/a/b")])
def test_the_tightest_limit_above_a_process_counts_and_file_cache_is_free(
    tmp_path: Path, version: int, line: str
) -> None:
    own = tmp_path / "cgroup"
    own.write_text(f"7:cpu:/x\n{line}\n")
    top = tmp_path / "fs" / "memory" if version == 1 else tmp_path / "fs"
    write_group(top, str(8 * GB), 6 * GB, 0, version)
    assert _container_available(own, tmp_path / "fs") == 2 * GB
    write_group(top / "a", str(3 * GB), 3 * GB, GB, version)
    assert _container_available(own, tmp_path / "fs") == 1 * GB
    write_group(top / "a" / "b", str(5 * GB), 4 * GB + 500 * 10**6, 0, version)
    assert _container_available(own, tmp_path / "fs") == 500 * 10**6
    write_group(top / "a" / "b", str(GB), 2 * GB, 0, version)
    assert _container_available(own, tmp_path / "fs") == 0


def test_no_limit_and_no_cgroups_say_nothing(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    assert _container_available(own, tmp_path) is None
    own.write_text("0::/\n")
    assert _container_available(own, tmp_path) is None
    write_group(tmp_path, "max", GB, 0, version=2)
    assert _container_available(own, tmp_path) is None


# --- disk -----------------------------------------------------------------------------------------------------------


def test_the_disk_of_a_folder_not_made_yet_is_that_of_the_nearest_above_it(tmp_path: Path) -> None:
    deep = tmp_path / "runs" / "pong" / "checkpoints"
    assert nearest_folder(deep) == tmp_path
    assert free_disk(deep) > 0
    (tmp_path / "runs").write_text("a file in the way")
    assert nearest_folder(deep) == tmp_path


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second disk: /dev/shm")
def test_free_disk_is_of_the_disk_asked_for() -> None:
    assert free_disk(Path("/dev/shm/none/there")) != free_disk(Path("/"))


def test_two_checkpoints_of_the_replay_are_counted() -> None:
    config = read_recipe("nature2015")
    assert disk_needed(config) > 2 * 0.4 * GB
    assert disk_needed(read_recipe("default")) < 0.5 * GB
