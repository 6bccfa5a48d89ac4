import importlib.util
import os

import av
import numpy as np
import pytest
from PIL import Image

from pixelq.errors import UserError
from pixelq.tabular.game import open_game
from pixelq.tabular.planning import value_iteration
from pixelq.tabular.policies import TableAgent, handwritten_policy
from pixelq.tabular.video import LAST, check_video, record_episode

HAS_PYGAME = importlib.util.find_spec("pygame") is not None

needs_pygame = pytest.mark.skipif(
    not HAS_PYGAME, reason="Gymnasium draws these games with pygame: pip install 'pixelq[toy-text]'"
)


def pictures(path):
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


@needs_pygame
def test_the_video_of_a_table_has_its_values_beside_the_game(lake, tmp_path, capfd):
    agent = TableAgent(value_iteration(lake.model, 0.9), np.random.default_rng(0))
    environment = dict(os.environ)
    steps = record_episode(agent, lake, tmp_path / "new" / "lake.mp4", seed=1)
    video = pictures(tmp_path / "new" / "lake.mp4")
    assert len(steps) == 6
    assert len(video) == 6 + LAST
    assert video[0].shape == (420, 256 + 320, 3)
    assert (np.abs(video[1].astype(int) - video[0])[:, :256] > 60).any(), "the elf has not moved"
    assert (np.abs(video[3].astype(int) - video[2])[:, 256:] > 60).any(), "the values have not changed"
    assert np.abs(video[-1].astype(int) - video[-2]).max() < 30
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["lake.mp4"]
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == environment


@needs_pygame
def test_the_video_of_a_handwritten_policy_has_only_the_game(cliff, tmp_path):
    game = open_game("CliffWalking-v1", limit=4)
    policy = handwritten_policy("up", game, np.random.default_rng(0))
    steps = record_episode(policy, game, tmp_path / "up.mp4", seed=0)
    video = pictures(tmp_path / "up.mp4")
    assert [s.state for s in steps] == [36, 24, 12, 0]
    assert video[0].shape == (256, 768, 3)
    assert len(video) == 4 + LAST


@needs_pygame
def test_a_gif_is_made_by_its_ending(lake, tmp_path):
    agent = TableAgent(value_iteration(lake.model, 0.9), np.random.default_rng(0))
    record_episode(agent, lake, tmp_path / "lake.gif", seed=1)
    with Image.open(tmp_path / "lake.gif") as gif:
        # The last picture, which is shown several times, is one that stays longer.
        assert (gif.size, gif.n_frames >= 6, gif.info["loop"]) == ((256 + 320, 420), True, 0)


@needs_pygame
def test_a_game_without_pictures_is_refused(corridor_id, tmp_path):
    game = open_game(corridor_id)
    agent = TableAgent(np.zeros((4, 2)), np.random.default_rng(0))
    with pytest.raises(UserError, match="draws no pictures"):
        record_episode(agent, game, tmp_path / "a.mp4", seed=0)
    assert list(tmp_path.iterdir()) == []


def test_without_pygame_the_install_command_is_named(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    agent = TableAgent(np.zeros((16, 4)), np.random.default_rng(0))
    with pytest.raises(UserError, match=r"python -m pip install 'pixelq\[toy-text\]'"):
        record_episode(agent, lake, tmp_path / "new" / "a.mp4", seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "message"), [(".", "is a folder"), ("file/a.mp4", r"file cannot be written \(Not a directory\)")]
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path, place, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        check_video(tmp_path / place)
