"""Whatever an environment draws becomes a picture of bytes, or is refused in one line."""

from typing import Any

import numpy as np
import pytest

from pixelq.envs.drawn_pictures import DrawnPictures
from pixelq.errors import UserError

PICTURE = np.random.default_rng(0).integers(2, 256, (5, 7, 3), np.uint8)
GRAY = PICTURE[:, :, 0]
OPAQUE = np.concatenate([PICTURE, np.full((5, 7, 1), 9, np.uint8)], axis=2)


@pytest.mark.parametrize(
    "drawn",
    [
        PICTURE,
        PICTURE.tolist(),
        [np.zeros_like(PICTURE), PICTURE],
        *(PICTURE.astype(kind) for kind in (np.int64, np.int16, np.uint16, np.float32, np.float64)),
        PICTURE / 255,
        (PICTURE / 255).astype(np.float32),
        OPAQUE,
        OPAQUE.astype(np.int64),
        PICTURE.transpose(2, 0, 1),
        OPAQUE.transpose(2, 0, 1),
    ],
)
def test_other_numbers_and_other_layouts_are_the_same_picture(drawn: Any) -> None:
    made = DrawnPictures("Odd-v0")(
        drawn if isinstance(drawn, np.ndarray) or np.ndim(drawn[0]) == 3 else np.array(drawn)
    )
    assert made.dtype == np.uint8
    assert np.array_equal(made, PICTURE)


@pytest.mark.parametrize("drawn", [GRAY, GRAY[:, :, None], GRAY[None], GRAY.astype(np.float64), GRAY / 255])
def test_gray_is_drawn_gray(drawn: np.ndarray) -> None:
    assert np.array_equal(DrawnPictures("Odd-v0")(drawn), np.stack([GRAY] * 3, axis=2))


def test_truths_are_black_and_white() -> None:
    assert np.array_equal(DrawnPictures("Odd-v0")(GRAY > 100)[:, :, 1], np.where(GRAY > 100, 255, 0))


def test_after_a_bright_picture_a_dark_one_of_0_to_255_stays_dark() -> None:
    pictures = DrawnPictures("Odd-v0")
    assert pictures(PICTURE.astype(np.float64)).max() == PICTURE.max()
    assert pictures(np.ones((5, 7, 3))).max() == 1


def test_every_picture_has_the_size_of_the_first() -> None:
    pictures = DrawnPictures("Odd-v0")
    pictures(PICTURE)
    smaller, larger = pictures(PICTURE[:3, :4]), pictures(np.full((9, 6, 3), 8, np.uint8))
    assert smaller.shape == larger.shape == PICTURE.shape
    assert np.array_equal(smaller[:3, :4], PICTURE[:3, :4])
    assert smaller[3:].max() == smaller[:, 4:].max() == larger[:, 6:].max() == 0
    assert larger[:, :6].min() == 8


@pytest.mark.parametrize(
    "drawn",
    [
        None,
        "text",
        [],
        [[1, 2], [3]],
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 7, 2), np.uint8),
        np.zeros((2, 5, 7, 3), np.uint8),
        np.zeros(5, np.uint8),
        np.full((5, 7, 3), np.nan),
        np.full((5, 7, 3), 300),
        np.full((5, 7, 3), -50.0),
        np.full((5, 7, 3), "a"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_was_seen(drawn: Any) -> None:
    with pytest.raises(
        UserError, match=r"game Odd-v0: its render\(\) gives no picture \(.+\); it must return"
    ) as caught:
        DrawnPictures("Odd-v0")(drawn)
    assert "\n" not in str(caught.value)
