"""From an observation, or one part of it, to a frame: bytes for an image, float32 numbers for anything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.envs.minigrid_cells import Cells
from pixelq.envs.misread import MisreadError
from pixelq.errors import UserError
from pixelq.image_and_numbers import ImageAndNumbers

LUMINANCE = np.array([0.2989, 0.5870, 0.1140], np.float32)
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""

LEAST_SIDE = 3
"""Pixels; a smaller array of bytes counts as a vector of numbers."""

MOST_NUMBERS = 65_536
"""Maximum size of a vector."""

LEAST_SIDE_OF_NUMBERS = {(0.0, 255.0): 8, (0.0, 1.0): 16, (-1.0, 1.0): 16, (0.0, 65_535.0): 16}
"""Range of a space of numbers that are not bytes -> shorter side from which an array of them counts as an image."""

SMALL_SIDE = 36
"""Pixels: an image with a shorter side is too small for the torsos of the papers."""

COLOURS = (1, 3, 4)
"""How many colours an image commonly has: gray, red-green-blue, and these with transparency."""

DARK, MOST_DARK = 0.5, 10_000
"""Images of 0 to 255 may be as dark as this at the beginning, where games are faded in, but not so many, of all
environments together."""

_TOLERANCE = 0.01
"""By this fraction of its range numbers may leave it, as a resized image's do; they are clipped."""


@dataclass(frozen=True)
class Frames:
    """Makes frames of one environment's observations."""

    shape: tuple[int, ...]
    """Shape of a frame: (H, W), (H, W, C) or (d,)."""
    dtype: Any
    """uint8 for an image, alone or with numbers, float32 for a vector."""
    make: Callable[[Any], np.ndarray]
    """Observation -> frame. Raises `MisreadError` for an observation that is not what its space says."""
    reads: str = ""
    """How observations are read, for a person."""
    together: ImageAndNumbers | None = None
    """Of an image with numbers beside it, the space of a stack of one; None: there are no such two."""

    def stacked_space(self, stack: int) -> Box:
        """The space of `stack` frames."""
        if self.together is not None:
            return ImageAndNumbers(stack, self.together.image_shape, self.together.numbers)
        low, high = (0, 255) if self.dtype is np.uint8 else (-np.inf, np.inf)
        return Box(low, high, (stack, *self.shape), self.dtype)


class Picture(NamedTuple):
    """Where an image's parts are among the axes of its array."""

    axes: tuple[int, ...]
    """The order in which the axes are height, width, images of a stack, colours (the last two where there are any)."""
    height: int
    width: int
    stack: int
    colours: int

    @property
    def channels(self) -> int:
        """Numbers of one pixel."""
        return self.stack * self.colours


def part_frames(space: gymnasium.Space[Any], config: Config, game: str, *, cells: bool = False) -> Frames:
    """Return how an observation that has no parts, or one part of it, becomes a frame.

    What counts as an image: see `picture_of`. Its numbers are brought to 0..255, red-green-blue becomes brightness if
    the recipe asks for it, and `screen_size` above 0 resizes. Any other Box of numbers becomes a flat vector (bytes
    divided by the highest of their space), MultiBinary too; a Discrete number becomes one-hot, and each of a
    MultiDiscrete's, one after the other.

    Args:
        space: of the observation or its part.
        config: `grayscale` and `screen_size` are used for images.
        game: the id, for the message; the part's name may follow it.
        cells: bytes may be MiniGrid's numbers; see `Cells`.

    Raises:
        UserError: another space, an image whose layout or range cannot be told, or `grayscale` for one that is not
            red-green-blue.
    """
    if isinstance(space, Discrete | MultiDiscrete):
        return _one_hot(space, game)
    if isinstance(space, MultiBinary):
        space = Box(0, 1, space.shape, np.bool_)
        _check_size(space, game, MOST_NUMBERS)
        return _vector(space, game)
    if not isinstance(space, Box):
        raise UserError(
            f"game {game}: its observations are of a {type(space).__name__} space; pixelq learns from images and "
            "numbers (Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these): turn it into some "
            "numbers (gymnasium.wrappers.TransformObservation) or, of a Dict, leave it out "
            "(gymnasium.wrappers.FilterObservation), as an id of your own (pixelq train module:id)"
        )
    _check_size(space, game, MOST_NUMBERS * 64)
    picture = picture_of(space)
    if picture is not None:
        return _image(space, picture, config, game, cells=cells)
    _check_not_an_unclear_image(space, game)
    return _vector(space, game, cells=cells)


