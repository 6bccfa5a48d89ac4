"""Fixtures for tests that train: torch as it was, no plots, an empty current folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def torch_settings_restored() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes half a second and is not what these tests are about (see tests/viewing)."""
    monkeypatch.setattr("pixelq.viewing.plots.plot_runs", lambda *args, **kwargs: None)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is also the current one, for runs/ and relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
