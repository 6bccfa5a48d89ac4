"""From an observation, whole or of parts (Dict, Tuple), to one frame: an image, numbers, or an image and numbers.

The parts are taken in the order of their space, which for a Dict made from an ordinary dictionary is that of its sorted
keys, and within each part in C order: the order of `gymnasium.spaces.flatten`. All images become the channels of one,
all other parts one row of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from pixelq.config import Config
from pixelq.envs.frames import MOST_NUMBERS, Frames, MisreadError, Picture, part_frames, picture_of
from pixelq.errors import UserError
from pixelq.image_and_numbers import ImageAndNumbers


class Part(NamedTuple):
    """A part of an observation that has no further parts."""

    path: tuple[Any, ...]
    """Keys and places that lead to it; none: it is the whole observation."""
    space: gymnasium.Space[Any]

    @property
    def name(self) -> str:
        """The path in words, `camera`, `arm.joints`."""
        return ".".join(str(step) for step in self.path)


def parts_of(space: gymnasium.Space[Any]) -> list[Part]:
    """The parts of an observation's space, in their order."""
    if isinstance(space, spaces.Dict):
        inner: list[tuple[Any, gymnasium.Space[Any]]] = list(space.spaces.items())
    elif isinstance(space, spaces.Tuple):
        inner = list(enumerate(space.spaces))
    else:
        return [Part((), space)]
    return [Part((step, *part.path), part.space) for step, one in inner for part in parts_of(one)]


def pictures_in(space: gymnasium.Space[Any]) -> list[Picture]:
    """Where the parts of each image among an observation's parts are; see `frames.picture_of`."""
    found = (picture_of(part.space) for part in parts_of(space))
    return [picture for picture in found if picture is not None]


def frames_of(space: gymnasium.Space[Any], config: Config, game: str, *, cells: bool = False) -> Frames:
    """Return how an observation becomes a frame; see `frames.part_frames` for one without parts.

    Images, which must be equally large in the end (`screen_size` makes them so), are put together as channels. Numbers
    are put together in one row. Where there are both, the frame is of `ImageAndNumbers`.

    Args:
        space: of one observation.
        config: `grayscale` and `screen_size` are used for images.
        game: the id, for messages.
        cells: bytes in it may be MiniGrid's numbers.

    Raises:
        UserError: a part of another space, images of different sizes, or no part at all.
    """
    parts = parts_of(space)
    if parts == [Part((), space)]:
        return part_frames(space, config, game, cells=cells)
    if not parts:
        raise UserError(f"game {game}: its observations have no parts ({space}); give them some numbers or an image")
    made = [part_frames(part.space, config, f"{game}, part {part.name}", cells=cells) for part in parts]
    images = [i for i, frames in enumerate(made) if frames.dtype is np.uint8]
    numbers = [i for i, frames in enumerate(made) if frames.dtype is not np.uint8]
    size = sum(made[i].shape[0] for i in numbers)
    if size > MOST_NUMBERS:
        raise UserError(f"game {game}: its observations have {size:,} numbers; pixelq learns from {MOST_NUMBERS:,}")
    shape = _image_shape([made[i] for i in images], [parts[i] for i in images], game) if images else ()
    together = ImageAndNumbers(1, shape, size) if images and numbers else None
    take = _taking(parts, space, game)

    def make(observation: Any) -> np.ndarray:
        frames = [one.make(given) for one, given in zip(made, take(observation), strict=True)]
        row = np.concatenate([frames[i] for i in numbers]) if numbers else None
        if not images:
            assert row is not None
            return row
        planes = [frames[i] if len(made[i].shape) == 3 else frames[i][:, :, None] for i in images]
        image = np.concatenate(planes, axis=2).reshape(shape)
        if together is None or row is None:
            return image
        return together.joined(image, row)

    if together is not None:
        return Frames(together.shape[1:], np.uint8, make, _reading(parts, made), together)
    return Frames(shape or (size,), np.uint8 if images else np.float32, make, _reading(parts, made))


def _image_shape(images: list[Frames], parts: list[Part], game: str) -> tuple[int, ...]:
    """(H, W) or (H, W, C) of all images together.

    Raises:
        UserError: they differ in height or width.
    """
    if len({frames.shape[:2] for frames in images}) > 1:
        sizes = (f"{p.name} {f.shape[0]} x {f.shape[1]}" for f, p in zip(images, parts, strict=True))
        raise UserError(
            f"game {game}: its images have different sizes ({', '.join(sizes)}); make them equal with --screen-size 84"
        )
    channels = sum(frames.shape[2] if len(frames.shape) == 3 else 1 for frames in images)
    return images[0].shape[:2] if channels == 1 else (*images[0].shape[:2], channels)


def _taking(parts: list[Part], space: gymnasium.Space[Any], game: str) -> Callable[[Any], list[Any]]:
    """How the parts are taken out of an observation."""

    def take(observation: Any) -> list[Any]:
        taken = []
        for part in parts:
            given = observation
            for step in part.path:
                try:
                    if not isinstance(given, Mapping | tuple | list):
                        raise TypeError
                    given = given[step]
                except (KeyError, IndexError, TypeError):
                    kind = type(space).__name__
                    raise MisreadError(
                        f"game {game}: an observation has no {part.name}, but its space, a {kind}, says so; correct "
                        "the space, or the observation"
                    ) from None
            taken.append(given)
        return taken

    return take


def _reading(parts: list[Part], made: list[Frames]) -> str:
    """How all parts are read, for a person."""
    images, numbers = [], []
    for part, frames in zip(parts, made, strict=True):
        if frames.dtype is np.uint8:
            images.append(f"{part.name} as an image of {' x '.join(map(str, frames.shape))}")
        else:
            numbers.append(f"{part.name} {frames.shape[0]}")
    row = [f"numbers in a row ({', '.join(numbers)})"] if numbers else []
    return f"observations are read part by part: {', '.join([*images, *row])}"
