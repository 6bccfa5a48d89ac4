"""A finished run in the current folder, and what a refused command must say and leave alone."""

import contextlib
import io
import shutil
from pathlib import Path

import pytest

from pixelq.cli import main

OPTIONS = (
    "--screen-size 36 --num-envs 2 --rollout-length 4 --batch-size 8 --steps 64 --log-every 8 --checkpoint-every 32 "
    "--eval-every 0 --max-frames-per-episode 40 --threads 1 --device cpu"
)
SMALL = OPTIONS.split()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real, finished run of Pong."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "pong", *SMALL, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def here(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of the run, and whatever a case puts there."""
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`; a lock file may appear, it holds nothing."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The line that a refused command prints; checks the exit code, that it is one line, and that no file changed."""
    before = snapshot(Path.cwd())
    code = main(argv)
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert code == 2, captured
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("pixelq: ")
    assert "Traceback" not in captured.out + captured.err
    after = snapshot(Path.cwd())
    assert {k: v for k, v in after.items() if not k.endswith("run.lock")} == {
        k: v for k, v in before.items() if not k.endswith("run.lock")
    }
    return lines[0]
