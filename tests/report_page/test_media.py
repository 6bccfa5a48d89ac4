"""Videos and pictures in a report: held as data, up to a limit, and only if they are what their ending says."""

import base64
from pathlib import Path

import pytest

from pixelq.report_page.collected import collect
from pixelq.report_page.media import found_media
from small_reports import Parsed, page_of, written_run

MP4 = b"\0\0\0\x18ftypisom" + bytes(1000)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A series with a video beside its runs, one in a run, one that is larger, pictures, and what is none."""
    run = written_run(tmp_path / "runs" / "seeds" / "seed-1", [1.0])
    (tmp_path / "runs" / "seeds" / "both.mp4").write_bytes(MP4)
    (run / "videos").mkdir()
    (run / "videos" / "best.mp4").write_bytes(MP4 + b"1")
    (run / "videos" / "long.mp4").write_bytes(MP4 + bytes(9000))
    (run / "videos" / "page.mp4").write_bytes(b"<script>")
    (run / "plots").mkdir()
    (run / "plots" / "progress.png").write_bytes(PNG)
    (run / "plots" / "q <values>.png").write_bytes(PNG)
    (tmp_path / "secret.mp4").write_bytes(MP4)
    (run / "videos" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    return tmp_path / "runs"


def test_the_page_holds_what_fits_and_names_the_rest(runs: Path) -> None:
    parsed = Parsed(page_of(runs, videos_limit=3000))
    held = [base64.b64decode(source.partition(",")[2]) for source in parsed.attributes("video", "src")]
    assert held == [MP4, MP4 + b"1"]
    assert parsed.attributes("video", "aria-label") == ["seeds/both.mp4", "seeds/seed-1/videos/best.mp4"]
    assert (
        "Left out beyond the 3.0 kB that a page holds (--videos raises this): seeds/seed-1/videos/long.mp4"
        in parsed.text
    )
    assert parsed.attributes("img", "alt") == ["seeds/seed-1/plots/q <values>.png"]


def test_all_videos_are_found_once_with_their_run(runs: Path) -> None:
    media = found_media(runs, collect(runs)[0], 10**6)
    assert {(one.name, one.run) for one in media if one.is_video} == {
        ("seeds/both.mp4", ""),
        ("seeds/seed-1/videos/best.mp4", "seeds/seed-1"),
        ("seeds/seed-1/videos/long.mp4", "seeds/seed-1"),
    }
    alone = runs / ".." / "runs" / "seeds" / "seed-1"
    assert {one.name for one in found_media(alone, collect(alone)[0], 0)} == {
        "videos/best.mp4",
        "videos/long.mp4",
        "plots/q <values>.png",
    }


def test_without_a_video_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    run = written_run(tmp_path / "a", [1.0])
    assert f"pixelq record {run}" in Parsed(page_of(run)).text