def _check_size(space: Box, game: str, most: int) -> None:
    """Refuse arrays of nothing and of very many numbers."""
    if not 1 <= int(np.prod(space.shape)) <= most:
        raise UserError(
            f"game {game}: an observation has the shape {space.shape}, so {int(np.prod(space.shape)):,} numbers; "
            f"pixelq learns from 1 to {most:,}"
        )


def picture_of(space: gymnasium.Space[Any]) -> Picture | None:
    """Return where the parts of an image are; None: the observations are no images.

    Images are bytes or booleans of at least 3x3, and other numbers between 0 and 255 (8x8), 0 and 65,535 (two bytes;
    16x16), 0 and 1 or -1 and 1 (16x16; 36x36 without an axis of colours): (H, W), (H, W, C), (C, H, W), (S, H, W, C) or
    (S, C, H, W), of 16x16 at least.
    """
    if not isinstance(space, Box):
        return None
    picture = _axes(space.shape)
    if picture is None:
        return None
    if space.dtype in (np.dtype(np.uint8), np.dtype(np.bool_)):
        least = LEAST_SIDE
    elif _range(space) in LEAST_SIDE_OF_NUMBERS:
        least = LEAST_SIDE_OF_NUMBERS[_range(space)]
        if len(space.shape) == 2 and _range(space) != (0.0, 255.0):
            least = SMALL_SIDE  # a small table of numbers between 0 and 1 is more often no picture
    else:
        return None
    return picture if min(picture.height, picture.width) >= least else None


def _axes(shape: tuple[int, ...]) -> Picture | None:
    if len(shape) == 2:
        return Picture((0, 1), *shape, 1, 1)
    if len(shape) == 3:
        a, b, c = shape
        if b <= max(COLOURS) and min(a, c) >= 16:
            return None  # (height, colours, width)?
        short, long = min(b, c), max(b, c)
        first = c > max(COLOURS) and a < short and (b == c or (2 * a <= short and long <= 4 * short))
        if not first:
            return Picture((0, 1, 2), a, b, 1, c)
        return Picture((1, 2, 0), b, c, 1, a) if a in (1, 3) else Picture((1, 2, 0), b, c, a, 1)
    if len(shape) == 4:
        a, b, c, d = shape
        if d in COLOURS and min(b, c) >= 16 and a <= 16:
            return Picture((1, 2, 0, 3), b, c, a, d)
        if b in COLOURS and min(c, d) >= 16 and a <= 16:
            return Picture((2, 3, 0, 1), c, d, a, b)
    return None


def _range(space: Box) -> tuple[float, float]:
    return float(space.low.min()), float(space.high.max())


def _check_not_an_unclear_image(space: Box, game: str) -> None:
    """Check that no image goes to a network for vectors because its layout or range is not known.

    Raises:
        UserError: it looks like one.
    """
    picture, sides = _axes(space.shape), sum(side >= SMALL_SIDE for side in space.shape)
    if len(space.shape) < 3 or sides < 2:
        return
    if picture is None:
        unclear = "which of its axes are height, width and colours"
    elif picture.colours in COLOURS and min(picture.height, picture.width) >= SMALL_SIDE:
        unclear = "which numbers are black and white"
    else:
        return
    raise UserError(
        f"game {game}: its observations, {_words(space)}, look like images, but their space does not say {unclear}; "
        "give it (height, width, colours) of uint8 from 0 to 255 by gymnasium.wrappers.TransformObservation, or "
        "gymnasium.wrappers.FlattenObservation to learn from plain numbers, as an id of your own (pixelq train "
        "module:id)"
    )


def _words(space: Box) -> str:
    low, high = _range(space)
    return f"{space.shape} {space.dtype} from {low:g} to {high:g}"


