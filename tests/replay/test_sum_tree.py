"""The sum-tree is held to a plain cumulative sum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.replay.sum_tree import MOST_WAITING, WIDTH, SumTree

SIZES = st.sampled_from([1, 2, WIDTH - 1, WIDTH, WIDTH + 1, WIDTH**2 - 1, WIDTH**2 + 1, 2 * WIDTH**2 + 77])


@given(size=SIZES, seed=st.integers(0, 2**31), changes=st.lists(st.integers(1, 50), max_size=8))
@settings(max_examples=60, deadline=None)
def test_sums_and_places_are_those_of_a_cumulative_sum(size: int, seed: int, changes: list[int]) -> None:
    """Whole numbers, which are added without rounding, so that every boundary is exact."""
    generator = np.random.default_rng(seed)
    tree, naive = SumTree(size), np.zeros(size)
    for many in changes:
        places = generator.integers(0, size, many)
        values = generator.integers(0, 5, many)
        tree.set(places, values)
        for place, value in zip(places, values, strict=True):
            naive[place] = value
        assert tree.total() == naive.sum()
        assert np.array_equal(tree.values, naive)
        assert np.array_equal(tree.get(places), naive[places])
    if naive.sum() == 0:
        return
    parts = np.concatenate([generator.integers(0, naive.sum(), 40), generator.random(40) * naive.sum()])
    found = tree.find(parts.astype(np.float64))
    assert np.array_equal(found, naive.cumsum().searchsorted(parts, side="right"))


def test_a_part_at_a_boundary_is_of_what_follows_on_every_level() -> None:
    tree = SumTree(3 * WIDTH**2)
    tree.fill(np.ones(3 * WIDTH**2, np.float32))
    places = np.arange(3 * WIDTH**2)
    assert np.array_equal(tree.find(places.astype(np.float64)), places)


def test_sums_never_drift_and_depend_on_the_values_alone() -> None:
    """After 20,000 changes over 60 powers of ten, the same sums to the bit as a tree that was filled at once."""
    generator = np.random.default_rng(0)
    changed, filled = SumTree(5_000), SumTree(5_000)
    for _ in range(20_000 // 32):
        changed.set(generator.integers(0, 5_000, 32), 10.0 ** generator.uniform(-30, 30, 32))
        if generator.random() < 0.5:
            changed.total()
    changed.set(np.arange(4_990), 10.0 ** generator.uniform(-30, -20, 4_990))  # the huge ones are gone, almost all
    filled.fill(changed.values.copy())
    assert changed.total() == filled.total()
    parts = generator.random(500) * filled.total()
    assert np.array_equal(changed.find(parts), filled.find(parts))
    np.testing.assert_allclose(filled.total(), filled.values.astype(np.longdouble).sum(), rtol=1e-12)


@given(seed=st.integers(0, 2**31), exponent=st.integers(-37, 30))
@settings(max_examples=40, deadline=None)
def test_what_has_no_value_is_never_found(seed: int, exponent: int) -> None:
    """At the very ends of the sum too, where rounding could step over them."""
    generator = np.random.default_rng(seed)
    tree = SumTree(3 * WIDTH**2)
    places = generator.choice(3 * WIDTH**2, 20, replace=False)
    tree.set(places, 10.0**exponent * generator.random(20))
    tree.set(places[:5], 0.0)
    total = tree.total()
    edges = np.concatenate([tree.values[places].astype(np.float64).cumsum(), [0.0, total, np.nextafter(total, 0.0)]])
    parts = np.concatenate(
        [edges, np.nextafter(edges, np.inf), np.nextafter(edges, 0.0), generator.random(500) * total]
    )
    found = tree.find(parts)
    assert (tree.get(found) > 0).all()
    assert set(found.tolist()) <= set(places[5:].tolist())


def test_changes_that_nobody_asks_for_do_not_pile_up() -> None:
    tree = SumTree(1_000)
    for i in range(10 * MOST_WAITING):
        tree.set(np.array([i % 1_000]), 1.0)
        assert len(tree._waiting) < MOST_WAITING
    assert tree.total() == 1_000


@pytest.mark.parametrize("size", [1_000_000])
def test_a_million_values_take_a_few_megabytes(size: int) -> None:
    tree = SumTree(size)
    assert sum(array.nbytes for array in (tree._leaves, tree._sums, tree._top)) < 4.3e6
