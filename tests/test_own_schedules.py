"""A schedule of epsilon of one's own says which fields it goes by; what it does is asked of it, not of its name."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from own_variants import as_it_was, refused
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.unused import check_used
from pixelq.recipes.validation import validate
from pixelq.recipes.variant_fields import EPSILON_FIELDS, used_fields
from pixelq.schedules import epsilon_schedule, final_epsilon
from pixelq.variants import KINDS, register
from pixelq.viewing.protocol import described

__all__ = ["as_it_was"]
pytestmark = pytest.mark.usefixtures("as_it_was")
FIELDS = {"epsilon_start": 0.9, "epsilon_begin": 7, "epsilon_end": 0.2, "epsilon_steps": 50}
SUBSETS = [uses for n in range(5) for uses in itertools.combinations(EPSILON_FIELDS, n)]


def rising(config: Config, options: object) -> Callable[[int], np.ndarray]:
    """From 0.25 to 0.5 over the run; the second half of the environments 0.25 above the first."""
    above = np.where(np.arange(config.num_envs) * 2 < config.num_envs, 0.0, 0.25)
    return lambda agent_steps: 0.25 + 0.25 * min(1.0, agent_steps / config.steps) + above


def mine(uses: tuple[str, ...] | None = (), **overrides: object) -> Config:
    """A configuration with `rising`, which says this of itself; None: nothing."""
    register("epsilon_schedule", "mine", epsilon=rising, **({} if uses is None else {"USES": uses}))
    return configure("breakout", "cleanrl", {"epsilon_schedule": "mine", "num_envs": 4, "steps": 1000, **overrides})


@pytest.mark.parametrize("uses", SUBSETS, ids=",".join)
def test_exactly_the_fields_that_it_does_not_use_are_refused_where_a_person_names_them(uses: tuple[str, ...]) -> None:
    config = mine(uses, **FIELDS)
    for field, value in FIELDS.items():
        if field in uses:
            assert check_used(config, [field]) is None
        else:
            assert f"{field} = {value} would have no effect" in refused(check_used, config, [field])


def test_one_that_says_nothing_uses_all() -> None:
    config = mine(None, **FIELDS)
    assert used_fields("epsilon_schedule", "mine") == EPSILON_FIELDS
    assert check_used(config, FIELDS) is None
    validate(config)


def test_what_it_does_not_use_may_not_say_that_it_begins_later_and_needs_no_length() -> None:
    validate(mine((), epsilon_steps=0))
    assert "epsilon_begin = 7 is out of range: it must be 0" in refused(validate, mine((), epsilon_begin=7))
    assert "epsilon_steps = 0 is out of range" in refused(validate, mine(("epsilon_steps",), epsilon_steps=0))


def test_the_line_names_every_schedule_that_uses_the_field() -> None:
    config = mine(("epsilon_end",), epsilon_schedule="constant")
    line = refused(check_used, config, ["epsilon_end"])
    assert "--epsilon-schedule exponential, ladder, linear or mine uses it" in line


def test_a_field_that_there_is_not_is_one_line() -> None:
    line = refused(validate, mine(("epsilon_stop",)))
    assert "epsilon_schedule 'mine': its USES names 'epsilon_stop', which is none of epsilon_start" in line


def test_an_installed_one_that_cannot_be_imported_stops_no_run_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise ImportError("gone")

    for kind in ("epsilon_schedule", "loop"):
        broken = {"broken": SimpleNamespace(load=fails, value="gone")}
        monkeypatch.setattr(KINDS[kind], "_installed", lambda broken=broken: broken)
        with pytest.raises(UserError, match="cannot be imported"):
            KINDS[kind].find("broken")
    assert check_used(configure("breakout", "cleanrl"), ["epsilon_end", "batch_size"]) is None


def test_a_comparison_says_what_it_does_and_what_it_goes_by() -> None:
    said = described(mine())["epsilon while training"]
    assert said == "0.25...0.5 to 0.5...0.75 by mine"
    said = described(mine(("epsilon_end", "epsilon_steps"), **FIELDS))["epsilon while training"]
    assert said == "0.25...0.5 to 0.5...0.75 by mine, which goes by epsilon_end 0.2, epsilon_steps 50"
    assert described(mine(num_envs=1))["epsilon while training"] == "0.25 to 0.5 by mine"


def test_a_comparison_says_no_values_of_one_that_is_not_known_here(monkeypatch: pytest.MonkeyPatch) -> None:
    config = mine(**FIELDS)
    monkeypatch.setattr(KINDS["epsilon_schedule"], "_registered", {})
    by = "epsilon_start 0.9, epsilon_begin 7, epsilon_end 0.2, epsilon_steps 50"
    assert described(config)["epsilon while training"] == f"by mine, which goes by {by}"


@pytest.mark.parametrize("name", ["constant", "exponential", "ladder", "linear"])
def test_pixelqs_own_go_by_what_they_say(name: str) -> None:
    base = Config(epsilon_schedule=name, num_envs=3, **FIELDS)
    for field, other in {"epsilon_start": 0.8, "epsilon_begin": 3, "epsilon_end": 0.1, "epsilon_steps": 90}.items():
        changed = epsilon_schedule(Config(epsilon_schedule=name, num_envs=3, **FIELDS | {field: other}))
        differs = any(np.any(changed(t) != epsilon_schedule(base)(t)) for t in (0, 5, 20, 60, 400))
        assert differs == (field in used_fields("epsilon_schedule", name)), field


def test_the_end_is_that_of_the_run_or_of_a_fall_that_is_longer() -> None:
    assert final_epsilon(mine()).tolist() == [0.5, 0.5, 0.75, 0.75]
    assert final_epsilon(Config(steps=10, epsilon_end=0.125, epsilon_steps=100, epsilon_begin=5)).tolist() == [0.125]
    assert final_epsilon(Config(steps=10, epsilon_schedule="constant", epsilon_start=0.3)).tolist() == [0.3]


class Halving:
    """A schedule that is a class: made of the recipe, and called with the agent steps."""

    def __init__(self, config: Config, options: object) -> None:
        self.start = np.full(config.num_envs, config.epsilon_start)

    def __call__(self, agent_steps: int) -> np.ndarray:
        return self.start * 0.5**agent_steps


def test_a_schedule_that_is_a_class_goes_by_all_fields_as_a_function_does() -> None:
    register("epsilon_schedule", "mine", epsilon=Halving)
    assert used_fields("epsilon_schedule", "mine") == EPSILON_FIELDS
    config = configure("breakout", "cleanrl", {"epsilon_schedule": "mine", "epsilon_start": 0.5, "epsilon_steps": 7})
    check_used(config, {"epsilon_start", "epsilon_steps"})
    assert epsilon_schedule(config)(1).tolist() == [0.25] * config.num_envs
