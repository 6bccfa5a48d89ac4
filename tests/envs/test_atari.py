import ale_py
import numpy as np
import pytest
from reference_emulator import ReferenceEmulator

from pixelq.config import Config
from pixelq.envs import list_games, make_envs, resolve_game
from pixelq.envs.atari import AtariGames
from pixelq.envs.seeded_episodes import NO_SEED
from pixelq.errors import UserError

ALL = np.array([True])


def games(name: str, num_envs: int = 1, **fields) -> AtariGames:
    return AtariGames(Config(game=name, **fields), resolve_game(name), num_envs=num_envs)


def starts(game: AtariGames, seeds: list[int]) -> list[tuple[bytes, int]]:
    """The first observation from each seed, and how many frames passed before it."""

    def start(seed: int) -> tuple[bytes, int]:
        observations, _ = game.reset_some(np.array([seed]), ALL)
        return observations.tobytes(), int(
            game._games.reset(options={"reset_mask": ~ALL})[1]["episode_frame_number"][0]
        )

    return [start(seed) for seed in seeds]


@pytest.mark.parametrize("name", [game.rom for game in list_games()])
def test_every_shipped_single_player_game_plays(name):
    game = games(name)
    observations, lives = game.reset_some(np.array([NO_SEED]), ALL)
    assert observations.shape == (1, 4, 84, 84)
    assert observations.dtype == np.uint8
    for action in range(int(game.single_action_space.n)):
        observations, rewards, terminated, truncated, lives = game.step(np.array([action]))
        if terminated[0]:
            game.reset_some(np.array([NO_SEED]), ALL)
    assert not truncated[0]
    assert rewards.shape == lives.shape == (1,)


@pytest.mark.parametrize("sticky", [0.0, 0.25])
@pytest.mark.parametrize("name", ["breakout", "pong", "ms_pacman"])
def test_play_is_the_papers_preprocessing_over_the_single_emulator(name, sticky):
    """Gray, maximum of the last two frames, area mean to 84x84 (rounded by OpenCV), raw reward, lives: to game over."""
    fires = name == "breakout"
    game = games(name, noop_max=0, sticky_actions=sticky, fire_on_reset=fires)
    reference = ReferenceEmulator(name, 123, sticky=sticky, fire=fires)
    observations, _ = game.reset_some(np.array([123]), ALL)
    assert np.abs(observations[0] - reference.stack).max() < 1
    random = np.random.default_rng(0)
    scored = 0.0
    for _ in range(400):
        action = int(random.integers(game.single_action_space.n))
        observations, rewards, terminated, truncated, lives = game.step(np.array([action]))
        stack, reward, over, lives_left = reference.step(action)
        assert (rewards[0], terminated[0], truncated[0], lives[0]) == (reward, over, False, lives_left)
        scored += abs(reward)
        if over:
            # ale-py does not read the frame on which a game ends; nothing is bootstrapped from it.
            assert np.abs(observations[0, :-1] - stack[:-1]).max() < 1
            break
        assert np.abs(observations[0] - stack).max() < 1
    assert scored > 0


def test_a_truncated_game_ends_on_its_true_last_frame():
    game = games("pong", noop_max=0, fire_on_reset=False, max_frames_per_episode=401)
    reference = ReferenceEmulator("pong", 5, sticky=0.0)
    game.reset_some(np.array([5]), ALL)
    random = np.random.default_rng(0)
    for step in range(1, 102):
        action = int(random.integers(6))
        observations, _, terminated, truncated, _ = game.step(np.array([action]))
        stack, *_ = reference.step(action)
        assert np.abs(observations[0] - stack).max() < 1
        # 401 frames are rounded up to 101 agent steps of 4.
        assert (terminated[0], truncated[0]) == (False, step == 101)


def test_a_start_has_one_frame_and_zeros_before_it():
    observations, _ = games("breakout", 3).reset_some(np.array([1, 2, 3]), np.ones(3, bool))
    assert not observations[:, :-1].any()
    assert observations[:, -1].any(axis=(1, 2)).all()


def test_a_restart_leaves_the_other_games_as_they_are_and_clears_the_stack():
    game = games("breakout", 3)
    game.reset_some(np.array([1, 2, 3]), np.ones(3, bool))
    for _ in range(10):
        before, *_ = game.step(np.array([1, 2, 3]))
    after, _ = game.reset_some(np.array([2]), np.array([False, True, False]))
    assert np.array_equal(after[[0, 2]], before[[0, 2]])
    assert not after[1, :-1].any()


