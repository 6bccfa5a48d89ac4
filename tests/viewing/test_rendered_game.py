"""Videos of games that are drawn by their environment."""

from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
import pytest

from pixelq.config import Config
from pixelq.envs import GymnasiumGame, make_envs, resolve_game
from pixelq.envs.gymnasium_games import make_environment
from pixelq.errors import UserError
from pixelq.viewing.rendered_game import action_names, rendered_game
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
    for moment in moments:
        assert np.array_equal(moment.q_values, agent.q_values(observations)[0])
        observations, _, terminated, truncated, _ = plain.step(np.array([moment.action]))
        assert moment.over == bool(terminated[0] | truncated[0])
    assert moments[-1].over
    assert moments[-1].score == len(moments) > 30


def test_each_picture_is_what_gymnasium_draws_after_the_step() -> None:
    agent = Balancing()
    shown, envs = open_game(agent.config, 3)
    moments = played(agent, shown, envs, seed=3, epsilon=0.0)
    reference = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    first = [next(moments) for _ in range(5)]
    # `SeededEpisodes` draws the game's seed; the record of its actions begins with it.
    reference.reset(seed=int(envs._record.seeds[0]))
    for moment in first:
        reference.step(moment.action)
        assert np.array_equal(moment.screens[0], reference.render())
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
