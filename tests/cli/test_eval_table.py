"""The table of an evaluation in a narrow terminal."""

import pytest

from pixelq.cli.eval import _print_table

PATH = "runs/[bold]/" + "a" * 90 + "/policy.safetensors"
REPORT = {
    "game": "pong", "episodes": 30, "epsilon": 0.01, "mean": 19.13, "std": 1.57, "min": 14.0, "max": 21.0,
    "median": 19.0, "interval_95": (18.57, 19.63), "cut_games": 0, "human_normalized": 1.128,
    "random_agent_measured": -20.27, "random_agent_published": -20.7, "human_published": 14.6, "policy": PATH,
}  # fmt: skip


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_long_path_is_folded_and_not_cut(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _print_table(REPORT)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= columns
    rows = [line.strip("│").split("│") for line in shown.splitlines() if line.startswith("│")]
    assert "".join(row[1].strip() for row in rows).endswith(PATH)