def test_arrays_once_returned_are_not_written_again():
    game = games("pong", 2)
    kept, copies = [], []
    observations, _ = game.reset_some(np.array([1, 2]), np.ones(2, bool))
    for step in range(30):
        kept.append(observations)
        copies.append(observations.copy())
        observations, *_ = game.step(np.full(2, step % 6))
        if step % 7 == 0:
            observations, _ = game.reset_some(np.array([step]), np.array([True, False]))
    assert all(np.array_equal(a, b) for a, b in zip(kept, copies, strict=True))


def test_a_seed_decides_the_start_and_those_that_follow_it():
    game = games("breakout")
    seeds = [1, NO_SEED, NO_SEED, 2, NO_SEED, 3]
    first = starts(game, seeds)
    assert starts(game, seeds) == first
    assert len(set(first)) > 3


def test_up_to_noop_max_frames_pass_before_the_start_and_every_count_occurs():
    seen = starts(games("pong", noop_max=3, fire_on_reset=False), [1] + [NO_SEED] * 40)
    assert {frames for _, frames in seen} == {0, 1, 2, 3}
    # FIRE is one frame and counts as one of them.
    seen = starts(games("pong", noop_max=3, fire_on_reset=True), [1] + [NO_SEED] * 40)
    assert {frames for _, frames in seen} == {1, 2, 3}


def test_without_no_ops_and_sticky_actions_every_start_is_the_same():
    assert len(set(starts(games("pong", noop_max=0), [1, 2, NO_SEED, 3, NO_SEED]))) == 1


def test_fire_on_reset_starts_a_game_that_waits_for_it():
    """Breakout's ball appears only after FIRE: with no-ops alone nothing moves."""

    def moving(fire_on_reset: bool) -> bool:
        game = games("breakout", fire_on_reset=fire_on_reset, noop_max=0)
        first, _ = game.reset_some(np.array([1]), ALL)
        for _ in range(30):
            observations, *_ = game.step(np.array([0]))
        return bool((observations[0, -1, 40:] != first[0, -1, 40:]).any())

    assert moving(True)
    assert not moving(False)


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({"frame_stack": 1}, (1, 84, 84)),
        ({"screen_size": 64, "frame_stack": 2}, (2, 64, 64)),
        ({"grayscale": False}, (4, 84, 84, 3)),
    ],
)
def test_the_recipe_sets_the_shape_of_an_observation(fields, shape):
    game = games("pong", **fields)
    assert game.single_observation_space.shape == shape
    assert game.reset_some(np.array([1]), ALL)[0].shape == (1, *shape)


def test_the_action_set_is_minimal_or_full():
    assert games("breakout").single_action_space.n == 4
    assert games("breakout", full_action_set=True).single_action_space.n == 18


def test_without_max_pool_only_the_last_frame_is_shown():
    """Space Invaders' shots are drawn on every other frame."""
    shown = []
    for max_pool in (True, False):
        game = games("space_invaders", noop_max=0, max_pool=max_pool)
        game.reset_some(np.array([1]), ALL)
        shown.append(np.stack([game.step(np.array([1]))[0][0, -1] for _ in range(40)]))
    pooled, alone = shown
    assert (pooled >= alone).all()
    assert (pooled != alone).any()


def test_the_action_fire_is_found():
    game = games("breakout")
    assert list(game._games.ale.get_action_set())[game.fire_action()] == ale_py.Action.FIRE
    assert games("ms_pacman").fire_action() is None


def test_an_opening_fire_in_a_game_without_fire_is_refused():
    with pytest.raises(UserError, match=r"opening_fire_max = 30: MsPacman has no FIRE.*--full-action-set"):
        make_envs(Config(game="ms_pacman", opening_fire_max=30), num_envs=1, seed=0)
    make_envs(Config(game="ms_pacman", opening_fire_max=30, full_action_set=True), num_envs=1, seed=0).close()


def test_making_and_playing_games_prints_nothing(capfd):
    envs = make_envs(Config(game="pong"), num_envs=1, seed=0)
    envs.reset()
    envs.step(np.array([0]))
    envs.close()
    assert capfd.readouterr() == ("", "")
