from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from pixelq.errors import UserError
from pixelq.viewing.video_file import check_video, new_video
from small_disks import files_at_most

ENDINGS = ("mp4", "gif")


def scenery(count, *, height=40, width=60):
    """Pictures of four colours in which a block moves."""
    result = np.zeros((count, height, width, 3), np.uint8)
    result[:, : height // 2] = (200, 72, 72)
    for i in range(count):
        result[i, 5:15, i % (width - 10) : i % (width - 10) + 10] = (66, 158, 130)
    return result


def write(path, pictures, rate=15, **options):
    with new_video(path, *pictures.shape[1:3], Fraction(rate), **options) as video:
        for picture in pictures:
            video.add(picture)
    return path


def of_gif(path):
    with Image.open(path) as gif:
        frames, waits = [], []
        for i in range(gif.n_frames):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("RGB")))
            waits.append(gif.info["duration"])
        return np.stack(frames), waits, gif.info


def test_a_gif_of_few_colours_shows_every_pixel_as_it_was_loops_and_keeps_the_games_time(tmp_path):
    pictures = scenery(30)
    frames, waits, info = of_gif(write(tmp_path / "a.gif", pictures))
    np.testing.assert_array_equal(frames, pictures)
    assert info["loop"] == 0  # for ever
    assert sum(waits[:-1]) == pytest.approx(1000 * 29 / 15, abs=10)
    assert waits[-1] == 1500
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_a_gif_stores_what_changes_alone(tmp_path):
    still = np.random.default_rng(0).integers(0, 8, (1, 100, 100, 1), np.uint8).repeat(3, 3).repeat(50, 0) * 30
    sizes = [write(tmp_path / f"{n}.gif", still[:n]).stat().st_size for n in (1, 50)]
    assert sizes[1] < 1.5 * sizes[0]


def test_of_many_colours_a_gif_has_as_many_as_it_may(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    frames, _, _ = of_gif(write(tmp_path / "a.gif", pictures, colours=16))
    assert 8 <= len(np.unique(frames.reshape(-1, 3), axis=0)) <= 16
    assert np.abs(frames.astype(int) - pictures).mean() < 45  # black alone would be 127 away


def test_an_mp4_has_every_picture_at_its_rate_and_a_side_of_odd_length_gets_one_line_more(tmp_path):
    path = write(tmp_path / "a.mp4", scenery(7, height=41, width=61), rate=Fraction(25, 2))
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.height, stream.width) == ("h264", 42, 62)
        assert float(stream.average_rate) == 12.5
        assert sum(1 for _ in video.decode(stream)) == 7


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_width_makes_wider_pictures_smaller_and_leaves_narrower_ones(tmp_path, ending):
    for to_width, size in ((64, (32, 64)), (500, (100, 200))):
        path = write(tmp_path / f"a.{ending}", scenery(2, height=100, width=200), to_width=to_width)
        with av.open(str(path)) as video:
            assert (video.streams.video[0].height, video.streams.video[0].width) == size


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("size", [0, 1_000, 20_000])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path, ending, size):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"the video before")
    noise = np.random.default_rng(0).integers(0, 256, (40, 80, 80, 3), np.uint8)
    with files_at_most(size), pytest.raises(UserError, match=rf"a\.{ending}: cannot be written \(File too large\)"):
        write(path, noise)
    assert path.read_bytes() == b"the video before"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError, OSError(5, "of the game, not of the file")])
def test_whatever_ends_it_halfway_nothing_is_left_and_the_error_is_the_same(tmp_path, ending, error):
    def broken_off():
        with new_video(tmp_path / f"a.{ending}", 40, 60, Fraction(15)) as video:
            video.add(scenery(1)[0])
            raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        broken_off()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for ending in ENDINGS:
        with pytest.raises(UserError, match=rf"a\.{ending}: cannot be written"):
            write(tmp_path / "file" / f"a.{ending}", scenery(1))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.avi", {}, "videos are MP4 or GIF files"),
        ("a", {}, "videos are MP4 or GIF files"),
        ("a.mp4", {"colours": 16}, "only a GIF has a palette"),
        ("a.gif", {"colours": 256}, "2 to 255"),
        ("a.gif", {"colours": 1}, "2 to 255"),
        ("a.gif", {"width": 63}, "between 64 and"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(tmp_path, name, options, message):
    with pytest.raises(UserError, match=message):
        check_video(tmp_path / name, **options)


def test_sizes_and_rates_that_a_file_cannot_have_are_refused_and_leave_nothing(tmp_path):
    for name, height, rate, message in (("a.mp4", 16_386, 30, "too large for MP4"), ("a.gif", 40, 60, "at most 50")):
        with (
            pytest.raises(UserError, match=message),
            new_video(tmp_path / name, height, 40, Fraction(rate)),
        ):
            pass
    assert list(tmp_path.iterdir()) == []
