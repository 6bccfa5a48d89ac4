"""A nested state survives as JSON and safetensors, exactly."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pixelq.checkpoints.state_tree import join, split
from pixelq.checkpoints.store import CheckpointStore
from pixelq.errors import UserError

ARRAYS = hnp.arrays(
    st.sampled_from([np.uint8, np.int64, np.float32, np.float64, np.bool_]), hnp.array_shapes(min_dims=0, min_side=0)
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | ARRAYS
KEYS = st.text(st.characters(exclude_characters="/", codec="utf-8"), min_size=1, max_size=6)
STATES = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=4) | st.lists(inner, max_size=3))


def through_files(state: dict[str, Any]) -> dict[str, Any]:
    tree, tensors = split(state)
    return join(json.loads(json.dumps(tree)), safetensors.torch.load(safetensors.torch.save(tensors)))


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


@given(st.dictionaries(KEYS, STATES, max_size=5))
def test_a_state_comes_back_equal_in_every_bit(state: dict[str, Any]) -> None:
    assert same(state, through_files(state))


def test_the_states_of_generators_and_optimizers_come_back() -> None:
    generator = np.random.default_rng(3)
    weight = torch.nn.Parameter(torch.randn(2, 3))
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    back = through_files({"generator": generator.bit_generator.state, "adam": optimizer.state[weight]})
    copy = np.random.default_rng(0)
    copy.bit_generator.state = back["generator"]
    assert copy.integers(2**62) == generator.integers(2**62)
    assert all(torch.equal(back["adam"][k], v) for k, v in optimizer.state[weight].items())


def test_what_was_split_does_not_follow_the_state() -> None:
    tensor, array = torch.zeros(3), np.zeros(3)
    _, tensors = split({"t": tensor, "a": array})
    tensor += 1
    array += 1
    assert not tensors["t"].any()
    assert not tensors["a"].any()


def test_numpy_numbers_become_plain_ones_without_loss() -> None:
    back = through_files({"f": np.float32(0.1), "i": np.int64(2**60), "b": np.bool_(True), "nan": math.nan})
    assert back["f"] == float(np.float32(0.1))
    assert back["i"] == 2**60
    assert back["b"] is True
    assert math.isnan(back["nan"])


def test_two_parts_with_one_path_are_refused() -> None:
    with pytest.raises(UserError, match="a/b is the name of two parts"):
        split({"a/b": np.zeros(1), "a": {"b": np.zeros(1)}})


@pytest.mark.parametrize("path", ["gone", 3, ["x"], None, {"deep": 1}])
def test_a_marker_that_names_no_tensor_is_a_users_error(path: Any) -> None:
    with pytest.raises(UserError, match="not there"):
        join({"x": [{"__tensor__": path}]}, {})


SELF: dict[str, Any] = {}
SELF["me"] = SELF


@pytest.mark.parametrize(
    ("odd", "part"),
    [
        ({1, 2}, "state/sampler/odd is a set"),
        (object(), "state/sampler/odd is a object"),
        (b"x", "state/sampler/odd is a bytes"),
        (1j, "state/sampler/odd is a complex"),
        ([0, {"deep": {1}}], "state/sampler/odd/1/deep is a set"),
        ({1: "x"}, "state/sampler/odd has the key 1"),
        ({"__tensor__": "x"}, "has the key '__tensor__'"),
        (np.array([object()]), "is an array of object"),
        (np.array(["x"]), "is an array of <U1"),
        (np.zeros(2, ">f4"), "is an array of >f4"),
        (torch.zeros(2, dtype=torch.complex64), "is a tensor of torch.complex64"),
        (torch.eye(2).to_sparse(), "is a tensor of torch.float32, torch.sparse_coo"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_no_file_can_hold_is_named_by_its_place(odd: Any, part: str) -> None:
    with pytest.raises(UserError) as caught:
        split({"state": {"sampler": {"odd": odd}}})
    assert part in str(caught.value)
    assert "a state_dict holds numbers" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_state_that_is_a_part_of_itself_is_one_line_when_a_checkpoint_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a part of itself"):
        CheckpointStore(tmp_path).capture(1, SELF, None)
