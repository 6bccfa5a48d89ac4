"""A sampler from outside on trial: what it does wrong is refused at the start, and what is right is not."""

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from own_variants import as_it_was, refused
from pixelq.config import Config
from pixelq.learner.trial import try_parts
from pixelq.recipes.values import overridden
from pixelq.replay import sampler_trial
from pixelq.replay.sampler_trial import try_sampler
from pixelq.replay.samplers import prioritized, uniform
from pixelq.variants import KINDS, register

sys.path.append(str(Path(__file__).parents[1] / "outside"))
from pixelq_outside import proportional_sampler

__all__ = ["as_it_was"]
pytestmark = pytest.mark.usefixtures("as_it_was")
SMALL = {"sampler": "mine", "num_envs": 3, "batch_size": 8, "replay_capacity": 60, "replay_start": 30}


def tried(sampler: type, **fields: Any) -> None:
    register("sampler", "mine", Sampler=sampler)
    try_sampler(overridden(Config(), SMALL | fields))


class Learning(uniform.Sampler):
    """Draws uniformly, and asks for priorities."""

    uses_priorities = True


class Counting(Learning):
    """Draws newest rows, of each environment one, each time one row older, and then from the beginning."""

    def __init__(self, *given: Any) -> None:
        self.drawn = 0

    def draw(self, size: int, generator: np.random.Generator, reach: Any) -> Any:
        self.drawn += 1
        envs = np.arange(size) % len(reach.written)
        return envs, np.maximum(reach.written[envs] - 2 - self.drawn % 5, reach.oldest[envs]), np.ones(size)

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.drawn = state["drawn"]


def changed(base: type, **methods: Any) -> type:
    return type("Changed", (base,), methods)


def drawing(change: Callable[..., Any]) -> type:
    """Draws uniformly, with something of it changed."""
    draw: Any = uniform.Sampler.draw
    return changed(uniform.Sampler, draw=lambda self, *given: change(*draw(self, *given)))


def fails(*given: Any) -> Any:
    raise ValueError("a mistake\nwith a second line")


def without_laps(sampler: Any, envs: np.ndarray, positions: np.ndarray) -> None:
    np.zeros(sampler.size)[positions] = 1.0


def own_random(sampler: Any, size: int, generator: np.random.Generator, reach: Any) -> Any:
    return uniform.Sampler.draw(sampler, size, np.random.default_rng(np.random.randint(1000)), reach)


MISTAKES: dict[str, tuple[type, str]] = {
    "an error": (changed(Learning, added=fails), f"it fails in {__file__}, line "),
    "an error while it learns": (changed(Learning, learned=fails), "(ValueError: a mistake)"),
    "nothing is drawn": (changed(Learning, draw=lambda *given: None), "(TypeError: "),
    "rows out of reach": (drawing(lambda e, p, w: (e, p - 1000, w)), ": replay: the sampler drew rows out of reach"),
    "lists": (drawing(lambda e, p, w: (e.tolist(), p, w)), ": replay: the sampler's environments are not an array"),
    "weights of 0": (drawing(lambda e, p, w: (e, p, 0 * w)), ": replay: the sampler's weights must be"),
    "a ring that begins anew": (
        changed(Learning, __init__=lambda self, n, size, o: setattr(self, "size", size), added=without_laps),
        "(IndexError: ",
    ),
    "a set in its state": (changed(Counting, state_dict=lambda self: {"drawn": {1}}), "sampler/drawn is a set"),
    "a state that it does not take": (changed(Counting, load_state_dict=fails), "(ValueError: a mistake)"),
    "a state that it forgets": (
        changed(Counting, load_state_dict=lambda self, state: None),
        "brought back from its state it draws otherwise",
    ),
    "randomness of its own": (changed(Learning, draw=own_random), "comes from the generator that `draw` is given"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_samplers_mistake_is_refused_in_a_line_that_names_it(case: str) -> None:
    sampler, said = MISTAKES[case]
    line = refused(lambda: tried(sampler))
    assert line.startswith("sampler 'mine': tried before the run begins")
    assert said in line


GOOD: dict[str, Any] = {
    "uniform": {"Sampler": uniform.Sampler},
    "prioritized": {"Sampler": prioritized.Sampler, "Options": prioritized.Options},
    "proportional": {"Sampler": proportional_sampler.Sampler, "Options": proportional_sampler.Options},
    "counting": {"Sampler": Counting},
}


@given(
    name=st.sampled_from(sorted(GOOD)),
    num_envs=st.integers(1, 9),
    capacity=st.integers(20, 400),
    start=st.integers(0, 400),
    batch_size=st.integers(1, 64),
    n_step=st.integers(1, 4),
)
@settings(max_examples=25, deadline=None)
def test_what_is_right_is_not_refused_whatever_the_sizes(
    name: str, num_envs: int, capacity: int, start: int, batch_size: int, n_step: int
) -> None:
    sizes = {"num_envs": num_envs, "replay_capacity": num_envs * capacity, "replay_start": start}
    register("sampler", "mine", **GOOD[name])
    n_step = 1 if name == "counting" else n_step  # it draws no row whose n steps are played
    try_sampler(overridden(Config(), SMALL | sizes | {"batch_size": batch_size, "n_step": n_step}))
    assert "mine" in KINDS["sampler"].names()


def test_a_trial_takes_no_more_rows_than_the_run_has_and_not_many(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []
    heard = changed(Learning, added=lambda self, envs, positions: added.append(len(envs)))
    for num_envs, capacity, most in ((1, 10**6, 600), (256, 10**6, 250), (4, 40, 100)):
        added.clear()
        tried(heard, num_envs=num_envs, replay_capacity=capacity)
        assert sum(size == num_envs for size in added) <= most
    assert sampler_trial.MOST_ROWS + sampler_trial.A_LAP < 600


def states_of_generators() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_a_trial_leaves_every_generator_of_the_process_as_it_was() -> None:
    def draws(self: Any, envs: np.ndarray, positions: np.ndarray) -> None:
        random.random()
        np.random.rand()
        torch.rand(1)

    register("sampler", "mine", Sampler=changed(Learning, added=draws))
    before, network = states_of_generators(), torch.nn.Identity()
    try_parts(overridden(Config(), SMALL), network, torch.device("cpu"), masked=False)  # type: ignore[arg-type]
    assert states_of_generators() == before
