"""One recorded game as pictures: the game, what its agent sees, Q-values, predicted returns, a caption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from PIL import Image, ImageDraw

from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.errors import UserError
from pixelq.image_and_numbers import by_images, images_of
from pixelq.policy import Agent
from pixelq.viewing.agent_view import FramesView, NumbersView, view_of
from pixelq.viewing.distribution import histogram, predicted_returns
from pixelq.viewing.distribution_panel import WIDTH as RETURNS_WIDTH
from pixelq.viewing.distribution_panel import DistributionPanel
from pixelq.viewing.heat import HeatScale, drawn_over
from pixelq.viewing.panel_style import BACK, DIM, EDGE, TEXT, font, shortened
from pixelq.viewing.q_panel import WIDTH, QPanel
from pixelq.viewing.saliency import gradient_saliency, perturbation_saliency

LEAST_HEIGHT = 420
"""Pixels that the panels beside a game need."""
USUAL_WIDTH = 1_920
"""Pixels up to which a game's picture is enlarged where a person names no scale."""
CAPTION = 26
"""Pixels of a line below the game."""

Saliency = Literal["gradient", "perturbation"]


@dataclass(frozen=True)
class Look:
    """What a video shows besides the game."""

    values: bool = True
    """Q-values as bars, and of a distributional head the predicted returns."""
    view: bool = False
    """The agent's own view: the frames of its state, or its numbers."""
    saliency: Saliency | None = None
    """What the agent looks at, drawn over the game, or over the agent's view where that shows another picture."""


class Player(Protocol):
    """A policy that can be recorded; `pixelq.policy.Agent` is one."""

    config: Config

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """Q-values float32 `(N, A)` of observations `(N, stack, ...)`, as `pixelq.envs.make_envs` gives them."""
        ...


class Picture(Protocol):
    """A game that is drawn."""

    height: int
    """Of its picture, in pixels."""
    width: int
    """Likewise."""
    action_names: list[str]
    seen: tuple[float, float, float, float] | None
    """Where in the picture lies what its images of observations show: top, left, height and width, as shares of the
    picture. None: they show something else, or it has none."""
    flickers: bool
    """Whether it may draw a thing in every other of its screens, so that a state is the brighter of the last two."""


@dataclass(frozen=True)
class Choice:
    """What is done in a state."""

    q_values: np.ndarray
    """float32 `(A,)`, of the state."""
    action: int
    """The one taken."""
    greedy: bool
    """Whether the agent chose it because it has the highest Q-value."""


@dataclass(frozen=True)
class Moment:
    """One state of a recorded game; everything in it is of this state."""

    observation: np.ndarray
    """What the agent sees, `(stack, ...)`."""
    screens: list[np.ndarray]
    """The pictures of the agent step that led to it (Atari: every frame), each uint8 `(height, width, 3)`; the last is
    that of the state. At a game's start it is the only one."""
    choice: Choice | None
    """None: the game is over."""
    score: float
    """Points so far."""
    network: Any = None
    """That can be asked about the state: the agent's, with what it remembers of the game; None: it has none."""


