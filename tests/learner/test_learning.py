"""What a run asks of what learns: pixelq's learners have it, and a loop's own one without it is refused in one line."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from own_variants import as_it_was, refused
from pixelq.learner import Learning, checked_learner
from pixelq.learner.learner import Learner
from pixelq.learner.stream_learner import StreamLearner
from pixelq.loops import replay_loop
from pixelq.runs.initial_weights import InitialWeights, begin_with
from pixelq.runs.run import Run
from pixelq.runs.session import start
from pixelq.variants import register
from run_fixtures import in_folder
from small_runs import small

__all__ = ["as_it_was", "in_folder"]
pytestmark = pytest.mark.usefixtures("as_it_was")
ASKED = ("network", "averaged_network", "changes", "take_means", "check_finite", "state_dict", "load_state_dict")


def lacking(name: str) -> Any:
    """A class of learners that have all but this."""
    return lambda *made_with: SimpleNamespace(
        **{asked: getattr(Learner(*made_with), asked) for asked in ASKED if asked != name}
    )


@pytest.mark.parametrize("name", ASKED)
def test_a_learner_that_lacks_what_a_run_asks_is_one_line_and_nothing_is_written(name: str, in_folder: Path) -> None:
    register("loop", "mine", loop=replay_loop.loop, HAS_REPLAY=True, Learner=lacking(name))
    line = refused(start, small(loop="mine"), Path("run"))
    assert f"loop 'mine': its Learner has no {name}, which a run asks of it" in line
    assert not Path("run").exists()


def test_it_is_all_that_the_protocol_has() -> None:
    said = [*Learning.__annotations__, *(name for name in vars(Learning) if not name.startswith("_"))]
    assert sorted(said) == sorted(ASKED)


@pytest.mark.parametrize(("recipe", "kind"), [("nature2015", Learner), ("stream-q", StreamLearner)])
def test_pixelqs_learners_have_it(recipe: str, kind: type) -> None:
    run = Run(small(recipe, screen_size=84, batch_size=1 if recipe == "stream-q" else 4))
    assert isinstance(run.parts.learner, kind)
    assert checked_learner(run.parts.learner, recipe) is run.parts.learner
    run.parts.close()


def test_a_learner_that_cannot_begin_with_weights_is_told_so_in_one_line() -> None:
    register("loop", "mine", loop=replay_loop.loop, HAS_REPLAY=True, Learner=lacking("nothing"))
    run = Run(small(loop="mine"))
    weights = {name: torch.zeros_like(value) for name, value in run.parts.learner.network.state_dict().items()}
    line = refused(begin_with, run, InitialWeights(weights, None))
    run.parts.close()
    assert "the Learner of the loop mine has no start_from" in line
