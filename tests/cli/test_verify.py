"""`pixelq verify` on real runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pixelq.cli import main

SMALL = (
    "train breakout --recipe nips2013 --screen-size 36 --batch-size 4 --steps 160 --replay-start 80 "
    "--replay-capacity 160 --log-every 40 --checkpoint-every 80 --eval-every 80 --eval-episodes 1 "
    "--max-frames-per-episode 80 --threads 1 --device cpu --deterministic"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two deterministic runs of the same configuration."""
    folder = tmp_path_factory.mktemp("verify")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pixelq.viewing.plots.plot_runs", lambda *args, **kwargs: None)
        for name in ("a", "b"):
            assert main([*SMALL.split(), "--run-dir", str(folder / name)]) == 0
    return folder / "a", folder / "b"


def verified(run: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, dict[str, str]]:
    capsys.readouterr()
    assert main(["verify", str(run), "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    report: dict[str, dict[str, str]] = json.loads(captured.out)
    return report


def test_two_equal_runs_have_equal_digests_of_every_part(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (verified(run, capsys) for run in runs)
    assert one.pop("run") != other.pop("run")
    assert one == other
    assert list(one["checkpoints"]) == ["step-000000000080", "step-000000000160"]
    assert set(one["checkpoints"]["step-000000000160"]) == {
        *("network", "optimizer", "loss sums", "replay", "environments", "generators", "counters", "scores"),
    }
    assert set(one["csv"]) == {"episodes.csv", "progress.csv", "evaluations.csv"}
    assert set(one["policies"]) == {"best", "final"}
    assert one["damaged"] == []
    assert one["checkpoints"]["step-000000000160"]["network"] == one["policies"]["final"]


def test_the_table_says_the_same(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    network = verified(runs[0], capsys)["checkpoints"]["step-000000000080"]["network"]
    assert main(["verify", str(runs[0])]) == 0
    shown = capsys.readouterr().out
    assert f"  network          {network}" in shown
    assert shown.endswith(f"{runs[0]}: whole\n")


def damage(file: Path) -> Callable[[], None]:
    """Flip a byte in the middle; returns a function that restores it."""
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :])
    return lambda: file.write_bytes(content) and None


PARTS = (
    *("config.toml", "final/policy.safetensors", "best/policy.safetensors"),
    *("episodes.csv", "progress.csv", "evaluations.csv"),
    *(f"checkpoints/step-000000000080/{name}" for name in ("manifest.json", "state.json", "tensors.safetensors")),
)


@pytest.mark.parametrize("part", [p for p in PARTS if not p.endswith("policy.safetensors")])
def test_a_damaged_part_is_named_and_the_others_are_still_checked(
    part: str, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = runs[0] / part
    restore = damage(file) if not part.endswith(".csv") else cut_a_cell(file)
    report = verified(runs[0], capsys, code=1)
    restore()
    assert len(report["damaged"]) == 1
    assert part in next(iter(report["damaged"]))
    assert "step-000000000160" in report["checkpoints"]
    verified(runs[0], capsys)


@pytest.mark.parametrize("part", [p for p in PARTS if p.endswith("policy.safetensors")])
def test_a_policy_with_a_changed_weight_or_a_missing_end_is_damaged(
    part: str, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = runs[0] / part
    restore = damage(file)
    assert f"{part}: its digest does not match" in next(iter(verified(runs[0], capsys, code=1)["damaged"]))
    restore()
    content = file.read_bytes()
    file.write_bytes(content[:-5])
    assert part in next(iter(verified(runs[0], capsys, code=1)["damaged"]))
    file.write_bytes(content)


def cut_a_cell(file: Path) -> Callable[[], None]:
    content = file.read_bytes()
    file.write_bytes(content.rsplit(b",", 1)[0] + b"\n")
    return lambda: file.write_bytes(content) and None


def test_a_number_changed_in_a_csv_file_or_the_configuration_is_damage(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for part, before, after in (
        ("episodes.csv", "0", "1"),
        ("progress.csv", "160,640", "160,641"),
        ("evaluations.csv", "80", "81"),
        ("config.toml", "gamma = 0.99", "gamma = 0.98"),
    ):
        file = runs[0] / part
        content = file.read_text()
        assert before in content
        file.write_text(content.replace(before, after))
        (damaged,) = verified(runs[0], capsys, code=1)["damaged"]
        file.write_text(content)
        assert part in damaged
        assert "--fallback" in damaged


def test_verify_changes_nothing(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in runs[0].rglob("*") if p.is_file()}
    verified(runs[0], capsys)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in runs[0].rglob("*") if p.is_file()} == before
