"""Real runs, small enough for a test: a 36-pixel screen, tiny batches, hundreds of agent steps."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pixelq
from pixelq.cli.verify import verify
from pixelq.config import Config
from pixelq.recipes.choice import configure
from pixelq.runs.run import Run
from pixelq.runs.session import resume, start

SMALL: dict[str, Any] = {
    "screen_size": 36,
    "batch_size": 4,
    "steps": 320,
    "replay_start": 80,
    "replay_capacity": 200,
    "target_every": 60,
    "epsilon_start": 0.5,
    "epsilon_begin": 0,
    "epsilon_steps": 300,
    "log_every": 50,
    "checkpoint_every": 100,
    "eval_every": 160,
    "eval_episodes": 2,
    "max_frames_per_episode": 160,
    "noop_max": 4,
    "threads": 1,
    "device": "cpu",
    "deterministic": True,
}

CART_POLE = {k: v for k, v in SMALL.items() if k not in ("screen_size", "noop_max")} | {
    "frame_skip": 1, "frame_stack": 2, "max_frames_per_episode": 24, "torso": "mlp", "num_envs": 4, "eval_every": 0,
}  # fmt: skip
"""The same with the recipe `cleanrl` on CartPole, a game of vectors."""

QUICK: dict[str, Any] = {
    "recipe": "gymnasium",
    "steps": 200,
    "num_envs": 4,
    "rollout_length": 5,
    "batch_size": 10,
    "epsilon_steps": 300,
    "learning_rate_end": None,
    "log_every": 50,
    "checkpoint_every": 60,
    "eval_every": 120,
    "eval_episodes": 1,
    "threads": 1,
    "device": "cpu",
    "deterministic": True,
}
"""Overrides of `pixelq.train` on a small game of Gymnasium: a second with a log, checkpoints and test games."""


def small(recipe: str = "nature2015", game: str = "breakout", **overrides: Any) -> Config:
    """A recipe cut down to a second or two of training."""
    if recipe == "default":
        overrides = {"num_envs": 4, "rollout_length": 5, "batch_size": 10, "learning_rate_end": None} | overrides
    return configure(game, recipe, SMALL | overrides)


class Killed(BaseException):
    """Ends a loop at once, without its last checkpoint, as SIGKILL would."""


@contextmanager
def at_agent_step(monkeypatch: Any, step: int, act: Callable[[], None]) -> Any:
    """Inside, do something as soon as a run has played `step` agent steps."""
    count_step, done = Run.count_step, []

    def counted(run: Run, *args: Any) -> None:
        count_step(run, *args)
        if run.parts.counters.agent_steps >= step and not done:
            done.append(True)
            act()

    with monkeypatch.context() as patched:
        patched.setattr(Run, "count_step", counted)
        yield


def die() -> None:
    """Stop as a killed process does."""
    raise Killed


def terminate() -> None:
    """Send this process a real SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)


def python(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a Python that imports this pixelq and these helpers, wherever it runs; its output is text."""
    here = [str(Path(pixelq.__file__).parents[1]), str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(here)} | options.pop("env", {})
    return subprocess.Popen([sys.executable, *arguments], env=environment, text=True, **options)


def facts(folder: Path) -> dict[str, Any]:
    """Digests of everything that two equal runs share: the last checkpoint's parts, CSV files, policies."""
    report = verify(folder)
    assert report.damaged == []
    last = max(report.checkpoints)
    return {"last": last, **report.checkpoints[last], **report.csv, **report.policies}


def checkpoints_of_a_run_that_survives_a_kill(config: Config, step: int, monkeypatch: Any) -> list[dict[str, str]]:
    """Train twice, once killed at an agent step and resumed: both end alike. The unbroken digests, oldest first."""
    start(config, Path("unbroken"))
    with at_agent_step(monkeypatch, step, die), suppress(Killed):
        start(config, Path("broken"))
    resume(Path("broken"))
    assert facts(Path("broken")) == facts(Path("unbroken"))
    return [*verify(Path("unbroken")).checkpoints.values()]


def facts_of_a_run_that_is_killed_and_stopped(config: Config, monkeypatch: Any) -> dict[str, Any]:
    """Train unbroken, and killed at one agent step, resumed, stopped at another, resumed: both end alike."""
    start(config, Path("unbroken"))
    for i, (step, act) in enumerate([(87, die), (131, terminate)]):
        with at_agent_step(monkeypatch, step, act), suppress(Killed):
            _ = resume(Path("broken")) if i else start(config, Path("broken"))
    assert resume(Path("broken")).signal is None
    unbroken = facts(Path("unbroken"))
    assert facts(Path("broken")) == unbroken
    return unbroken
