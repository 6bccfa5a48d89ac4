"""`pixelq bench` measures every part, estimates the loop from them, and says which part limits it."""

import contextlib
import io
import json
from typing import Any

import pytest

from pixelq.cli import main
from pixelq.cli.bench import ENV_COUNTS
from pixelq.cli.bench import _print as print_report
from pixelq.profiling.parts import PARTS

QUICK = ["--seconds", "0.02", "--threads", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """The report of one real measurement, with times far too short for good results."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["bench", "breakout", "--recipe", "cleanrl", *QUICK, "--json"]) == 0
    read: dict[str, Any] = json.loads(out.getvalue())
    return read


def test_every_rate_is_measured_for_both_networks_and_precisions(report: dict[str, Any]) -> None:
    assert [play["num_envs"] for play in report["play"]] == list(ENV_COUNTS)
    assert all(play[name] > 0 for play in report["play"] for name in ("emulator", "storing", "sampling"))
    kinds = [(network["network"], network["precision"]) for network in report["networks"]]
    assert kinds == [("2013", "float32"), ("2013", "bf16"), ("2015", "float32"), ("2015", "bf16")]
    assert all(network["update"] > 0 and min(network["acting"].values()) > 0 for network in report["networks"])
    assert set(report["multiplications_flops"]) == {"float32", "bf16"}
    assert report["loop_agent_steps_per_second"] > 0


def test_an_estimate_is_the_sum_of_its_parts(report: dict[str, Any]) -> None:
    plays = {play["num_envs"]: play for play in report["play"]}
    networks = {n["precision"]: n for n in report["networks"] if n["network"] == report["network"]}
    assert len(report["estimates"]) == 2 * len(ENV_COUNTS)
    for one in report["estimates"]:
        seconds, play, network = one["seconds"], plays[one["num_envs"]], networks[one["precision"]]
        assert list(seconds) == list(PARTS)
        assert seconds["emulator"] == pytest.approx(1 / play["emulator"])
        assert seconds["update"] == pytest.approx(1 / (4 * network["update"]))  # cleanrl: one update for 4 agent steps
        assert one["agent_steps_per_second"] == pytest.approx(1 / sum(seconds.values()))
        assert seconds[one["bound"]] == max(seconds.values())


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_table_is_cut_in_a_narrow_terminal(
    report: dict[str, Any], columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    networks = [n | {"acting": {int(count): rate for count, rate in n["acting"].items()}} for n in report["networks"]]
    print_report(report | {"networks": networks})
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= columns
    for precision in ("float32", "bf16"):
        assert f"a loop in {precision}" in " ".join(shown.split())
    if columns >= 80:
        rows = [line.strip("│").split("│") for line in shown.splitlines() if line.startswith("│")]
        cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
        assert len(cells["agent steps/s"]) == len(ENV_COUNTS)
        assert set(PARTS) <= set(cells)


def test_the_tables_name_what_bounds_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pong", *QUICK]) == 0
    shown = capsys.readouterr().out
    for word in ("emulator", "sampling", "acting, network 2013 bf16", "network 2015 float32", "bound by: "):
        assert word in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("argv", [["pongg"], ["pong", "--recipe", "none"], ["pong", "--frobnicate"]])
def test_a_mistake_is_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *argv]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
