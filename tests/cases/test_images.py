"""An image is read as what it is, however its array lies and whatever its numbers, or it is refused in one line."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.envs.frames import MOST_DARK, MisreadError, picture_of
from pixelq.envs.observation_frames import frames_of
from pixelq.errors import UserError
from pixelq.recipes.choice import configure, recipe_for
from pixelq.runs.session import start

GENERATOR = np.random.default_rng(0)
PICTURE = GENERATOR.integers(0, 256, (48, 64, 3), np.uint8)


def frame(space: gymnasium.Space[Any], observation: Any, **fields: Any) -> np.ndarray:
    frames = frames_of(space, Config(**({"screen_size": 0, "grayscale": False} | fields)), "Odd/Game-v0")
    made = frames.make(observation)
    assert (made.shape, made.dtype) == (frames.shape, np.dtype(frames.dtype))
    assert frames.reads
    assert "\n" not in frames.reads
    return made


def box(low: float, high: float, *shape: int, dtype: Any = np.uint8) -> spaces.Box:
    return spaces.Box(low, high, shape, dtype)


# --- axes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((84, 84), (84, 84, 1, 1)),
        ((84, 84, 1), (84, 84, 1, 1)),
        ((1, 84, 84), (84, 84, 1, 1)),
        ((2, 84, 84), (84, 84, 2, 1)),
        ((48, 64, 3), (48, 64, 1, 3)),
        ((3, 48, 64), (48, 64, 1, 3)),
        ((3, 210, 160), (210, 160, 1, 3)),
        ((4, 84, 84), (84, 84, 4, 1)),
        ((84, 84, 4), (84, 84, 1, 4)),
        ((12, 96, 128), (96, 128, 12, 1)),
        ((4, 84, 84, 3), (84, 84, 4, 3)),
        ((4, 3, 84, 96), (84, 96, 4, 3)),
        ((4, 84, 84, 1), (84, 84, 4, 1)),
        ((10, 10, 4), (10, 10, 1, 4)),
        ((10, 10, 10), (10, 10, 1, 10)),
        ((8, 8, 111), (8, 8, 1, 111)),  # chess: many planes, still last
        ((6, 7, 2), (6, 7, 1, 2)),
        ((6, 7, 42), (6, 7, 1, 42)),
        ((3, 64, 3), (3, 64, 1, 3)),
    ],
)
def test_height_width_stack_and_colours_are_found(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    picture = picture_of(box(0, 255, *shape))
    assert picture is not None
    assert picture[1:] == wanted


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_channels_first_is_the_same_picture(dtype: Any) -> None:
    last = frame(box(0, 255, 48, 64, 3), PICTURE)
    first = np.ascontiguousarray(PICTURE.transpose(2, 0, 1)).astype(dtype)
    assert np.array_equal(frame(box(0, 255, 3, 48, 64, dtype=dtype), first), last)
    for fields in ({"grayscale": True}, {"grayscale": True, "screen_size": 36}, {"screen_size": 36}):
        assert np.array_equal(
            frame(box(0, 255, 3, 48, 64, dtype=dtype), first, **fields),
            frame(box(0, 255, 48, 64, 3), PICTURE, **fields),
        )


def test_a_stack_keeps_its_images_in_order_and_its_colours_become_gray_one_by_one() -> None:
    images = [GENERATOR.integers(0, 256, (40, 50, 3), np.uint8) for _ in range(4)]
    one_by_one = [frame(box(0, 255, 40, 50, 3), image, grayscale=True) for image in images]
    for stacked in (np.stack(images), np.stack(images).transpose(0, 3, 1, 2)):
        made = frame(box(0, 255, *stacked.shape), stacked, grayscale=True)
        assert np.array_equal(made, np.stack(one_by_one, axis=-1))
    gray = frame(box(0, 255, 4, 40, 50), np.stack(one_by_one), grayscale=True)
    assert np.array_equal(gray, np.stack(one_by_one, axis=-1))
    coloured = frame(box(0, 255, 4, 40, 50, 3), np.stack(images))
    assert np.array_equal(coloured, np.concatenate(images, axis=-1))


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        *((0, 255, np.float32), (0, 255, np.int32), (0, 255, np.float64), (0, 1, np.float32), (-1, 1, np.float32)),
        (0, 65_535, np.uint16),
    ],
)
@pytest.mark.parametrize("shape", [(64, 64, 1), (64, 64), (1, 64, 64), (64, 64, 3)])
def test_an_image_of_numbers_that_are_no_bytes_is_an_image(
    low: float, high: float, dtype: Any, shape: tuple[int, ...]
) -> None:
    space = box(low, high, *shape, dtype=dtype)
    given = (low + GENERATOR.integers(0, 256, shape) * (high - low) / 255).astype(dtype)
    wanted = np.rint((given.astype(np.float64) - low) * 255 / (high - low)).astype(np.uint8)
    assert np.array_equal(frame(space, given).reshape(shape), wanted)


def test_bytes_that_use_little_of_their_range_are_not_all_but_black() -> None:
    given = GENERATOR.integers(0, 2, (40, 40), np.uint8)
    assert np.array_equal(frame(box(0, 1, 40, 40), given), given * 255)
    assert frame(box(0, 1, 5), np.array([0, 1, 1, 0, 1], np.uint8)).tolist() == [0, 1, 1, 0, 1]


@pytest.mark.parametrize("shape", [(60, 5), (20, 20), (64,), (4, 9, 9, 3)])
def test_small_tables_of_numbers_stay_numbers(shape: tuple[int, ...]) -> None:
    given = GENERATOR.random(shape).astype(np.float32)
    assert np.array_equal(frame(box(0, 1, *shape, dtype=np.float32), given), given.ravel())


def test_a_window_of_unbounded_numbers_stays_numbers() -> None:
    given = GENERATOR.normal(size=(100, 40)).astype(np.float32)
    assert np.array_equal(frame(box(-np.inf, np.inf, 100, 40, dtype=np.float32), given), given.ravel())


@pytest.mark.parametrize(
    "space",
    [
        box(-np.inf, np.inf, 64, 64, 3, dtype=np.float32),
        box(-5, 5, 3, 64, 64, dtype=np.float32),
        box(0, 255, 64, 3, 64),
        box(0, 255, 2, 2, 64, 64, 3),
    ],
)
def test_what_looks_like_an_image_and_does_not_say_how_is_refused_with_what_helps(space: spaces.Box) -> None:
    with pytest.raises(UserError) as caught:
        frames_of(space, Config(), "Odd/Game-v0")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("Odd/Game-v0", str(space.shape), str(space.dtype), "FlattenObservation"):
        assert part in message


# --- an observation that is not what its space says -------------------------------------------------------------------

SIXTEEN = np.arange(16, dtype=np.float64)


@pytest.mark.parametrize(
    ("space", "given"),
    [
        (box(0, 255, 48, 64, 3), PICTURE / 255),
        (box(0, 255, 48, 64, 3), (PICTURE > 100).astype(np.float32)),
        (box(0, 255, 48, 64, 3), PICTURE > 100),
        (box(0, 255, 48, 64, 3), PICTURE.astype(np.int64) * 2),
        (box(0, 255, 48, 64, 3), PICTURE.astype(np.int64) - 100),
        (box(0, 255, 48, 64, 3, dtype=np.float32), PICTURE / 255),
        (box(0, 1, 48, 64, 3, dtype=np.float32), PICTURE.astype(np.float32)),
        (box(0, 1, 48, 64, 3, dtype=np.float32), PICTURE),
        (box(-1, 1, 48, 64, 3, dtype=np.float32), PICTURE),
        (box(0, 1, 48, 64, dtype=np.bool_), PICTURE[:, :, 0]),
        (box(0, 1, 48, 64), PICTURE[:, :, 0]),
        (box(0, 255, 48, 64, 3), np.full((48, 64, 3), np.nan)),
        (box(0, 255, 48, 64, 3), PICTURE.transpose(1, 0, 2)),
        (box(0, 255, 48, 64, 3), PICTURE.transpose(2, 0, 1)),
        (box(0, 255, 48, 64, 3), PICTURE[:, :, 0]),
        (box(0, 255, 48, 64, 3), PICTURE.ravel()),
        (box(0, 255, 48, 64), PICTURE[:, :, 0].T),
        (box(0, 255, 16), SIXTEEN / 16),
        (box(0, 255, 16), SIXTEEN * 100),
        (box(0, 1, 16, dtype=np.bool_), SIXTEEN),
        (box(-9, 99, 2, 8, dtype=np.float32), SIXTEEN.reshape(8, 2)),
        (box(-9, 99, 15, dtype=np.float32), SIXTEEN),
        (box(-9, 99, 2, dtype=np.float32), np.array(["a", "b"])),
    ],
)
def test_another_shape_type_or_range_is_refused_with_what_was_seen_and_said(space: spaces.Box, given: Any) -> None:
    make = frames_of(space, Config(screen_size=0, grayscale=False), "Odd/Game-v0").make
    with pytest.raises(MisreadError) as caught:
        make(given)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("Odd/Game-v0", str(given.shape), str(given.dtype), str(space.shape), str(space.dtype), "from"):
        assert part in message


def test_rows_of_different_lengths_are_refused_as_any_other_observation_that_the_space_does_not_have() -> None:
    for space in (box(0, 255, 48, 64, 3), box(-1, 1, 3, dtype=np.float32), spaces.Discrete(3)):
        with pytest.raises(MisreadError, match="but its space says"):
            frames_of(space, Config(screen_size=0, grayscale=False), "Odd/Game-v0").make([[1, 2], [3]])


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (box(0, 1, 0, dtype=np.float32), r"shape \(0,\), so 0 numbers"),
        (box(0, 255, 0, 84, 3), "0 numbers"),
        (box(0, 255, 4_096, 4_096), "16,777,216 numbers"),
        (spaces.Discrete(1_000_000), "1,000,000 states"),
    ],
)
def test_too_few_or_too_many_numbers_are_the_reason_that_is_said(space: gymnasium.Space[Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        frames_of(space, Config(screen_size=0, grayscale=False), "Odd/Game-v0")


@pytest.mark.parametrize("given", [4, -1, 1.5, np.int64(7), np.array([0, 1]), float("nan"), "a"])
def test_a_state_outside_its_set_is_refused(given: Any) -> None:
    with pytest.raises(MisreadError, match="a whole number from 0 to 3"):
        frame(spaces.Discrete(4), given)


@pytest.mark.parametrize("given", [PICTURE.astype(np.float32), PICTURE.astype(np.int64), PICTURE[None], PICTURE * 0.0])
def test_the_same_picture_in_another_number_type_is_that_picture(given: np.ndarray) -> None:
    assert np.array_equal(frame(box(0, 255, 48, 64, 3), given), given.reshape(48, 64, 3).astype(np.uint8))


def test_a_dark_image_of_numbers_is_no_error_once_a_bright_one_was_seen() -> None:
    make = frames_of(box(0, 255, 48, 64, 3), Config(screen_size=0, grayscale=False), "Odd/Game-v0").make
    make(PICTURE.astype(np.float32))
    assert make(np.full((48, 64, 3), 0.4)).max() == 0


def test_a_game_may_be_faded_in_but_not_stay_so_dark() -> None:
    space = box(0, 255, 48, 64, 3, dtype=np.float32)

    def made() -> Any:
        return frames_of(space, Config(screen_size=0, grayscale=False), "Odd/Game-v0").make

    for beginning in ([0.01] * 200, [0, 0.3, 0, 0.5], [0.1]):
        make = made()
        for brightness in [*beginning, 200, 0.7, 0.2, 1]:
            frame = make(np.full((48, 64, 3), brightness, np.float32))
            assert (frame == round(brightness)).all()
    make = made()
    for _ in range(MOST_DARK):
        make(np.full((48, 64, 3), 0.5, np.float32))
    for _ in range(2):
        with pytest.raises(MisreadError, match=r"from 0\.5 to 0\.5, but its space says"):
            make(np.full((48, 64, 3), 0.5, np.float32))
    assert make(np.full((48, 64, 3), 200, np.float32)).min() == 200


def test_what_a_resize_leaves_beside_the_range_is_clipped() -> None:
    given = np.full((64, 64, 1), 1.004, np.float32)
    assert frame(box(0, 1, 64, 64, 1, dtype=np.float32), given).min() == 255


# --- whole games ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ChannelFirst", "StackFirst", "ForgottenDtype", "Image"])
def test_an_image_game_takes_the_recipe_for_images(name: str) -> None:
    assert recipe_for(resolve_game(f"Odd/{name}-v0")) == "gymnasium-pixels"


@pytest.mark.parametrize(
    ("name", "words"),
    [("ChannelFirst", "images of 48 x 64, transposed"), ("StackFirst", "stacks of 4"), ("ForgottenDtype", "float32")],
)
def test_a_run_says_in_its_first_lines_how_observations_are_read(
    name: str, words: str, in_folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"steps": 40, "eval_every": 0, "replay_start": 1000, "screen_size": 36, "threads": 1, "device": "cpu"}
    start(configure(f"Odd/{name}-v0", overrides=small), in_folder / "r")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("run folder")
    assert words in lines[1]


@pytest.mark.parametrize("name", ["UnitFloatsSaidBytes", "WidthFirst"])
def test_a_game_that_is_not_what_it_says_is_refused_before_anything_is_written(name: str, in_folder: Any) -> None:
    with pytest.raises(UserError, match=r"an observation is .* but its space says \(48, 64, 3\) uint8 from 0 to 255"):
        start(configure(f"Odd/{name}-v0", overrides={"steps": 40, "device": "cpu"}), in_folder / "r")
    assert not (in_folder / "r").exists()
