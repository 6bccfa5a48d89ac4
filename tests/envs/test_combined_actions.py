"""Every combination of what may be done is one action, in the order of counting, given in the environment's form."""

import itertools
import math
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pixelq.envs.combined_actions import actions_of
from pixelq.errors import UserError

LEAVES = st.one_of(
    st.tuples(st.integers(1, 4), st.integers(-3, 3)).map(lambda x: spaces.Discrete(x[0], start=x[1])),
    st.lists(st.integers(1, 3), min_size=1, max_size=3).map(spaces.MultiDiscrete),
    st.just(spaces.MultiDiscrete([[2, 3], [1, 2]], start=[[0, 5], [-1, 0]])),
    st.integers(1, 3).map(spaces.MultiBinary),
    st.just(spaces.Box(-1, 1, (2,), np.int8)),
)
SPACES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(spaces.Tuple),
        st.dictionaries(st.sampled_from("ba"), inner, min_size=1, max_size=2).map(spaces.Dict),
    ),
    max_leaves=3,
)


@settings(max_examples=60, deadline=None)
@given(SPACES)
def test_each_number_is_another_element_of_the_space_and_all_are_there(space: gymnasium.Space[Any]) -> None:
    size = math.prod(_size(leaf) for leaf in _leaves(space))
    assume(size <= 1024)
    actions = actions_of(space, "Game-v0")
    assert actions.count == size
    seen = set()
    for number in range(actions.count):
        action = actions.given(number)
        assert space.contains(action), action
        seen.add(repr(action))
    assert len(seen) == actions.count == len(set(actions.names))


def _leaves(space: Any) -> list[Any]:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return [leaf for one in inner for leaf in _leaves(one)]
    return [space]


def _size(leaf: Any) -> int:
    if isinstance(leaf, spaces.Discrete):
        return int(leaf.n)
    if isinstance(leaf, spaces.Box):
        return int(np.prod(leaf.high.astype(int) - leaf.low + 1))
    return 2 ** int(leaf.n) if isinstance(leaf, spaces.MultiBinary) else int(np.prod(leaf.nvec))


def test_the_last_choice_changes_first() -> None:
    actions = actions_of(spaces.MultiDiscrete([3, 2]), "Game-v0")
    wanted = list(itertools.product(range(3), range(2)))
    assert [tuple(actions.given(i).tolist()) for i in range(6)] == wanted
    assert actions.names == [str(one) for one in wanted]
    both = actions_of(spaces.Tuple([spaces.Discrete(2, start=5), spaces.MultiBinary(1)]), "Game-v0")
    assert both.names == ["(5, (0))", "(5, (1))", "(6, (0))", "(6, (1))"]
    named = actions_of(spaces.Dict({"gun": spaces.Discrete(2), "arm": spaces.Discrete(2)}), "Game-v0")
    assert named.names[1] == "arm 0, gun 1"


def test_a_plain_discrete_space_gives_numpy_integers_from_where_it_starts() -> None:
    actions = actions_of(spaces.Discrete(3, start=-1), "Game-v0")
    assert not actions.combined
    assert [actions.given(i) for i in range(3)] == [-1, 0, 1]
    assert isinstance(actions.given(0), np.int64)


def test_an_environment_that_writes_into_its_action_changes_no_other() -> None:
    actions = actions_of(spaces.MultiBinary(2), "Game-v0")
    actions.given(3)[:] = 0
    assert actions.given(3).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.Box(-1, 1, (2,)), "continuous"),
        (spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (2,))]), "continuous"),
        (spaces.Box(0, 9, (4,), np.int64), "10,000 combinations"),
        (spaces.Box(-(2**62), 2**62, (2,), np.int64), r"8\.5e\+37 combinations"),
        (spaces.MultiBinary(11), "2,048 combinations"),
        (spaces.MultiDiscrete([5, 205]), "1,025 combinations"),
        (spaces.MultiDiscrete([2] * 100), r"1\.3e\+30 combinations"),
        (spaces.Discrete(1025), "1,025 actions"),
        (spaces.Text(3), "Text space"),
        (spaces.Sequence(spaces.Discrete(2)), "Sequence space"),
        (spaces.Graph(spaces.Discrete(2), None), "Graph space"),
        (spaces.Dict({"a": spaces.Text(3)}), "Text space"),
    ],
)
def test_endless_and_very_many_actions_are_refused_in_one_line_with_their_number(
    space: gymnasium.Space[Any], words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        actions_of(space, "Game-v0")
    assert "TransformAction" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("space", [spaces.MultiBinary(10), spaces.MultiDiscrete([4, 256]), spaces.Discrete(1024)])
def test_1024_are_not_too_many(space: gymnasium.Space[Any]) -> None:
    assert actions_of(space, "Game-v0").count == 1024
