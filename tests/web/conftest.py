"""A server for the tests of the live page, over a folder of small real runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixelq.recipes.choice import configure
from pixelq.runs.session import start
from small_pages import CART_POLE, MINATAR, PONG, Site, serving
from small_runs import small


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three finished runs: pole (vectors), minatar (small pictures), pong (84 pixels, default recipe)."""
    folder = tmp_path_factory.mktemp("trained")
    patch = pytest.MonkeyPatch()
    patch.setattr("pixelq.viewing.plots.plot_runs", lambda *args, **kwargs: None)
    try:
        start(configure("CartPole-v1", "cleanrl", CART_POLE), folder / "pole")
        start(configure("MinAtar/Breakout-v1", "cleanrl", MINATAR), folder / "minatar")
        start(small("default", "pong", **PONG), folder / "pong")
    finally:
        patch.undo()
    return folder


@pytest.fixture(scope="module")
def served(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server over copies of these runs, to which a test may add others; one for each file, as it remembers them."""
    root = tmp_path_factory.mktemp("served")
    for run in trained.iterdir():
        shutil.copytree(run, root / run.name)
    with serving(root) as site:
        yield site
