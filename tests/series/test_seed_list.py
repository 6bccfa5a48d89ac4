"""Seeds as a person writes them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.series.seed_list import read_seeds

CONFIG = configure("CartPole-v1")


@pytest.mark.parametrize(
    ("text", "seeds"), [("1-5", [1, 2, 3, 4, 5]), ("1,3,7", [1, 3, 7]), (" 2 - 3, 3,0", [2, 3, 0]), ("7", [7])]
)
def test_ranges_and_lists(text: str, seeds: list[int]) -> None:
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "5-1", "1,,2", "-3", "1-100000", "1.5"])
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--seeds"):
        read_seeds(text)


@settings(deadline=None)
@given(st.integers(0, 2**40) | st.sampled_from([2**31 - 1, 2**31, 10**18, 10**19, 10**90]))
def test_a_seed_is_taken_exactly_if_a_run_can_have_it(seed: int) -> None:
    """`--seeds` writes a folder before any run begins, and a run refuses a seed that is too large."""
    taken = True
    try:
        validate(replace(CONFIG, seed=seed))
    except UserError:
        taken = False
    for text, seeds in ((f"{seed}", [seed]), (f"0,{seed}", [0, seed]), (f"{max(0, seed - 1)}-{seed}", None)):
        if taken:
            assert seeds is None or read_seeds(text) == list(dict.fromkeys(seeds))
        else:
            with pytest.raises(UserError, match="must be below 2"):
                read_seeds(text)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20, unique=True))
def test_a_list_is_read_as_it_is_written(seeds: list[int]) -> None:
    assert read_seeds(",".join(map(str, seeds))) == seeds