# --- is an observation what its space says? ---------------------------------------------------------------------------


class _Checked:
    """Returns an observation as an array of its space's shape.

    Args:
        space: says what observations are.
        game: for the message.
        bounded: whether numbers outside the space's range are refused.
    """

    def __init__(self, space: Box, game: str, *, bounded: bool) -> None:
        self._space, self._game, self._bounded = space, game, bounded
        self._low, self._high = _range(space)
        self._slack = 0.0 if space.dtype.kind in "bu" else _TOLERANCE * (self._high - self._low)
        self.of_bytes = space.dtype == np.uint8 and (self._low, self._high) == (0.0, 255.0)
        """Whether the space has every byte, and nothing else."""
        self._shape = _without_ones(space.shape)
        self._bright, self._dark = False, 0
        """Whether an observation had a number above 1, and how many before had none above `DARK`."""

    def __call__(self, observation: Any) -> np.ndarray:
        given = _array(observation)
        if given.shape != self._space.shape and _without_ones(given.shape) != self._shape:
            raise self._refusal(given)
        if given.dtype.kind not in "biuf":
            raise self._refusal(given)
        if self._bounded and not (self.of_bytes and given.dtype == np.uint8):
            self._check_range(given)
        return given.reshape(self._space.shape)

    def _check_range(self, given: np.ndarray) -> None:
        low, high = float(given.min()), float(given.max())
        if not (self._low - self._slack <= low and high <= self._high + self._slack):  # false for NaN
            raise self._refusal(given)
        # Until one is brighter than 1, numbers with a fraction (and truths) may be of 0..1 as well as of 0..255.
        if self._high == 255.0 and given.dtype.kind in "bf" and not self._bright:
            self._bright = high > 1
            self._dark += 0 < high <= DARK
            if not self._bright and (high > DARK or self._dark > MOST_DARK):
                raise self._refusal(given)

    def _refusal(self, given: np.ndarray) -> MisreadError:
        seen = f"{given.shape} {given.dtype}"
        if given.size and given.dtype.kind in "biuf":
            seen += f" from {float(given.min()):.4g} to {float(given.max()):.4g}"
        return MisreadError(
            f"game {self._game}: an observation is {seen}, but its space says {_words(self._space)}; correct the "
            "space, or the observation"
        )


def _array(observation: Any) -> np.ndarray:
    """The observation as an array; rows of different lengths as one of objects, which no space has."""
    try:
        return np.asarray(observation)
    except ValueError:
        return np.array(None)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for side in shape if side != 1)


# --- the three kinds --------------------------------------------------------------------------------------------------


def _one_hot(space: Discrete | MultiDiscrete, game: str) -> Frames:
    """For each number of the space a row with a one at its place, rows one after the other."""
    counts = np.atleast_1d(np.asarray(space.n if isinstance(space, Discrete) else space.nvec).reshape(-1))
    start = np.broadcast_to(np.asarray(space.start, np.int64).reshape(-1), counts.shape)
    size = sum(counts.tolist())
    if size > MOST_NUMBERS:
        raise UserError(
            f"game {game}: its observations are of a {type(space).__name__} space of {size:,} states; pixelq takes "
            f"{MOST_NUMBERS:,} at most (gymnasium.wrappers.FlattenObservation would make a number of each): "
            "describe a state by some numbers (Box), as an id of your own (pixelq train module:id)"
        )
    places = np.cumsum(counts) - counts

    def make(observation: Any) -> np.ndarray:
        given = _array(observation).reshape(-1)
        if given.shape != counts.shape or given.dtype.kind not in "biuf":
            raise MisreadError(_not_a_state(space, game, observation))
        with np.errstate(invalid="ignore"):  # of numbers that are none
            states = given.astype(np.int64) - start
        if (states + start != given).any() or (states < 0).any() or (states >= counts).any():
            raise MisreadError(_not_a_state(space, game, observation))
        frame = np.zeros(size, np.float32)
        frame[places + states] = 1.0
        return frame

    what = f"one of {size} states" if isinstance(space, Discrete) else f"{len(counts)} numbers of {size} states in all"
    return Frames((size,), np.float32, make, f"observations are read as {what}")


