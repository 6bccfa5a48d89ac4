"""Observations of several parts: numbers in Gymnasium's own order, images as channels, both in one frame."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from odd_spaces import IMAGES, NUMBERS
from pixelq.config import Config
from pixelq.envs.frames import MisreadError
from pixelq.envs.observation_frames import frames_of, parts_of
from pixelq.image_and_numbers import ImageAndNumbers

PLAIN = Config(screen_size=0, grayscale=False)
LEAVES = st.one_of(
    st.integers(1, 4).map(lambda n: spaces.Box(-np.inf, np.inf, (n,))),
    st.just(spaces.Box(-2, 3, (2, 2), np.float64)),
    st.just(spaces.Box(-5, 5, (), np.int64)),
    st.tuples(st.integers(1, 4), st.integers(-3, 3)).map(lambda x: spaces.Discrete(x[0], start=x[1])),
    st.lists(st.integers(1, 3), min_size=1, max_size=3).map(spaces.MultiDiscrete),
    st.just(spaces.MultiDiscrete([[2, 3], [1, 2]], start=[[0, 5], [-1, 0]])),
    st.integers(1, 4).map(spaces.MultiBinary),
    st.just(spaces.MultiBinary((2, 3))),
)
SPACES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        st.dictionaries(st.sampled_from("zxcab"), inner, min_size=1, max_size=3).map(spaces.Dict),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(SPACES, st.integers(0, 2**31))
def test_numbers_come_in_the_order_of_gymnasiums_flatten(space: gymnasium.Space[Any], seed: int) -> None:
    space.seed(seed)
    observation = space.sample()
    frames = frames_of(space, PLAIN, "Game-v0")
    wanted = np.asarray(gymnasium.spaces.flatten(space, observation), np.float32)
    assert frames.dtype is np.float32
    assert frames.shape == wanted.shape
    assert np.array_equal(frames.make(observation), wanted)


def test_bytes_among_the_parts_are_scaled_as_bytes_alone_are() -> None:
    space = spaces.Dict({"b": spaces.Box(0, 255, (2,), np.uint8), "a": spaces.Box(0.0, 255.0, (1,))})
    made = frames_of(space, PLAIN, "Game-v0").make({"b": np.array([51, 255], np.uint8), "a": np.array([255.0])})
    assert made.tolist() == pytest.approx([255.0, 0.2, 1.0])


def test_images_become_channels_of_one_and_numbers_stand_beside_it_unchanged() -> None:
    space = spaces.Dict(NUMBERS | IMAGES)
    space.seed(0)
    frames = frames_of(space, PLAIN, "Game-v0")
    assert "camera as an image of 40 x 40 x 3" in frames.reads
    assert "numbers in a row (arm.0 2, arm.1 3, dial 5, keys 4)" in frames.reads
    stacked = frames.stacked_space(2)
    assert isinstance(stacked, ImageAndNumbers)
    assert (stacked.image_shape, stacked.numbers) == ((40, 40, 4), 14)
    for _ in range(5):
        shown = space.sample()
        frame = frames.make(shown)
        assert frame.shape == stacked.shape[1:]
        assert np.array_equal(frame[:40, :, :3], shown["camera"])
        assert np.array_equal(frame[:40, :, 3], shown["depth"])
        numbers = gymnasium.spaces.flatten(spaces.Dict(NUMBERS), {name: shown[name] for name in NUMBERS})
        assert np.array_equal(stacked.numbers_in(frame[None])[0], numbers.astype(np.float32))


@pytest.mark.parametrize(("grayscale", "screen_size", "shape"), [(True, 0, (40, 40, 2)), (False, 20, (20, 20, 4))])
def test_each_image_is_made_as_it_would_be_alone(grayscale: bool, screen_size: int, shape: tuple[int, ...]) -> None:
    config = Config(screen_size=screen_size, grayscale=grayscale)
    space = spaces.Dict(IMAGES)
    space.seed(1)
    shown = space.sample()
    frames = frames_of(space, config, "Game-v0")
    assert (frames.shape, frames.dtype) == (shape, np.uint8)
    alone = [frames_of(IMAGES[name], config, "Game-v0").make(shown[name]) for name in ("camera", "depth")]
    wanted = np.concatenate([one if one.ndim == 3 else one[..., None] for one in alone], axis=2)
    assert np.array_equal(frames.make(shown), wanted)


def test_a_single_gray_image_with_numbers_has_no_axis_of_channels() -> None:
    space = spaces.Tuple([spaces.Box(0, 255, (20, 30, 3), np.uint8), spaces.Discrete(3)])
    frames = frames_of(space, Config(screen_size=0), "Game-v0")
    assert frames.shape == (21, 30)
    assert frames.make((np.zeros((20, 30, 3), np.uint8), 2))[20, 8:12].view("<f4").tolist() == [1.0]


def test_images_of_different_sizes_are_brought_to_the_recipes() -> None:
    space = spaces.Dict({"a": spaces.Box(0, 255, (20, 30), np.uint8), "b": spaces.Box(0, 255, (50, 40), np.uint8)})
    assert frames_of(space, Config(screen_size=36), "Game-v0").shape == (36, 36, 2)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({"a": [0.0, 1.0]}, "an observation has no b.0, but its space, a Dict, says so"),
        ({"a": [0.0, 1.0], "b": ()}, "an observation has no b.0"),
        ({"a": [0.0, 1.0], "b": 3}, "an observation has no b.0"),
        (None, "an observation has no a"),
        ({"a": [0.0, 1.0, 2.0], "b": (1,)}, r"part a: an observation is \(3,\) float64"),
        ({"a": [0.0, 1.0], "b": (7,)}, "part b.0: an observation is 7, but its space says a whole number from 0 to 1"),
    ],
)
def test_a_part_that_is_not_what_its_space_says_is_named(shown: Any, words: str) -> None:
    space = spaces.Dict({"a": spaces.Box(-9, 9, (2,)), "b": spaces.Tuple([spaces.Discrete(2)])})
    with pytest.raises(MisreadError, match=words):
        frames_of(space, PLAIN, "Game-v0").make(shown)


@pytest.mark.parametrize("shown", [[0, 3], [0], [0.5, 1], [-1, 0], None, [np.nan, 0], [[0, 1, 1]]])
def test_numbers_of_a_multi_discrete_outside_their_sets_are_refused(shown: Any) -> None:
    with pytest.raises(MisreadError, match="its space says MultiDiscrete"):
        frames_of(spaces.MultiDiscrete([2, 3]), PLAIN, "Game-v0").make(shown)


def test_a_multi_binary_takes_truths_and_nothing_but_zeros_and_ones() -> None:
    make = frames_of(spaces.MultiBinary(3), PLAIN, "Game-v0").make
    assert make([True, False, True]).tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(MisreadError):
        make([0, 2, 1])


def test_parts_are_named_by_their_way() -> None:
    space = spaces.Dict({"b": spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)]), "a": spaces.MultiBinary(1)})
    assert [part.name for part in parts_of(space)] == ["a", "b.0", "b.1"]
