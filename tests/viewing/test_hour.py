"""benchmarks/hour.py: what stands beside a run."""

from pathlib import Path

import pytest

from scripts import ROOT, script


def test_a_run_whose_first_game_has_not_ended_has_no_training_score(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    hour = script("benchmarks/hour.py")
    found = {"game": "pong", "seed": 1, "minutes": 0.3, "agent_steps": 6144, "load": 1.0, "games": 2, "mean": -21.0}
    make_run("pong-1", [])
    make_run("pong-2", [-21.0, -19.0])
    assert hour.beside(found | {"scores": [-21.0, -21.0]}, tmp_path)["training_games"] is None
    assert hour.beside(found | {"seed": 2, "scores": [-21.0, -21.0]}, tmp_path)["training_games"] == -20.0
