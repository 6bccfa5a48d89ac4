"""A deterministic run that is killed and resumed any number of times ends as one that never was, to the byte."""

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pixelq.config import Config
from pixelq.runs.session import resume, start
from small_runs import Killed, at_agent_step, die, facts, small, terminate

STICKY, PLAIN = "ALE/Breakout-v5", "BreakoutNoFrameskip-v4"
CASES: dict[str, dict[str, Any]] = {
    "2013-one-env-sticky": {"recipe": "nips2013", "game": STICKY},
    "2013-one-env": {"recipe": "nips2013", "game": PLAIN, "eval_every": 0},
    "2013-eight-envs-sticky": {"recipe": "nips2013", "game": STICKY, "num_envs": 8, "eval_every": 0},
    "2013-eight-envs": {"recipe": "nips2013", "game": PLAIN, "num_envs": 8, "eval_every": 0},
    "2015-one-env-sticky": {"recipe": "nature2015", "game": STICKY, "eval_every": 0},
    "2015-one-env": {"recipe": "nature2015", "game": PLAIN, "eval_every": 0},
    "2015-eight-envs-sticky": {"recipe": "nature2015", "game": STICKY, "num_envs": 8, "eval_every": 0},
    "2015-eight-envs": {"recipe": "nature2015", "game": PLAIN, "num_envs": 8, "eval_every": 0},
    "double-adam-soft-3-steps-colour": {"recipe": "cleanrl", "loss": "double", "target": "soft", "n_step": 3,
                                        "grayscale": False, "wrapper_openings": False,
                                        "opening_fire_max": 3, "eval_every": 0},
    "parallel-bf16": {"recipe": "default", "num_envs": 8, "rollout_length": 4, "batch_size": 8,
                      "averaged_network_tau": 0.1},
    "parallel-one-env-sticky": {"recipe": "default", "game": "ALE/Breakout-v5", "num_envs": 1, "rollout_length": 20,
                                "batch_size": 5, "eval_every": 0},
}  # fmt: skip

Interruption = tuple[int, Callable[[], None]]

# Killed before the first checkpoint, at odd steps and just after a checkpoint; stopped at odd steps, too.
OFTEN: list[Interruption] = [
    *((53, die), (33, terminate), (147, die), (201, die), (203, terminate), (205, terminate), (301, die)),
]
SELDOM: list[Interruption] = [(147, terminate), (251, die)]


@pytest.fixture(autouse=True)
def _frequent_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    # Games are reseeded every few thousand agent steps; here within these short runs too.
    monkeypatch.setattr("pixelq.envs.atari.reseed_after", lambda num_envs: 60)


@pytest.mark.parametrize("case", CASES)
def test_a_killed_and_resumed_run_ends_as_an_unbroken_one(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(**CASES[case])
    start(config, Path("unbroken"))
    interruptions = OFTEN if case == "2013-one-env-sticky" else SELDOM
    interrupted(config, Path("broken"), interruptions, monkeypatch)
    unbroken, broken = facts(Path("unbroken")), facts(Path("broken"))
    assert broken == unbroken
    assert unbroken["last"] == "step-000000000320"
    assert len(Path("unbroken/episodes.csv").read_text().splitlines()) > 5
    assert tensorboard_points(Path("broken")) == tensorboard_points(Path("unbroken"))
    best = Path("unbroken/best/metrics.json")
    assert best.exists() == (config.eval_every > 0)
    assert not best.exists() or best.read_bytes() == Path("broken/best/metrics.json").read_bytes()


def tensorboard_points(run: Path) -> list[tuple[str, int, float]]:
    """Tag, agent step and value of everything but the speed, over the event files of all sessions."""
    found = []
    for file in sorted((run / "tensorboard").iterdir()):
        events = EventAccumulator(str(file))
        events.Reload()
        tags = [tag for tag in events.Tags()["scalars"] if tag != "charts/SPS"]
        found += [(tag, event.step, event.value) for tag in tags for event in events.Scalars(tag)]
    assert len(found) > 20
    return sorted(found)


def interrupted(
    config: Config, folder: Path, interruptions: list[Interruption], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train in as many sessions as it takes."""
    for i, (step, act) in enumerate(interruptions):
        with at_agent_step(monkeypatch, step, act), contextlib.suppress(Killed):
            result = resume(folder) if i else start(config, folder)
            assert act is terminate
            assert result.signal == signal.SIGTERM
    assert resume(folder).signal is None


def test_a_signal_during_an_evaluation_leaves_it_to_the_next_session(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small("nips2013")
    start(config, Path("unbroken"))
    asked: list[int] = []

    def stop_in_the_midst(scores: Any, rewards: Any, over: Any) -> list[Any]:
        asked.append(1)
        if len(asked) == 5:
            terminate()
        return add(scores, rewards, over)

    from pixelq.runs import evaluation

    add = evaluation.Scores.add
    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "Scores", type("Scores", (evaluation.Scores,), {"add": stop_in_the_midst}))
        result = start(config, Path("broken"))
    assert result.signal == 15
    assert result.agent_steps == 160
    assert Path("broken/evaluations.csv").read_text().count("\n") == 1
    assert resume(Path("broken")).signal is None
    assert facts(Path("broken")) == facts(Path("unbroken"))


def test_two_threads_are_exact_too(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(threads=2, steps=160, eval_every=0)
    start(config, Path("unbroken"))
    with at_agent_step(monkeypatch, 131, die), pytest.raises(Killed):
        start(config, Path("broken"))
    resume(Path("broken"))
    assert facts(Path("broken")) == facts(Path("unbroken"))


def test_another_seed_is_another_run(in_folder: Path) -> None:
    """The comparison above would not see a difference if digests did not depend on the parts."""
    for seed in (1, 2):
        start(small("nips2013", steps=120, seed=seed, eval_every=0), Path(f"seed{seed}"))
    one, two = facts(Path("seed1")), facts(Path("seed2"))
    same = {part for part in one if one[part] == two[part]}
    assert not same & {"network", "optimizer", "replay", "environments", "generators", "progress.csv", "final"}, same
