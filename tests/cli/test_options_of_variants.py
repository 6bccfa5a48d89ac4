"""Flags of a variant's options stand alone, also where one is called like a short name of `pixelq train`."""

import pytest

from pixelq.cli import main
from pixelq.runs import session
from pixelq.variants import KINDS


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The configurations that would have been trained."""
    found = []

    def noted(config, run_dir=None):
        found.append(config)
        return session.Result(run_dir or tmp_path, 0, 0.0, None)

    monkeypatch.setattr(session, "start", noted)
    return found


WITH_DOUBLE = [loss for loss in KINDS["loss"].names() if hasattr(KINDS["loss"].options_class(loss), "double")]


@pytest.mark.parametrize("loss", WITH_DOUBLE)
def test_double_is_the_option_of_a_loss_that_has_one(loss, started):
    for words, double in (["--double"], True), ([], False), (["--no-double"], False):
        assert main(["train", "breakout", "--recipe", "cleanrl", "--loss", loss, *words]) == 0
        assert started[-1].loss == loss
        assert started[-1].head == KINDS["loss"].find(loss).HEADS[0]
        assert started[-1].loss_options["double"] is double


@pytest.mark.parametrize(
    ("recipe", "words", "options"),
    [
        ("qr-dqn", ["--kappa", "0", "--double"], {"kappa": 0.0, "double": True}),
        ("iqn", ["--taus", "8", "--target-taus", "6", "--choosing-taus", "0"], {"taus": 8, "target_taus": 6}),
        ("c51", ["--priority", "kl", "--atoms", "21", "--v-min", "0"], {"priority": "kl", "double": False}),
        ("hl-gauss", ["--double", "--projection", "two_hot"], {"projection": "two_hot", "double": True}),
    ],
)
def test_the_other_options_of_such_a_loss_need_no_table(recipe, words, options, started):
    assert main(["train", "breakout", "--recipe", recipe, *words]) == 0
    assert options.items() <= started[-1].loss_options.items()


def test_a_short_name_stays_one_where_no_variant_has_it_as_an_option(started):
    assert {"c51", "qr", "iqn", "hl_gauss"} <= set(WITH_DOUBLE)
    assert main(["train", "breakout", "--recipe", "cleanrl", "--double"]) == 0
    assert started[-1].loss == "double"
