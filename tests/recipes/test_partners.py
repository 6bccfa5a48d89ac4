"""Losses, heads and loops of one's own go with each other by what they say and are, not by lists of their names."""

from typing import Any

import pytest

from own_variants import as_it_was, nothing, refused
from pixelq import loops
from pixelq.recipes.choice import configure
from pixelq.recipes.partners import learns_head, learns_in, steps_in, takes
from pixelq.recipes.shorthands import usual_partners
from pixelq.recipes.validation import validate
from pixelq.variants import KINDS, register

__all__ = ["as_it_was"]
pytestmark = pytest.mark.usefixtures("as_it_was")
HEADS, LOSSES, LOOPS = (KINDS[kind].names() for kind in ("head", "loss", "loop"))


def extended(head: str) -> str:
    """A head of one's own, registered, whose class extends this one's."""
    register("head", f"my_{head}", Head=type("Mine", (KINDS["head"].find(head).Head,), {}))
    return f"my_{head}"


def loop_of_ones_own(**said: Any) -> str:
    """A loop of one's own, registered, that says this."""
    register("loop", "my_loop", loop=lambda run: None, **said)
    return "my_loop"


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_extends_another_goes_with_the_losses_of_that_one_and_no_others(head: str) -> None:
    mine = extended(head)
    together = [loss for loss in LOSSES if learns_head(loss, mine)]
    assert together == [loss for loss in LOSSES if learns_head(loss, head)]
    named = [loss for loss in LOSSES if head in getattr(KINDS["loss"].find(loss), "HEADS", (head,))]
    assert together == named


def test_so_does_one_that_extends_ones_own() -> None:
    extended("quantile")
    again = extended("my_quantile")
    register("loss", "mine", loss=nothing, HEADS=("my_quantile", "not_installed"))
    assert [learns_head("mine", head) for head in (again, "my_quantile", "quantile")] == [True, True, False]
    assert learns_head("qr", again)


def test_a_recipe_keeps_such_a_head_under_a_loss_that_is_named_over_it() -> None:
    mine = extended("quantile")
    config = configure("breakout", "cleanrl", {"head": mine})
    assert usual_partners(config, {"loss": "qr"}) == {}
    assert usual_partners(config, {"loss": "c51"})["head"] == "categorical"
    validate(configure("breakout", "cleanrl", {"head": mine, "loss": "qr"}))
    line = refused(validate, configure("breakout", "cleanrl", {"head": mine, "loss": "c51"}))
    assert line == "loss = c51 learns a head categorical, not my_quantile; use --head categorical"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_of_ones_own_takes_the_losses_of_a_loop_that_gives_the_same(loop: str) -> None:
    mine = loop_of_ones_own(GIVES=loops.gives(loop))
    together = [loss for loss in LOSSES if learns_in(loss, mine)]
    assert together == [loss for loss in LOSSES if learns_in(loss, loop)]
    assert 0 < len(together) < len(LOSSES)


def test_a_loop_with_a_replay_that_says_nothing_gives_transitions() -> None:
    mine = loop_of_ones_own(HAS_REPLAY=True)
    assert [loss for loss in LOSSES if learns_in(loss, mine)] == [loss for loss in LOSSES if learns_in(loss, "replay")]


def test_a_loop_of_which_nothing_is_known_takes_what_says_nothing_of_loops_or_names_it() -> None:
    mine = loop_of_ones_own()
    register("loss", "for_mine", loss=nothing, LOOPS=("my_loop",))
    known = [loss for loss in KINDS["loss"].names() if learns_in(loss, mine)]
    assert known == [loss for loss in LOSSES if takes(loss) == ("transitions", "rollouts")] + ["for_mine"]
    line = refused(validate, configure("breakout", "cleanrl", {"loop": mine, "loss": "double"}))
    assert "one for the my_loop loop, whose file does not say what it GIVES (double takes transitions)" in line
    validate(configure("breakout", "cleanrl", {"loop": mine, "loss": "for_mine"}))


def test_a_loss_that_names_loops_takes_what_they_give() -> None:
    register("loss", "mine", loss=nothing, LOOPS=("parallel", "not_installed"))
    assert {loop for loop in LOOPS if learns_in("mine", loop)} == {"parallel", "recurrent_parallel"}
    assert learns_in("mine", loop_of_ones_own(GIVES="rollouts"))


def test_a_loop_may_give_something_new_for_a_loss_that_takes_it() -> None:
    register("loss", "mine", loss=nothing, TAKES=("trees",))
    mine = loop_of_ones_own(GIVES="trees")
    assert [loss for loss in KINDS["loss"].names() if learns_in(loss, mine)] == ["mine"]
    line = refused(validate, configure("breakout", "cleanrl", {"loop": mine}))
    assert "one for the my_loop loop, which gives trees (dqn takes transitions or rollouts)" in line


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("loss", {"TAKES": "rollouts"}),
        ("loop", {"GIVES": ("rollouts",)}),
        ("loss", {"HEADS": (1,)}),
        ("loss", {"DOUBLE": 1}),
        ("loss", {"NEEDS_TARGET": ["double"]}),
    ],
)
def test_what_is_said_in_another_form_is_one_line(kind: str, said: dict[str, Any]) -> None:
    line = refused(lambda: register(kind, "mine", **{KINDS[kind].part: nothing}, **said))
    assert f"{kind} 'mine': its {next(iter(said))} must be" in line


def test_a_misspelt_name_among_a_loops_own_fields_is_refused() -> None:
    loop_of_ones_own(OWN_FIELDS={"replay_strat": None})
    assert "its OWN_FIELDS names 'replay_strat', which is no field" in refused(loops.fields_of, "my_loop")


@pytest.mark.parametrize(
    ("said", "of_streams"), [({"GIVES": "stream"}, True), ({"GIVES": "trees"}, False), ({}, False)]
)
def test_an_optimizer_that_says_nothing_goes_with_any_loop_of_ones_own(said: dict[str, Any], of_streams: bool) -> None:
    mine = loop_of_ones_own(**said)
    assert steps_in("adam", mine)
    assert steps_in("obgd", mine) == of_streams


def test_of_pixelqs_loops_the_stream_loop_alone_has_the_optimizer_that_is_made_for_it() -> None:
    assert [loop for loop in LOOPS if steps_in("obgd", loop)] == ["stream"]
    assert [loop for loop in LOOPS if not steps_in("adam", loop)] == ["stream"]
