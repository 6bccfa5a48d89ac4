"""Atari games in other modes and difficulties: which there are, and that they are played as the others are."""

from typing import Any

import numpy as np
import pytest

from pixelq.config import Config
from pixelq.envs import make_envs, resolve_game
from pixelq.envs.atari import AtariGames
from pixelq.envs.atari_modes import ModeEmulators
from pixelq.envs.seeded_episodes import NO_SEED
from pixelq.errors import UserError
from pixelq.viewing.colour_screen import ColourScreen

BOTH = np.ones(2, np.bool_)


def games(name: str, num_envs: int = 2, **fields: Any) -> AtariGames:
    return AtariGames(Config(game=name, **fields), resolve_game(name), num_envs=num_envs)  # type: ignore[arg-type]


def in_its_own_mode(name: str, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> AtariGames:
    """The game as `ModeEmulators` plays it, although it needs none."""
    with monkeypatch.context() as patched:
        patched.setattr("pixelq.envs.atari_modes._checked", lambda game, keywords: (0, 0))
        made = games(name, env_kwargs={"mode": 0}, **fields)
    assert isinstance(made._games, ModeEmulators)
    return made


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("breakout", {"sticky_actions": 0.25}),
        ("pong", {"grayscale": False, "frame_skip": 3, "full_action_set": True}),
        ("space_invaders", {"max_pool": False, "screen_size": 50, "fire_on_reset": False}),
    ],
)
def test_in_its_own_mode_a_game_is_the_vector_environments(
    name: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rewards, ends, lives and pixels are equal: ale-py's own play is the reference."""
    fields = {"noop_max": 0} | fields
    fast, plain = games(name, **fields), in_its_own_mode(name, monkeypatch, **fields)
    assert plain.single_observation_space == fast.single_observation_space
    assert plain.fire_action() == fast.fire_action()
    starts = [one.reset_some(np.array([3, 4]), BOTH) for one in (fast, plain)]
    assert np.array_equal(starts[0][0], starts[1][0])
    random = np.random.default_rng(0)
    for _ in range(120):
        actions = random.integers(0, fast.single_action_space.n, 2)
        one, other = fast.step(actions), plain.step(actions)
        for a, b in zip(one[1:], other[1:], strict=True):
            assert np.array_equal(a, b)
        over = one[2] | one[3]
        assert np.array_equal(one[0][~over], other[0][~over])
        if over.any():
            seeds = np.full(int(over.sum()), 9)
            fast.reset_some(seeds, over)
            plain.reset_some(seeds, over)


def test_another_mode_is_another_game() -> None:
    def played(**keywords: int) -> bytes:
        envs = make_envs(Config(game="breakout", env_kwargs=keywords, noop_max=0), num_envs=1, seed=1)
        envs.reset()
        shown = [envs.step(np.array([step % 4]))[0].tobytes() for step in range(40)]
        envs.close()
        return b"".join(shown)

    own = played()
    assert played(mode=0, difficulty=0) == own  # said, and so anyway
    assert len({own, played(mode=12), played(mode=16)}) == 3


@pytest.mark.parametrize(
    ("keywords", "part"),
    [
        ({"mode": 3}, r"mode = 3: Breakout has mode 0, 4, 8, .* or 44 \(its own is 0\)"),
        ({"difficulty": 2, "mode": 4}, r"difficulty = 2: Breakout has difficulty 0 or 1"),
        ({"mode": True}, "mode = True"),
        ({"mode": "4"}, "mode = '4'"),
        ({"modes": 4}, "Breakout has no modes; an Atari game has mode and difficulty"),
        ({"frameskip": 4}, "frameskip is --frame-skip in pixelq"),
        ({"repeat_action_probability": 0.1}, "--sticky-actions"),
    ],
)
def test_a_keyword_or_value_that_the_game_does_not_have_names_those_it_has(keywords: dict[str, Any], part: str) -> None:
    with pytest.raises(UserError, match=part):
        make_envs(Config(game="breakout", env_kwargs=keywords), num_envs=1, seed=0)


def test_every_seed_repeats_its_start_and_no_ops_are_drawn_anew() -> None:
    game = games("breakout", 1, env_kwargs={"mode": 4}, noop_max=30, fire_on_reset=False)
    one = np.ones(1, np.bool_)

    def starts() -> list[bytes]:
        return [game.reset_some(np.array([seed]), one)[0].tobytes() for seed in (5, NO_SEED, NO_SEED, 6)]

    first = starts()
    assert starts() == first
    game.step(np.array([1]))
    assert starts() == first


def test_the_colour_screen_plays_the_same_mode() -> None:
    config = Config(game="breakout", env_kwargs={"mode": 12, "difficulty": 1}, noop_max=5)
    screen, game = ColourScreen(config), games("breakout", 1, env_kwargs=config.env_kwargs, noop_max=5)
    screen.start(7)
    game.reset_some(np.array([7]), np.ones(1, np.bool_))
    random = np.random.default_rng(1)
    for _ in range(40):
        action = int(random.integers(4))
        _, rewards, terminated, _, _ = game.step(np.array([action]))
        _, reward, ended = screen.play(action)
        assert (reward, ended) == (rewards[0], terminated[0])


def test_a_resumed_game_of_another_mode_is_the_same_to_the_bit() -> None:
    config = Config(game="breakout", env_kwargs={"mode": 4}, noop_max=3)
    one, other = (make_envs(config, num_envs=2, seed=3) for _ in range(2))
    one.reset()
    for step in range(15):
        one.step(np.array([step % 4, 1]))
    other.load_state_dict(one.state_dict())
    for step in range(15):
        mine, theirs = one.step(np.array([1, step % 4])), other.step(np.array([1, step % 4]))
        assert np.array_equal(mine[0], theirs[0])
