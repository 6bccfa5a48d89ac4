"""Gymnasium's CarRacing, drawing only what the agent sees: the same pixels in less than half the time."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pixelq.envs.seeded_episodes import NO_SEED

with contextlib.redirect_stdout(io.StringIO()):  # pygame prints a line to stdout, where JSON may be expected
    import pygame
    from gymnasium.envs.box2d import car_racing as original
    from gymnasium.envs.box2d.car_racing import CarRacing

_MARGIN = 2
"""Pixels around the window in which a polygon still counts as visible, because of rounding."""


class ShownRoad(CarRacing):
    """CarRacing that draws only what is visible; physics, tracks, rewards and every visible pixel are the original's.

    For each frame the original goes through about 750 polygons in Python; here numpy finds the about 30 in the window,
    and only those are drawn, by the original's code. The 96x96 picture has no status bar, which the agent does not see
    (`car_racing.road_view`); `render` draws everything.
    """

    surf: Any

    def __init__(self, **keywords: Any) -> None:
        super().__init__(continuous=False, **keywords)

    def _create_track(self) -> bool:
        """Make a track as the original does, and store where its polygons are."""
        made = bool(super()._create_track())
        if made:
            side = original.GRASS_DIM
            corners = [(side * x, side * y) for x in range(-20, 20, 2) for y in range(-20, 20, 2)]
            grass = [[(x + side, y), (x, y), (x, y + side), (x + side, y + side)] for x, y in corners]
            # A tile's colour is an array that the original changes when the car touches the tile: kept by reference.
            self._polygons: list[tuple[Any, Any]] = [(patch, self.grass_color) for patch in grass] + self.road_poly
            self._corners = np.array([polygon for polygon, _ in self._polygons])  # float64 (polygons, 4, 2)
        return made

    def _render(self, mode: str) -> Any:
        """Draw the state without status bar and score; other pictures as in the original."""
        if mode != "state_pixels" or self.car is None:
            return super()._render(mode)
        self.surf = pygame.Surface((original.WINDOW_W, original.WINDOW_H))
        # The original's camera: behind the car, which points upwards; it zooms in during the first second.
        angle = -self.car.hull.angle
        zoom = 0.1 * original.SCALE * max(1 - self.t, 0) + original.ZOOM * original.SCALE * min(self.t, 1)
        x, y = (-place * zoom for place in self.car.hull.position)
        shift = pygame.math.Vector2((x, y)).rotate_rad(angle)
        middle = (original.WINDOW_W / 2 + shift[0], original.WINDOW_H / 4 + shift[1])
        self._render_road(zoom, middle, angle)
        self.car.draw(self.surf, zoom, middle, angle, draw_particles=False)
        self.surf = pygame.transform.flip(self.surf, False, True)
        return self._create_image_array(self.surf, (original.STATE_W, original.STATE_H))

    def _render_road(self, zoom: float, translation: tuple[float, float], angle: float) -> None:
        """Draw the field, and the parts of grass and road in the window."""
        end = original.PLAYFIELD
        field = [(end, end), (end, -end), (-end, -end), (-end, end)]
        self._draw_colored_polygon(self.surf, field, self.bg_color, zoom, translation, angle, clip=False)
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        x = self._corners[..., 0] * cos - self._corners[..., 1] * sin + translation[0]
        y = self._corners[..., 0] * sin + self._corners[..., 1] * cos + translation[1]
        seen = (x.max(1) >= -_MARGIN) & (x.min(1) <= original.WINDOW_W + _MARGIN)
        seen &= (y.max(1) >= -_MARGIN) & (y.min(1) <= original.WINDOW_H + _MARGIN)
        for i in np.flatnonzero(seen).tolist():
            polygon, colour = self._polygons[i]
            whole = [int(part) for part in colour]
            self._draw_colored_polygon(self.surf, polygon, whole, zoom, translation, angle)


class GymnasiumCars:
    """N of Gymnasium's cars, driven one after the other (satisfies `car_racing.Cars`)."""

    def __init__(self, num_envs: int, keywords: Mapping[str, Any] | None = None) -> None:
        self._keywords = dict(keywords or {})
        self._cars = [ShownRoad(**self._keywords) for _ in range(num_envs)]

    def start(self, car: int, seed: int) -> np.ndarray:
        """Put one car on a new track; see `Cars.start`."""
        if seed != NO_SEED:
            # A new object (0.1 ms), so that nothing of an earlier race remains in Box2D's world.
            self._cars[car] = ShownRoad(**self._keywords)
        picture: np.ndarray = self._cars[car].reset(seed=None if seed == NO_SEED else seed)[0]
        return picture

    def drive(self, cars: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Drive some cars for one frame each; see `Cars.drive`."""
        driven = [self._cars[car].step(action) for car, action in zip(cars.tolist(), actions.tolist(), strict=True)]
        pictures, rewards, terminated, _, _ = zip(*driven, strict=True)
        return np.stack(pictures), np.array(rewards, np.float64), np.array(terminated, np.bool_)

    def large_picture(self) -> np.ndarray:
        """Draw the full picture of the first car; see `Cars.large_picture`."""
        picture: np.ndarray = self._cars[0]._render("rgb_array")
        return picture

    def close(self) -> None:
        """Free the simulators."""
        self._cars.clear()
