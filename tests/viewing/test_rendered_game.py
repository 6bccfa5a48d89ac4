"""Videos of games that are drawn by their environment."""

from fractions import Fraction
from typing import Any, ClassVar

import av
import gymnasium
import numpy as np
import pytest

from pixelq.config import Config
from pixelq.envs import GymnasiumGame, make_envs, resolve_game
from pixelq.envs.gymnasium_games import make_environment
from pixelq.errors import RunError, UserError
from pixelq.viewing.rendered_game import SLOW, action_names, frames_per_second, rendered_game
from pixelq.viewing.video import open_game, played, record_game

IMAGES: dict[str, Any] = {"grayscale": False, "screen_size": 0}


def config(game: str, **fields: Any) -> Config:
    plain: dict[str, Any] = {"frame_skip": 1, "frame_stack": 1, "noop_max": 0, "fire_on_reset": False}
    return Config(**(plain | {"game": game} | fields))


class Balancing:
    """Holds CartPole's pole up for a while."""

    def __init__(self, game: str = "CartPole-v1") -> None:
        self.config = config(game)

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        position, speed, angle, spin = observations[0, -1]
        push = angle + 0.3 * spin + 0.02 * position + 0.05 * speed
        return np.array([[-push, push]], np.float32)


def test_the_video_shows_the_same_game_as_without_a_video() -> None:
    agent = Balancing()
    shown, envs = open_game(agent.config, 7)
    moments = list(played(agent, shown, envs, seed=7, epsilon=0.0))
    envs.close()
    plain = make_envs(agent.config, num_envs=1, seed=np.random.SeedSequence(7).spawn(2)[0])
    observations, _ = plain.reset()
    over = False
    for moment in moments[:-1]:
        assert not over
        assert np.array_equal(moment.choice.q_values, agent.q_values(observations)[0])
        observations, _, terminated, truncated, info = plain.step(np.array([moment.choice.action]))
        over = bool(terminated[0] | truncated[0])
    assert over
    assert moments[-1].choice is None
    assert np.array_equal(moments[-1].observation, info["final_obs"][0])
    assert moments[-1].score == len(moments) - 1 > 30


def test_each_picture_is_what_gymnasium_draws_of_the_state_whose_values_are_shown() -> None:
    agent = Balancing()
    shown, envs = open_game(agent.config, 3)
    moments = played(agent, shown, envs, seed=3, epsilon=0.0)
    reference = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    first = [next(moments) for _ in range(5)]
    # `SeededEpisodes` draws the game's seed; the record of its actions begins with it.
    reference.reset(seed=int(envs._record.seeds[0]))
    for number, moment in enumerate(first):
        (screen,) = moment.screens
        assert np.array_equal(screen, reference.render())
        assert np.array_equal(moment.observation[-1], np.array(reference.unwrapped.state, np.float32))
        assert np.array_equal(moment.choice.q_values, agent.q_values(moment.observation[None])[0])
        assert moment.score == number
        reference.step(moment.choice.action)
    moments.close()
    envs.close()


@pytest.mark.parametrize(
    ("game", "fields", "names", "rate"),
    [
        ("CartPole-v1", {}, ["LEFT", "RIGHT"], 50),
        ("CartPole-v1", {"frame_skip": 4}, ["LEFT", "RIGHT"], Fraction(25, 2)),
        ("LunarLander-v3", {}, ["NOTHING", "LEFT ENGINE", "MAIN ENGINE", "RIGHT ENGINE"], 50),
        ("MinAtar/Breakout-v1", IMAGES, ["NOTHING", "LEFT", "RIGHT"], 10),
        ("CarRacing-v3", {"frame_stack": 4}, ["NOTHING", "RIGHT", "LEFT", "GAS", "BRAKE"], 50),
    ],
)
def test_a_game_has_its_rate_and_the_names_of_its_actions(
    game: str, fields: dict[str, Any], names: list[str], rate: Fraction
) -> None:
    found = resolve_game(game)
    assert isinstance(found, GymnasiumGame)
    shown = rendered_game(config(game, **fields), found)
    assert (shown.action_names, shown.rate) == (names, rate)
    shown.step(np.zeros(1, np.int64))
    assert [screen.shape for screen in shown.screens] == [(shown.height, shown.width, 3)]
    assert shown.screens[0].dtype == np.uint8
    assert shown.screens[0].max() > 50
    shown.close()


def test_minigrids_own_names_are_taken_and_unknown_actions_are_numbered() -> None:
    game = resolve_game("MiniGrid-Empty-5x5-v0")
    assert isinstance(game, GymnasiumGame)
    env = make_environment(game)
    assert action_names(env, game, 7) == ["LEFT", "RIGHT", "FORWARD", "PICKUP", "DROP", "TOGGLE", "DONE"]
    assert action_names(env, game, 3) == ["ACTION 0", "ACTION 1", "ACTION 2"]