class Scene:
    """Puts together the pictures of one game.

    Args:
        agent: that plays it.
        shown: the game.
        space: of its observations.
        look: what is shown besides the game.
        caption: below the game; empty: nothing, unless there is no panel that shows the score.
        scale: screen pixels per game pixel; a whole number, or less than 1.
        epsilon: probability of a random action, for the legend.
        together: screens of the game that make one picture.

    Raises:
        UserError: something that this game or this policy cannot show.
    """

    def __init__(
        self, agent: Player, shown: Picture, space: Any, look: Look, *, caption: str, scale: float, epsilon: float,
        together: int,
    ) -> None:  # fmt: skip
        self._agent, self._space, self._scale, self._together = agent, space, scale, together
        self._saliency = look.saliency
        if look.saliency is not None:
            _check_saliency(agent, space)
        game_height, game_width = max(1, round(shown.height * scale)), max(1, round(shown.width * scale))
        view_wanted = look.view or (look.saliency is not None and shown.seen is None)
        height = max(game_height, LEAST_HEIGHT if look.values else 0, LEAST_HEIGHT // 2 if view_wanted else 0)
        self._seen = shown.seen
        self._view: FramesView | NumbersView | None = None
        self._panel: QPanel | None = None
        self._returns: DistributionPanel | None = None
        columns = [game_width]
        if view_wanted:
            self._view = view_of(_view_shape(space), height)
            columns.append(self._view.width)
        if look.values:
            self._panel = QPanel(
                height, resolve_game(agent.config.game).title, shown.action_names, _why(agent, epsilon)
            )
            columns.append(WIDTH)
            if isinstance(agent, Agent) and _is_distributional(agent, space):
                self._returns = DistributionPanel(height, len(shown.action_names))
                columns.append(RETURNS_WIDTH)
        self._columns = np.cumsum([0, *columns]).tolist()
        self._caption = Caption(self._columns[-1], caption, with_score=not look.values)
        self.height, self.width = height + self._caption.height, self._columns[-1]
        self._picture = np.zeros((self.height, self.width, 3), np.uint8)
        top = (height - game_height) // 2
        self._game = self._picture[top : top + game_height, :game_width]
        self._beside = height
        self._heat_scale = HeatScale()
        self._heat: np.ndarray | None = None
        self._overlaid = 2 if shown.flickers else 1
        self._waiting: list[np.ndarray] = []

    def first(self, moment: Moment, agent_steps: int) -> np.ndarray:
        """The picture with which a video begins, uint8 `(height, width, 3)`: the state alone, whatever came before."""
        self._draw_beside(moment, agent_steps)
        self._waiting = moment.screens[-self._overlaid :]
        return self._with_game()

    def pictures(self, moment: Moment, agent_steps: int) -> Iterator[np.ndarray]:
        """The pictures uint8 `(height, width, 3)` from the state before up to this one, each overwritten by the next.

        What stands beside the game is that of the last state that the game's picture has come to: on the way to this
        state still that of the one before.

        Args:
            moment: the state.
            agent_steps: taken in this game so far.
        """
        for number, screen in enumerate(moment.screens, 1):
            if number == len(moment.screens):
                self._draw_beside(moment, agent_steps)
            self._waiting.append(screen)
            if len(self._waiting) == self._together:
                yield self._with_game()

    def last(self) -> Iterator[np.ndarray]:
        """The picture of the screens that are left, if there are any."""
        if self._waiting:
            yield self._with_game()

    def ended(self) -> np.ndarray:
        """The last picture, darker, where other games go on."""
        picture = self._picture.copy()
        picture[: self._beside] = picture[: self._beside] // 3
        picture[self._beside :] = self._caption.draw(over=True)
        return picture

    def _draw_beside(self, moment: Moment, agent_steps: int) -> None:
        choice, self._heat = moment.choice, None
        if self._saliency is not None and choice is not None:
            self._heat = self._heat_scale(_saliency_of(self._agent, self._space, moment, self._saliency))
        rooms = [self._picture[: self._beside, a:b] for a, b in zip(self._columns[1:], self._columns[2:], strict=False)]
        if self._view is not None:
            rooms.pop(0)[:] = self._view.draw(images_of(self._space, moment.observation), self._heat)
        if self._panel is not None and choice is None:
            rooms.pop(0)[:] = self._panel.over(score=moment.score, agent_steps=agent_steps)
        elif self._panel is not None and choice is not None:
            rooms.pop(0)[:] = self._panel.draw(
                choice.q_values, choice.action, greedy=choice.greedy, score=moment.score, agent_steps=agent_steps
            )
        if self._returns is not None and choice is None:
            rooms.pop(0)[:] = self._returns.over()
        elif self._returns is not None and choice is not None:
            found = histogram(*_returns_of(self._agent, moment))
            rooms.pop(0)[:] = self._returns.draw(found, choice.q_values, choice.action, greedy=choice.greedy)
        if self._caption.height:
            self._picture[self._beside :] = self._caption.draw(moment.score, over=False)

    def _with_game(self) -> np.ndarray:
        newest = np.maximum.reduce(self._waiting[-self._overlaid :])
        self._waiting.clear()
        if self._scale < 1:
            size = self._game.shape[1::-1]
            self._game[:] = np.asarray(Image.fromarray(newest).resize(size, Image.Resampling.BOX))
        else:
            self._game[:] = newest.repeat(int(self._scale), axis=0).repeat(int(self._scale), axis=1)
        if self._heat is not None and self._seen is not None:
            height, width = self._game.shape[:2]
            top, left, high, wide = self._seen
            rows = slice(round(top * height), round((top + high) * height))
            across = slice(round(left * width), round((left + wide) * width))
            self._game[rows, across] = drawn_over(self._game[rows, across], self._heat)
        return self._picture


class Caption:
    """The lines below a game: whose policy plays, and where no panel shows it the score.

    Args:
        width: pixels.
        text: may be empty.
        with_score: whether there is a line for the score.
    """

    def __init__(self, width: int, text: str, *, with_score: bool) -> None:
        self.height = CAPTION * (bool(text) + with_score)
        self._with_score, self._score = with_score, 0.0
        self._image = Image.new("RGB", (width, max(self.height, 1)), BACK)
        self._letters, self._numbers = font(12), font(14, bold=True)
        if text:
            line = shortened(text, self._letters, width - 2 * EDGE)
            ImageDraw.Draw(self._image).text((EDGE, CAPTION / 2), line, DIM, self._letters, "lm")

    def draw(self, score: float | None = None, *, over: bool) -> np.ndarray:
        """The lines as uint8 `(height, width, 3)`; `score` in points, None: as before."""
        self._score = self._score if score is None else score
        if not self._with_score:
            return np.asarray(self._image)
        image = self._image.copy()
        words = f"score {self._score:,.0f}" if self._score == round(self._score) else f"score {self._score:,.2f}"
        place = (EDGE, self.height - CAPTION / 2 - 3)
        ImageDraw.Draw(image).text(place, words + (", game over" if over else ""), TEXT, self._numbers, "lm")
        return np.asarray(image)


def usual_scale(shown: Picture, atari: bool, height: int = LEAST_HEIGHT) -> float:
    """Screen pixels per game pixel such that a picture is about so high, and not very wide; less than 1 in a grid."""
    if atari:
        return 2 if height >= LEAST_HEIGHT else 1
    if height < LEAST_HEIGHT and shown.height > 1.5 * height:
        return 1 / round(shown.height / height)
    return max(1, min(round(height / shown.height), USUAL_WIDTH // shown.width))


def _why(agent: Player, epsilon: float) -> str:
    """Why an action is taken that has not the highest value."""
    config = agent.config
    presses = config.opening_fire_max or config.fire_on_life_loss or config.wrapper_openings
    return "random, or opening FIRE" if presses else f"random (epsilon {epsilon:g})"


def _check_saliency(agent: Player, space: Any) -> None:
    if not isinstance(agent, Agent):
        raise UserError("saliency is measured on a network; this policy has none")
    if len(space.shape) < 3:
        raise UserError(
            f"game {agent.config.game}: saliency is drawn over images, and this game's observations are "
            f"{space.shape[-1]} numbers; leave --saliency out (--view shows them)"
        )


def _view_shape(space: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = images_of(space, np.zeros(space.shape, space.dtype)).shape
    return shape


def _saliency_of(agent: Player, space: Any, moment: Moment, kind: Saliency) -> np.ndarray:
    assert isinstance(agent, Agent)
    network = moment.network or agent.network
    values, state = by_images(space, network.q_values, _state(agent, moment.observation))
    return gradient_saliency(values, state) if kind == "gradient" else perturbation_saliency(values, state)


def _is_distributional(agent: Agent, space: Any) -> bool:
    return _predicted(agent, agent.network, np.zeros(space.shape, space.dtype)) is not None


def _returns_of(agent: Player, moment: Moment) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(agent, Agent)
    found = _predicted(agent, moment.network or agent.network, moment.observation)
    assert found is not None
    return found


def _predicted(agent: Agent, network: Any, observation: np.ndarray) -> tuple[torch.Tensor, torch.Tensor] | None:
    with torch.inference_mode():
        return predicted_returns(network.head, network(_state(agent, observation)))


def _state(agent: Agent, observation: np.ndarray) -> torch.Tensor:
    device = next(agent.network.parameters()).device
    return torch.from_numpy(np.ascontiguousarray(observation[None])).to(device)
