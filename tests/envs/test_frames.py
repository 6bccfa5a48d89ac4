"""From an observation to a frame, and which spaces are refused."""

import re
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from pixelq.config import Config
from pixelq.envs.frames import picture_of
from pixelq.envs.observation_frames import frames_of
from pixelq.errors import UserError


def frame(space: gymnasium.Space[Any], observation: Any, *, cells: bool = False, **fields: Any) -> np.ndarray:
    frames = frames_of(space, Config(**({"screen_size": 0} | fields)), "Game-v0", cells=cells)
    made = frames.make(observation)
    assert (made.shape, made.dtype) == (frames.shape, np.dtype(frames.dtype))
    assert frames.stacked_space(3).shape == (3, *frames.shape)
    return made


def pixels(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)


def test_numbers_stay_what_they_are_in_one_row() -> None:
    given = np.array([[1.5, -2.0], [0.0, 1e6]], np.float64)
    assert frame(spaces.Box(-np.inf, np.inf, (2, 2), np.float64), given).tolist() == [1.5, -2.0, 0.0, 1e6]
    assert frame(spaces.Box(-9, 9, (), np.int64), np.int64(-4)).tolist() == [-4.0]


def test_a_row_of_bytes_is_scaled_to_one() -> None:
    assert frame(pixels(3), np.array([0, 51, 255], np.uint8)) == pytest.approx([0.0, 0.2, 1.0])


@pytest.mark.parametrize("start", [0, 1, -7])
def test_a_number_of_a_finite_set_becomes_one_hot_wherever_the_set_begins(start: int) -> None:
    for k in range(4):
        assert frame(spaces.Discrete(4, start=start), np.int64(start + k)).tolist() == np.eye(4)[k].tolist()


def test_grayscale_weighs_red_green_and_blue_as_the_eye_does() -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 20, 30], [0, 0, 0]], np.uint8)
    image = np.broadcast_to(colours[:, None], (6, 5, 3))
    wanted = np.rint(colours @ np.array([0.2989, 0.5870, 0.1140])).astype(np.uint8)
    assert wanted.tolist() == [76, 150, 29, 255, 18, 0]
    gray = frame(pixels(6, 5, 3), image)
    assert np.array_equal(gray, np.broadcast_to(wanted[:, None], (6, 5)))


def test_colour_and_channels_are_kept_where_no_gray_is_asked_for() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 7), np.uint8)
    assert np.array_equal(frame(pixels(8, 6, 7), image, grayscale=False), image)


def test_a_single_channel_is_dropped_and_needs_no_gray() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 1), np.uint8)
    assert np.array_equal(frame(pixels(8, 6, 1), image), image[:, :, 0])
    assert np.array_equal(frame(pixels(8, 6), image[:, :, 0]), image[:, :, 0])


def test_booleans_become_black_and_white() -> None:
    image = np.random.default_rng(0).random((10, 10, 4)) < 0.5
    made = frame(spaces.Box(0.0, 1.0, (10, 10, 4), np.bool_), image, grayscale=False)
    assert np.array_equal(made, np.where(image, 255, 0))


def test_minigrids_small_numbers_use_the_range_of_a_byte() -> None:
    image = np.random.default_rng(0).integers(0, 11, (7, 7, 3), np.uint8)
    made = frame(pixels(7, 7, 3), image, cells=True, grayscale=False)
    assert np.array_equal(made, image.astype(int) * 25)


def test_numbers_that_minigrid_does_not_have_are_refused_and_never_wrap_around() -> None:
    image = np.random.default_rng(0).integers(0, 11, (7, 7, 3), np.uint8)
    image[3, 4, 1] = 11
    with pytest.raises(UserError, match="a cell of an observation has the number 11, and MiniGrid's go to 10"):
        frame(pixels(7, 7, 3), image, cells=True, grayscale=False)


def test_shrinking_to_half_keeps_the_mean_and_a_flat_image_stays_flat() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)
    small = frame(pixels(96, 96), noise, screen_size=48)
    assert small.shape == (48, 48)
    assert small.mean() == pytest.approx(noise.mean(), abs=0.7)
    assert small.std() < 0.7 * noise.std()  # pixels are averaged, not skipped
    assert np.unique(frame(pixels(210, 160, 3), np.full((210, 160, 3), 200, np.uint8), screen_size=84)).tolist() == [
        200
    ]


def test_an_images_own_size_is_kept_even_if_it_is_not_square() -> None:
    assert frame(pixels(40, 60), np.zeros((40, 60), np.uint8)).shape == (40, 60)
    assert frame(pixels(40, 60, 3), np.zeros((40, 60, 3), np.uint8), screen_size=36, grayscale=False).shape == (
        36,
        36,
        3,
    )


def test_what_counts_as_an_image() -> None:
    for space in (pixels(84, 84), pixels(84, 84, 3), spaces.Box(0, 1, (9, 9, 4), np.bool_)):
        assert picture_of(space) is not None
    for space in (pixels(128), pixels(2, 64), pixels(4, 9, 9, 3), spaces.Box(0, 1, (9, 9)), spaces.Discrete(9)):
        assert picture_of(space) is None


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.Text(5), "Text space"),
        (spaces.Sequence(spaces.Discrete(2)), "Sequence space"),
        (spaces.Graph(spaces.Discrete(2), None), "Graph space"),
        (spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Dict({"c": spaces.Text(5)})}), "part b.c: .* Text space"),
        (spaces.Tuple([spaces.Discrete(2), spaces.OneOf([spaces.Discrete(2)])]), "part 1: .* OneOf space"),
        (spaces.Dict({}), "no parts"),
        (spaces.Dict({"a": pixels(20, 20), "b": pixels(24, 20)}), "a 20 x 20, b 24 x 20.*--screen-size 84"),
        (spaces.Dict({"a": pixels(9, 9, 4)}), "part a: .*--no-grayscale"),
        (spaces.Dict({"a": spaces.Box(0, 1, (0,))}), "part a: .* 0 numbers"),
        (spaces.Discrete(1_000_000), "Discrete space of 1,000,000 states"),
        (spaces.MultiDiscrete([60_000, 60_000]), "MultiDiscrete space of 120,000 states"),
        (spaces.MultiBinary(70_000), "70,000 numbers"),
        (spaces.Tuple([spaces.MultiBinary(60_000), spaces.Discrete(60_000)]), "120,000 numbers"),
        (pixels(9, 9, 4), "--no-grayscale"),
    ],
)
def test_another_space_is_refused_by_name_in_one_line_with_what_would_help(
    space: gymnasium.Space[Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        frames_of(space, Config(screen_size=0), "Game-v0")
    message = str(caught.value)
    assert message.startswith(("game Game-v0: ", "game Game-v0, part "))
    assert re.search(words, message)
    assert "\n" not in message
