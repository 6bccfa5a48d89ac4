import dataclasses

import av
import numpy as np
import pytest
from PIL import Image

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.viewing.q_panel import WIDTH
from pixelq.viewing.video import open_game, played, record_game


class LinearPlayer:
    """Q-values linear in the pixels of the observation: it plays badly, and differently in every state."""

    def __init__(self, game, actions, **fields):
        self.config = dataclasses.replace(Config(), game=game, **fields)
        self._weights = np.random.default_rng(0).normal(0, 1e-4, (4 * 84 * 84, actions)).astype(np.float32)
        self.seen = []

    def q_values(self, observations):
        assert observations.dtype == np.uint8
        self.seen.append(observations.copy())
        return observations.reshape(len(observations), -1).astype(np.float32) @ self._weights


def pictures(path):
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)], float(stream.average_rate)


def screens_of(player, *, seed, epsilon, steps):
    shown, envs = open_game(player.config, seed)
    game = played(player, shown, envs, seed=seed, epsilon=epsilon)
    moments = [moment for moment, _ in zip(game, range(steps + 1), strict=False)]
    envs.close()
    return [s for moment in moments for s in moment.screens], moments


def choices(moments):
    return [moment.choice for moment in moments if moment.choice is not None]


def test_the_game_picture_is_the_emulators_screen_at_twice_its_size(tmp_path):
    player = LinearPlayer("pong", 6, sticky_actions=0.25)
    game = record_game(player, tmp_path / "a.mp4", seed=3, epsilon=0.1, fps=60, max_agent_steps=20)
    video, rate = pictures(game.path)
    assert (len(video), game.frames, game.agent_steps, rate) == (81, 81, 20, 60.0)
    assert video[0].shape == (420, 320 + WIDTH, 3)
    screens, moments = screens_of(player, seed=3, epsilon=0.1, steps=20)
    assert game.score == moments[-1].score
    for shown, screen in zip(video[::5], screens[::5], strict=True):
        small = shown[:, :320].reshape(210, 2, 160, 2, 3).mean(axis=(1, 3))
        error = np.abs(small - screen)
        assert error.mean() < 4
        assert np.quantile(error, 0.99) < 25


def test_thirty_pictures_a_second_show_two_frames_each_so_that_nothing_that_flickers_is_lost(tmp_path):
    player = LinearPlayer("ms_pacman", 9)
    game = record_game(player, tmp_path / "a.mp4", seed=1, epsilon=0.0, max_agent_steps=30)
    video, rate = pictures(game.path)
    assert (len(video), rate) == (61, 30.0)
    (first, *screens), _ = screens_of(player, seed=1, epsilon=0.0, steps=30)
    small = [picture[:, :320].reshape(210, 2, 160, 2, 3).mean(axis=(1, 3)) for picture in video]
    assert np.abs(small[0] - first).mean() < 5
    for i in range(0, 60, 9):
        assert np.abs(small[1 + i] - np.maximum(screens[2 * i], screens[2 * i + 1])).mean() < 5


def test_a_states_picture_is_the_screen_that_the_agent_sees_in_it():
    """The first frame of its state, made small by ale-py from the same screen that the video shows."""
    player = LinearPlayer("breakout", 4, max_pool=False, noop_max=30)
    _, moments = screens_of(player, seed=5, epsilon=1.0, steps=40)
    errors = {-1: [], 0: [], 1: []}
    for t in range(1, 40):
        newest = moments[t].observation[-1].astype(float)
        for other, found in errors.items():
            gray = moments[t + other].screens[-1] @ np.array([0.299, 0.587, 0.114])
            small = np.asarray(Image.fromarray(gray.astype(np.uint8)).resize((84, 84), Image.Resampling.BOX))
            found.append(np.abs(small - newest).mean())
    own, before, after = (np.array(errors[other]) for other in (0, -1, 1))
    assert (own < np.minimum(before, after)).any()
    assert (own <= np.minimum(before, after) + 0.05).all()  # where nothing moves all are alike


@pytest.mark.parametrize(("scale", "size"), [(1, (420, 160 + WIDTH)), (3, (630, 480 + WIDTH))])
def test_the_scale_is_a_whole_number_of_screen_pixels(tmp_path, scale, size):
    game = record_game(LinearPlayer("pong", 6), tmp_path / "a.mp4", scale=scale, max_agent_steps=2)
    video, _ = pictures(game.path)
    assert video[0].shape[:2] == size


