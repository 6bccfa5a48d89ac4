"""What a sweep varies, as a person writes it."""

import pytest

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.series.ranges import Choices, Span, applied, read_ranges


@pytest.fixture(scope="module")
def base() -> Config:
    return configure("pong", "nature2015")


def test_spans_choices_and_logarithms_are_of_the_fields_types(base: Config) -> None:
    words = ("learning_rate=log:1e-5:1e-3", "batch_size=32,64,128", "gamma=0.9:0.999", "target-every=log:1000:1e4")
    assert read_ranges(words, base) == {
        "learning_rate": Span(1e-5, 1e-3, log=True),
        "batch_size": Choices((32, 64, 128)),
        "gamma": Span(0.9, 0.999, log=False),
        "target_every": Span(1000, 10000, log=True),
    }
    assert [one.whole for one in read_ranges(words, base).values() if isinstance(one, Span)] == [False, False, True]


def test_variants_their_options_and_short_names_are_varied_too(base: Config) -> None:
    ranges = read_ranges(("loss=dqn,double", "dueling=true,false", "error=huber,squared"), base)
    assert ranges["dueling"] == Choices((True, False))
    config = applied(base, {"loss": "double", "dueling": True, "error": "squared"})
    assert (config.loss, config.streams, config.loss_options["error"]) == ("double", "dueling", "squared")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("learning_rat=1e-5:1e-3", "learning_rate"),
        ("learning_rate=1e-3:1e-5", "not below"),
        ("learning_rate=log:0:1", "above 0"),
        ("gamma=0.9:2.0", "gamma"),
        ("gamma", "FIELD=LOW:HIGH"),
        ("gamma=", "FIELD=LOW:HIGH"),
        ("gamma=0.9", "--gamma 0.9"),
        ("gamma=a:b", "no range of numbers"),
        ("batch_size=32,,64", "empty choice"),
        ("batch_size=32,32", "twice"),
        ("batch_size=32.5,64", "whole number"),
        ("loss=dqn,nothing", "nothing"),
        ("rollout_length=8,16", "no effect|has no effect|rollout"),
        ("seed=1,2", "option of its own"),
        ("double=1,2", "true or false"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(word: str, said: str, base: Config) -> None:
    with pytest.raises(UserError, match=said) as error:
        read_ranges((word,), base)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("--over")


def test_a_field_is_varied_once_and_at_least_one_is(base: Config) -> None:
    with pytest.raises(UserError, match="twice"):
        read_ranges(("gamma=0.9:0.99", "gamma=0.8:0.9"), base)
    with pytest.raises(UserError, match="nothing to vary"):
        read_ranges((), base)