def test_a_small_picture_is_made_large(tmp_path: Any) -> None:
    class Still:
        config = config("MinAtar/Breakout-v1", **IMAGES)

        def q_values(self, observations: np.ndarray) -> np.ndarray:
            return np.zeros((1, 3), np.float32)

    import av

    recorded = record_game(Still(), tmp_path / "video.mp4", max_agent_steps=3)
    with av.open(str(recorded.path)) as opened:
        assert (opened.streams.video[0].height, opened.streams.video[0].width) == (420, 420 + 320)


def test_a_game_that_draws_nothing_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    class Blind(gymnasium.Env[Any, Any]):
        observation_space = gymnasium.spaces.Discrete(2)
        action_space = gymnasium.spaces.Discrete(2)

    monkeypatch.setitem(gymnasium.registry, "Blind-v0", gymnasium.envs.registration.EnvSpec("Blind-v0", Blind))
    agent = Balancing(game="Blind-v0")
    with pytest.raises(UserError, match=r"game Blind-v0 draws no pictures"):
        record_game(agent, tmp_path / "video.mp4")
    assert list(tmp_path.iterdir()) == []


class Draws(gymnasium.Env[Any, Any]):
    """A game of five steps that draws what a test wants."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)
    picture: ClassVar[Any] = None

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return 0, {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return 0, 1.0, self.steps == 5, False, {}

    def render(self) -> Any:
        picture = type(self).picture
        return picture(self.steps) if callable(picture) else picture


class Still:
    """Always takes action 0."""

    config = config("Draws-v0")

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        return np.array([[1.0, 0.0]], np.float32)


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> type[Draws]:
    monkeypatch.setitem(gymnasium.registry, "Draws-v0", gymnasium.envs.registration.EnvSpec("Draws-v0", Draws))
    monkeypatch.setattr(Draws, "picture", None)
    return Draws


@pytest.mark.parametrize(
    "picture",
    [
        np.full((64, 64, 3), 100),
        np.full((64, 64, 3), 100.0),
        np.full((64, 64, 4), 100, np.uint8),
        np.full((64, 64), 100, np.uint8),
        lambda steps: np.full((64 + steps, 64, 3), 100, np.uint8),
    ],
)
def test_pictures_of_every_kind_are_filmed_as_they_are(picture: Any, draws: type[Draws], tmp_path: Any) -> None:
    draws.picture = staticmethod(picture) if callable(picture) else picture
    game = record_game(Still(), tmp_path / "video.mp4")
    assert (game.agent_steps, game.frames) == (5, 6)  # the first state, and the one after each agent step
    with av.open(str(game.path)) as video:
        for frame in video.decode(video=0):
            assert abs(frame.to_ndarray(format="rgb24")[100:300, 100:300].mean() - 100) < 3


def broken(steps: int) -> Any:
    raise RuntimeError("no GL context")


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (None, r"its render\(\) gives no picture"),
        (lambda steps: None if steps == 3 else np.zeros((9, 9, 3), np.uint8), r"failed \(game Draws-v0: its render"),
        (broken, r"its render\(\) failed \(RuntimeError: no GL context\)"),
        (np.zeros((20, 20_000, 3), np.uint8), "too large for MP4"),
    ],
)
def test_what_cannot_be_filmed_is_said_in_one_line_and_leaves_nothing(
    picture: Any, words: str, draws: type[Draws], tmp_path: Any
) -> None:
    draws.picture = staticmethod(picture) if callable(picture) else picture
    with pytest.raises((UserError, RunError), match=words):
        record_game(Still(), tmp_path / "video.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_thin_picture_is_not_made_endlessly_wide(draws: type[Draws], tmp_path: Any) -> None:
    draws.picture = np.full((4, 300, 3), 100, np.uint8)
    with av.open(str(record_game(Still(), tmp_path / "video.mp4").path)) as video:
        assert video.streams.video[0].width == 6 * 300 + 320


@pytest.mark.parametrize("said", [None, 0, -3, "fast", float("nan"), float("inf"), 1e9, [30]])
def test_a_rate_that_no_video_can_have_is_the_usual_one(said: Any) -> None:
    assert frames_per_second(said) == SLOW


@pytest.mark.parametrize(("said", "rate"), [(30, 30), (12.5, Fraction(25, 2)), (np.float32(0.5), Fraction(1, 2))])
def test_a_rate_is_taken_as_it_is_said(said: Any, rate: Any) -> None:
    assert frames_per_second(said) == rate
