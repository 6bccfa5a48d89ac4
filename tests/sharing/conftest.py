"""A small run of CartPole, trained once for each of these files, and a place of their own for each test."""

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from hub_stand_in import Hub, ask_only, serving
from pixelq.cli import main

SMALL = """
    --steps 600 --num-envs 4 --rollout-length 10 --batch-size 20 --log-every 100 --eval-every 300 --eval-episodes 2
    --threads 1 --device cpu --hidden 8
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of CartPole with an evaluation of its best policy: 3 games."""
    folder = tmp_path_factory.mktemp("shared") / "cart"
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "CartPole-v1", *SMALL.split(), "--run-dir", str(folder)]) == 0
        assert main(["eval", str(folder), "--episodes", "3", "--threads", "1"]) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, `runs/cart` below the current folder."""
    shutil.copytree(trained, tmp_path / "runs" / "cart")
    monkeypatch.chdir(tmp_path)
    return Path("runs/cart")


@pytest.fixture(autouse=True)
def small_figure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing a learning curve takes a second and is tested once; elsewhere an empty figure is drawn."""
    if "real_figure" not in request.fixturenames:
        monkeypatch.setattr("pixelq.viewing.plots.draw_runs", lambda *args, **named: Figure(figsize=(1, 1)))


@pytest.fixture
def real_figure() -> None:
    """Asks for a real learning curve."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine, the only one that the hub's library knows."""
    with serving() as hub:
        ask_only(hub.endpoint, tmp_path / "hub", monkeypatch)
        yield hub
