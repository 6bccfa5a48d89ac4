"""A run on fixed atoms says, once, that its Q-values come near what the atoms can express."""

from pathlib import Path

import pytest

from pixelq.recipes.choice import configure
from pixelq.runs.session import start
from small_runs import CART_POLE


def said(folder: Path, capsys: pytest.CaptureFixture[str], **options: float | str) -> str:
    """What a run on CartPole (a reward of 1 a step, gamma 0.99) writes to stderr."""
    settings = CART_POLE | {"loss": "c51", "learning_rate": 0.01, "train_every": 4, "steps": 640, **options}
    start(configure("CartPole-v1", "cleanrl", settings), folder)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"v_min": -1.0, "v_max": 1.0}, "1 is the highest return that the head categorical can express"),
        ({"v_min": 3.0, "v_max": 20.0, "gamma": 0.1}, "3 is the lowest return that the head categorical can express"),
        ({"loss": "hl_gauss", "v_min": 0.0, "v_max": 0.5, "atoms": 5}, "0.45 is the highest return"),
    ],
)
def test_a_run_whose_returns_lie_beyond_the_atoms_says_so_once(
    options: dict[str, float | str], line: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(in_folder / "run", capsys, **options)
    assert found.count("begin anew with another --v-") == 1
    assert line in found


@pytest.mark.parametrize(
    "options",
    [
        {"v_min": -100.0, "v_max": 100.0},
        {"v_min": 0.0, "v_max": 100.0, "gamma": 0.5},  # near 0, as of any agent that has no reward yet
        {"loss": "double"},
    ],
)
def test_a_run_whose_returns_can_be_expressed_says_nothing_of_it(
    options: dict[str, float | str], in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(in_folder / "run", capsys, **options)
    assert "evaluation" in found or "agent step" in found
    assert "can express" not in found
