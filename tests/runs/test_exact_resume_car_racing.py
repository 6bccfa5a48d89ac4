"""CarRacing resumes exactly, as Atari does: a killed deterministic run ends as an unbroken one, to the byte."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from pixelq.config import Config
from pixelq.runs.session import resume, start
from small_runs import Killed, at_agent_step, die, facts, small, terminate

pytest.importorskip("Box2D", reason="needs pixelq[box2d]")

needs_envpool = pytest.mark.skipif(importlib.util.find_spec("envpool") is None, reason="needs pixelq[envpool]")


def short_races(**fields: Any) -> Config:
    """Five races of 30 frames on the recipe, with everything that a long run has."""
    defaults: dict[str, Any] = {
        "screen_size": 84,
        "noop_max": 0,
        "frame_skip": 1,
        "max_frames_per_episode": 30,
        "episodes": 5,
        "steps": 10_000,
        "replay_start": 40,
        "checkpoint_every": 50,
        "eval_every": 80,
        "eval_episodes": 1,
        "baseline_episodes": 2,
    }
    return small("car-racing", "CarRacing-v3", **(defaults | fields))


@pytest.mark.parametrize(
    ("backend", "num_envs"),
    [("gymnasium", 1), ("gymnasium", 8), pytest.param("envpool", 8, marks=needs_envpool)],
)
def test_a_killed_and_resumed_run_ends_as_an_unbroken_one(
    backend: str, num_envs: int, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = short_races(backend=backend, num_envs=num_envs, episodes=4)
    start(config, Path("unbroken"))
    with at_agent_step(monkeypatch, 71, die), pytest.raises(Killed):
        start(config, Path("broken"))
    with at_agent_step(monkeypatch, 93, terminate):
        assert resume(Path("broken")).signal == 15
    assert resume(Path("broken")).signal is None
    unbroken = facts(Path("unbroken"))
    assert facts(Path("broken")) == unbroken
    assert unbroken["last"] == f"step-{30 * max(4, num_envs):012}"  # four races are over, side by side or not
    for name in ("baseline.csv", "final/metrics.json", "best/metrics.json"):
        assert Path("broken", name).read_bytes() == Path("unbroken", name).read_bytes(), name
