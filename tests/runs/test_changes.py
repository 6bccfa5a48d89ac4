"""What may change between the sessions of a run, what may not, and what is said and recorded of it."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixelq
from pixelq.cli import main
from pixelq.cli.verify import verify
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_config
from pixelq.replay.samplers.prioritized import Sampler as PrioritizedSampler
from pixelq.replay.samplers.uniform import Sampler as UniformSampler
from pixelq.runs.changes import recorded_changes
from pixelq.runs.exactness import _planned_to_the_end
from pixelq.runs.run import Run
from pixelq.runs.session import LEARNING, MAY_CHANGE, resume, start
from pixelq.variants import KINDS, register
from small_runs import Killed, at_agent_step, die, small

# `wrappers` are handed over again, and must be as many: tests/runs/test_python_calls.py.
OTHERS = sorted({field.name for field in dataclasses.fields(Config)} - set(MAY_CHANGE) - {"wrappers"})


def quick(**overrides: Any) -> Config:
    return small("nips2013", **{"steps": 100, "eval_every": 0, "checkpoint_every": 0} | overrides)


def changes(folder: str) -> list[tuple[str, ...]]:
    with Path(folder, "changes.csv").open() as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


@pytest.fixture
def stopped(in_folder: Path) -> Config:
    """A run in `r` that has come to agent step 100."""
    start(quick(), Path("r"))
    assert not Path("r/changes.csv").exists()
    return read_config(Path("r/config.toml"))


@pytest.mark.parametrize("name", OTHERS)
def test_whatever_else_decides_a_run_may_not_change(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{name} may not change within a run, only steps, ") as refused:
        pixelq.resume(tmp_path, **{name: getattr(Config(), name)})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", MAY_CHANGE)
@pytest.mark.parametrize("value", ["9", [9], {}, object()])
def test_a_value_of_another_type_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    if name in ("device", "track"):
        value = 9
    with pytest.raises(UserError, match=f"resume: {name} = "):
        pixelq.resume(tmp_path, **{name: value})


def test_an_unknown_name_is_refused_and_the_nearest_offered(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown field 'step'; did you mean steps"):
        pixelq.resume(tmp_path, step=9)
    with pytest.raises(UserError, match="unknown field 'nope'"):
        pixelq.resume(tmp_path, nope=1)


def test_a_value_out_of_its_range_is_refused_and_nothing_changes(stopped: Config) -> None:
    for overrides in ({"learning_rate": -1.0}, {"epsilon_end": 2.0}, {"log_every": 0}, {"gamma": 0.5, "steps": 200}):
        with pytest.raises(UserError):
            resume(Path("r"), **overrides)
    assert read_config(Path("r/config.toml")) == stopped
    assert not Path("r/changes.csv").exists()


def test_what_a_person_changes_holds_and_is_recorded_with_its_agent_step(
    stopped: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        resume(Path("r"), steps=140, learning_rate=1e-3, epsilon_end=0.3, stop_score=500, log_every=20).signal is None
    )
    said = capsys.readouterr().err
    assert "as if never interrupted" not in said
    assert "it learns differently from here on, for learning_rate 0.00025 is now 0.001, epsilon_end " in said
    changed = dataclasses.replace(
        stopped, steps=140, learning_rate=1e-3, epsilon_end=0.3, stop_score=500.0, log_every=20
    )
    assert read_config(Path("r/config.toml")) == changed
    assert sorted(changes("r")) == sorted(
        [
            ("100", "steps", "100", "140"),
            ("100", "learning_rate", "0.00025", "0.001"),
            ("100", "epsilon_end", str(stopped.epsilon_end), "0.3"),
            ("100", "stop_score", "", "500.0"),
            ("100", "log_every", "50", "20"),
        ]
    )
    with Path("r/progress.csv").open() as file:
        rows = [(row["agent_steps"], float(row["learning_rate"])) for row in csv.DictReader(file)]
    assert rows == [("50", 2.5e-4), ("100", 2.5e-4), ("120", 1e-3), ("140", 1e-3)]
    # A later session goes on with it and has nothing to say of it; a further change is a further row.
    resume(Path("r"))
    assert "bit for bit as if never interrupted" in capsys.readouterr().err
    resume(Path("r"), stop_score=None)
    assert "bit for bit as if never interrupted" in capsys.readouterr().err
    assert changes("r")[-1] == ("140", "stop_score", "500.0", "")
    assert verify(Path("r")).damaged == []


@pytest.mark.parametrize("name", LEARNING)
def test_every_change_to_what_is_learned_is_said(
    name: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(quick(learning_rate_end=1e-5, learning_rate_steps=90, epsilon_begin=4), Path("r"))
    before = getattr(read_config(Path("r/config.toml")), name)
    value = before + 3 if isinstance(before, int) else before / 2
    resume(Path("r"), **{name: value})
    assert f"it learns differently from here on, for {name} {before} is now {value}" in capsys.readouterr().err


PRIORITIZED = {"sampler": "prioritized", "sampler_options": {}}
CONSTANT = {"beta_start": 0.5, "beta_end": 0.5}


def halving(config: Config, options: Any) -> Any:
    return lambda agent_steps: np.full(config.num_envs, 0.5 if 2 * agent_steps < config.steps else 0.1)


class Waning(UniformSampler):
    """Hears of the run's length, and does not say what it makes of it."""

    def planned(self, agent_steps: int, every: int) -> None:
        """Nothing to note."""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"learning_rate_end": 0.0}, ["the learning rate"]),
        ({"learning_rate_end": 0.0, "learning_rate_steps": 50}, []),
        (PRIORITIZED, ["how sampler prioritized draws"]),
        (PRIORITIZED | {"learning_rate_end": 0.0}, ["the learning rate", "how sampler prioritized draws"]),
        (PRIORITIZED | {"sampler_options": {"beta_steps": 50}}, []),
        (PRIORITIZED | {"sampler_options": CONSTANT}, []),
        ({"sampler": "own_waning", "sampler_options": {}}, ["how sampler own_waning draws"]),
        ({"epsilon_schedule": "own_halving"}, ["epsilon"]),
        *(({"epsilon_schedule": name}, []) for name in ("constant", "linear", "exponential", "ladder")),
        ({"loop": "parallel", "rollout_length": 5, "batch_size": 5, "target": "none"}, []),
    ],
)
def test_more_steps_change_what_is_planned_to_the_end_of_the_run_and_that_is_said(
    fields: dict[str, Any], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in KINDS.values():
        monkeypatch.setattr(kind, "_registered", dict(kind._registered))
    register("epsilon_schedule", "own_halving", epsilon=halving)
    register("sampler", "own_waning", Sampler=Waning)
    run = Run(quick(**fields))
    assert _planned_to_the_end(run, 100) == []
    assert _planned_to_the_end(run, 80) == said
    run.parts.close()


def test_beta_of_prioritized_replay_goes_on_by_the_new_length_and_that_is_said(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    betas: list[tuple[int, float]] = []
    draw = PrioritizedSampler.draw

    def noted(sampler: PrioritizedSampler, *given: Any) -> Any:
        betas.append((sampler._agent_steps, sampler._beta(sampler._agent_steps)))
        return draw(sampler, *given)

    monkeypatch.setattr(PrioritizedSampler, "draw", noted)
    start(quick(**PRIORITIZED), Path("r"))
    assert betas[-1] == (100, 1.0)
    capsys.readouterr()
    resume(Path("r"), steps=200)
    line = "it learns differently from here on, for steps 100 is now 200, which decides how sampler prioritized draws"
    assert line in capsys.readouterr().err
    first = next((step, beta) for step, beta in betas if step > 100)
    assert first == (104, pytest.approx(0.4 + 0.6 * 104 / 200))
    assert betas[-1] == (200, 1.0)


def test_a_change_outlives_a_session_that_dies_before_its_first_checkpoint(
    stopped: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with at_agent_step(monkeypatch, 110, die), pytest.raises(Killed):
        resume(Path("r"), steps=140, learning_rate=1e-3)
    assert recorded_changes(Path("r")) == {"steps": "140", "learning_rate": "0.001"}
    assert verify(Path("r")).damaged == []
    capsys.readouterr()
    assert resume(Path("r")).agent_steps == 140
    assert "for learning_rate 0.00025 is now 0.001" in capsys.readouterr().err
    assert len(changes("r")) == 2


def test_a_change_by_hand_in_the_configuration_is_still_refused(stopped: Config) -> None:
    resume(Path("r"), learning_rate=1e-3)
    file = Path("r/config.toml")
    file.write_text(file.read_text().replace("learning_rate = 0.001", "learning_rate = 0.002"))
    with pytest.raises(UserError, match=r"learning_rate is 0\.002"):
        resume(Path("r"))


def test_the_most_wanted_changes_have_flags(stopped: Config) -> None:
    argv = "resume r --steps 120 --learning-rate 1e-3 --epsilon-end 0.2 --stop-score 9 --eval-every 50"
    assert main([*argv.split(), "--checkpoint-every", "60"]) == 0
    config = read_config(Path("r/config.toml"))
    assert (config.learning_rate, config.epsilon_end, config.stop_score) == (1e-3, 0.2, 9.0)
    assert (config.steps, config.eval_every, config.checkpoint_every) == (120, 50, 60)