def _not_a_state(space: Discrete | MultiDiscrete, game: str, observation: Any) -> str:
    if isinstance(space, MultiDiscrete):
        return f"game {game}: an observation is {observation!r:.60}, but its space says {space!s:.80}"
    low, high = int(space.start), int(space.start + space.n - 1)
    return f"game {game}: an observation is {observation!r:.60}, but its space says a whole number from {low} to {high}"


def _vector(space: Box, game: str, *, cells: bool = False) -> Frames:
    size = int(np.prod(space.shape))
    whole = space.dtype in (np.dtype(np.uint8), np.dtype(np.bool_))
    checked = _Checked(space, game, bounded=whole)
    highest = _range(space)[1]
    scale = np.float32(1 / highest) if space.dtype == np.uint8 and highest > 0 else np.float32(1)
    spread = Cells(game) if cells and checked.of_bytes else None

    def make(observation: Any) -> np.ndarray:
        numbers = checked(observation)
        frame: np.ndarray = (numbers if spread is None else spread(numbers)).astype(np.float32).reshape(size) * scale
        return frame

    reads = f"observations ({_words(space)}) are read as {size} number{'s' if size > 1 else ''} in a row"
    return Frames((size,), np.float32, make, reads)


def _image(space: Box, picture: Picture, config: Config, game: str, *, cells: bool) -> Frames:
    height, width, stack, colours = picture[1:]
    if config.grayscale and colours not in (1, 3):
        raise UserError(
            f"game {game}: its images have {colours} channels, which are not red, green and blue; use --no-grayscale"
        )
    gray = config.grayscale and colours == 3
    channels = stack if gray else picture.channels
    size = (config.screen_size, config.screen_size) if config.screen_size else (height, width)
    checked = _Checked(space, game, bounded=True)
    low, high = _range(space)
    # Bytes that use half of their range or more are pixels as they are; a space of 0 and 1 would be all but black.
    scaled = 0 < high < 128 if space.dtype == np.uint8 else (low, high) != (0.0, 255.0)
    bottom = 0.0 if space.dtype == np.uint8 else low
    spread = Cells(game) if cells and checked.of_bytes else None

    def make(observation: Any) -> np.ndarray:
        image = checked(observation)
        if scaled:
            image = (image.astype(np.float32) - np.float32(bottom)) * np.float32(255 / (high - bottom))
        image = image.transpose(picture.axes).reshape(height, width, stack, colours)
        if spread is not None:
            image = spread(image)
        image = image @ LUMINANCE if gray else image.reshape(height, width, channels)
        if size != (height, width):
            image = _resized(image, size)
        if image.dtype != np.uint8:
            image = np.rint(image).clip(0, 255).astype(np.uint8)
        return image[:, :, 0] if channels == 1 else image

    reads = _reading(space, picture, size, gray=gray, scaled=scaled)
    return Frames(size if channels == 1 else (*size, channels), np.uint8, make, reads)


def _reading(space: Box, picture: Picture, size: tuple[int, int], *, gray: bool, scaled: bool) -> str:
    height, width, stack, colours = picture[1:]
    kinds = {1: "gray", 3: "red-green-blue"}
    kind = kinds.get(colours, f"{colours}-channel")
    many = f"stacks of {stack} {kind} images" if stack > 1 else f"{kind} images"
    text = f"observations ({_words(space)}) are read as {many} of {height} x {width}"
    if len(space.shape) > 2 and picture.axes[:2] != (0, 1):
        text += ", transposed to channels last"
    if scaled:
        text += ", scaled to 0 to 255"
    if gray:
        text += ", made gray"
    if size != (height, width):
        text += f", resized to {size[0]} x {size[1]}"
    if space.dtype not in (np.dtype(np.uint8), np.dtype(np.bool_)):
        text += " (gymnasium.wrappers.FlattenObservation makes them plain numbers)"
    return text


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`image` (H, W, C) at another size, float32: bilinear, with antialiasing if it shrinks."""
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))
    resized = F.interpolate(planes[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
    return resized.clamp(0, 255).numpy().transpose(1, 2, 0)