def test_a_whole_game_is_recorded_to_its_end(tmp_path):
    game = record_game(LinearPlayer("breakout", 4), tmp_path / "videos" / "a.mp4", seed=2, epsilon=0.5, fps=15)
    video, rate = pictures(game.path)
    assert game.finished
    assert game.agent_steps > 100
    assert (len(video), rate) == (game.frames, 15.0)
    assert game.frames == game.agent_steps + 1  # each state, the first and the last among them
    assert [p.name for p in (tmp_path / "videos").iterdir()] == ["a.mp4"]


def test_the_frame_cap_of_the_recipe_ends_a_game(tmp_path):
    player = LinearPlayer("pong", 6, max_frames_per_episode=80)
    game = record_game(player, tmp_path / "a.mp4")
    assert (game.finished, game.agent_steps, game.frames) == (True, 20, 41)


def test_a_game_cut_short_says_so(tmp_path):
    assert not record_game(LinearPlayer("pong", 6), tmp_path / "a.mp4", max_agent_steps=3).finished


def test_the_same_seed_records_the_same_game_and_another_seed_another(tmp_path):
    player = LinearPlayer("breakout", 4, sticky_actions=0.25)
    videos = [
        pictures(record_game(player, tmp_path / "a.mp4", seed=seed, epsilon=0.3, scale=1, max_agent_steps=20).path)[0]
        for seed in (7, 7, 8)
    ]
    np.testing.assert_array_equal(videos[0], videos[1])
    assert (np.stack(videos[0]) != np.stack(videos[2])).any()


def test_the_agent_sees_its_own_preprocessing_and_takes_its_best_action():
    player = LinearPlayer("pong", 6)
    _, moments = screens_of(player, seed=0, epsilon=0.0, steps=20)
    assert {seen.shape for seen in player.seen} == {(1, 4, 84, 84)}
    assert all(choice.greedy and choice.action == choice.q_values.argmax() for choice in choices(moments))
    assert len({choice.action for choice in choices(moments)}) > 1


def test_epsilon_is_the_share_of_random_actions():
    _, moments = screens_of(LinearPlayer("pong", 6), seed=0, epsilon=0.5, steps=300)
    assert np.mean([not choice.greedy for choice in choices(moments)]) == pytest.approx(0.5, abs=0.1)


def test_an_opening_fire_is_shown_as_not_the_agents_choice():
    player = LinearPlayer("breakout", 4, opening_fire_max=30)
    player.q_values = lambda observations: np.array([[9.0, 0.0, 0.0, 0.0]], np.float32)
    _, moments = screens_of(player, seed=0, epsilon=0.0, steps=40)
    opening = [choice for choice in choices(moments) if not choice.greedy]
    assert 1 <= len(opening) <= 30
    assert {choice.action for choice in opening} == {1}
    assert moments[-1].choice.greedy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 2.0}, "epsilon = 2 is out of range"),
        ({"scale": 0}, "scale = 0 is out of range"),
        ({"fps": 24}, "fps = 24"),
        ({"max_agent_steps": 0}, "max_agent_steps = 0 is out of range"),
    ],
)
def test_values_out_of_range_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        record_game(LinearPlayer("pong", 6), tmp_path / "new" / "a.mp4", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_mistake_with_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"a\.mp4: cannot be written"):
        record_game(LinearPlayer("pong", 6), tmp_path / "file" / "a.mp4", max_agent_steps=1)
    with pytest.raises(UserError, match="is a folder"):
        record_game(LinearPlayer("pong", 6), tmp_path, max_agent_steps=1)


def test_an_opening_fire_in_a_game_without_one_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="has no FIRE"):
        record_game(LinearPlayer("ms_pacman", 9, opening_fire_max=5), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_fails_leaves_nothing_behind(tmp_path):
    player = LinearPlayer("pong", 6)
    calls = iter(range(5))
    play = player.q_values

    def break_down(observations):
        if next(calls) == 4:
            raise FloatingPointError("the network broke down")
        return play(observations)

    player.q_values = break_down
    with pytest.raises(FloatingPointError):
        record_game(player, tmp_path / "new" / "videos" / "a.mp4")
    assert list(tmp_path.iterdir()) == []
