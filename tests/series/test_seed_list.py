"""Seeds as a person writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.errors import UserError
from pixelq.series.seed_list import read_seeds


@pytest.mark.parametrize(
    ("text", "seeds"), [("1-5", [1, 2, 3, 4, 5]), ("1,3,7", [1, 3, 7]), (" 2 - 3, 3,0", [2, 3, 0]), ("7", [7])]
)
def test_ranges_and_lists(text: str, seeds: list[int]) -> None:
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "5-1", "1,,2", "-3", "1-100000", "1.5"])
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--seeds"):
        read_seeds(text)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20, unique=True))
def test_a_list_is_read_as_it_is_written(seeds: list[int]) -> None:
    assert read_seeds(",".join(map(str, seeds))) == seeds
