"""`pixelq doctor` on this machine, and on one whose ROMs, disk or device are not as they should be."""

import json
import os
import platform
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import ale_py
import ale_py.roms
import pytest
import torch

from pixelq.cli import main
from pixelq.cli.doctor import MOST_ROMS_NAMED, run
from pixelq.envs import list_games
from pixelq.machine.device import compiler

ROMS = Path(ale_py.roms.__file__).parent


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "ALE_ROMS_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def roms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ale-py's ROMs, which the emulator uses (ALE_ROMS_DIR)."""
    folder = tmp_path / "roms"
    shutil.copytree(ROMS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setenv("ALE_ROMS_DIR", str(folder))
    return folder


def run_doctor(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code, and the findings by name."""
    code = run(["--json", *argv])
    out, err = capsys.readouterr()
    assert err == ""
    report = json.loads(out)
    assert report["ok"] == (code == 0)
    by_name: dict[str, list[dict[str, Any]]] = {}
    for finding in report["findings"]:
        assert "\n" not in finding["detail"]
        by_name.setdefault(finding["name"], []).append(finding)
    return code, by_name


def recipe_file(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(f'base = "nature2015"\n{text}\n')
    return str(path)


def test_all_is_well_here(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([]) == 0
    lines = capsys.readouterr().out.splitlines()
    seen = [line.split()[1] for line in lines]
    assert seen == ["python", "torch", "device", "bf16", "cores", "memory", "disk", "ROMs"]
    assert all(line.split()[0] in ("ok", "note") for line in lines)
    text = "\n".join(lines)
    assert platform.python_version() in text
    assert torch.__version__ in text
    assert f"all {len(list_games())} games, checksums verified" in text
    assert list(tmp_path.iterdir()) == []


def test_the_needs_are_the_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    _, default = run_doctor(capsys)
    _, nature = run_doctor(capsys, "--recipe", "nature2015")

    def gigabytes(finding: dict[str, Any]) -> float:
        found = re.search(r"(?:needs|writes) about ([\d.]+) GB", finding["detail"])
        assert found
        return float(found[1])

    assert gigabytes(nature["memory"][0]) >= gigabytes(default["memory"][0]) + 0.3
    assert gigabytes(nature["disk"][0]) >= gigabytes(default["disk"][0]) + 0.8


def test_a_missing_rom_names_the_file_the_reason_and_how_to_fix_it(
    roms: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (roms / "pong.bin").unlink()
    code, findings = run_doctor(capsys)
    assert code == 1
    assert [f["status"] for f in findings["ROM"]] == ["missing"]
    detail = findings["ROM"][0]["detail"]
    assert detail.startswith(f"{roms / 'pong.bin'}: the file is missing; fix it with: ")
    assert str(roms) in detail.partition("fix it with: ")[2]


def test_a_rom_with_one_wrong_byte_is_found(roms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rom = roms / "breakout.bin"
    content = bytearray(rom.read_bytes())
    content[100] ^= 1
    rom.write_bytes(content)
    code, findings = run_doctor(capsys)
    assert code == 1
    assert findings["ROM"][0]["detail"].startswith(f"{rom}: its checksum is wrong; fix it with: ")
    assert len(findings["ROM"]) == 1


def test_a_folder_without_any_rom_is_not_a_hundred_lines(roms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(roms)
    assert run([]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("missing")]
    assert len(lines) == MOST_ROMS_NAMED + 1
    assert f"and {len(list_games()) - MOST_ROMS_NAMED} more" in lines[-1]


def test_a_replay_larger_than_memory_and_disk_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, findings = run_doctor(capsys, "--recipe", recipe_file(tmp_path, "replay_capacity = 1_000_000_000_000"))
    assert code == 1
    assert findings["memory"][0]["status"] == "missing"
    assert "--replay-capacity" in findings["memory"][0]["detail"]
    assert findings["disk"][0]["status"] == "missing"
    assert "mine needs about 45" in findings["memory"][0]["detail"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, findings = run_doctor(capsys, "--recipe", recipe_file(tmp_path, 'device = "cuda"'))
    assert code == 1
    assert findings["device"][0]["status"] == "missing"
    assert findings["device"][0]["detail"].startswith("device cuda is not there")


# --- what this system cannot do ---------------------------------------------------------------------------------------


def test_a_system_that_can_do_all_has_no_note_about_itself(capsys: pytest.CaptureFixture[str]) -> None:
    _, findings = run_doctor(capsys)
    assert not {"lock", "signals", "flush", "emulator", "compiler", "backend"} & findings.keys()


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what Windows lacks, and with its lock."""
    for name in ("SIGHUP", "SIGUSR1"):
        monkeypatch.delattr(signal, name, raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr("pixelq.runs.folder_lock.fcntl", None)
    monkeypatch.setattr("pixelq.runs.folder_lock.msvcrt", object())
    monkeypatch.setattr("pixelq.machine.memory.available_memory", lambda: None)
    real = os.open

    def opens_no_folder(path: Any, *args: Any, **options: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", opens_no_folder)


@pytest.mark.usefixtures("windows")
def test_windows_is_told_what_cannot_be_done_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = run_doctor(capsys)
    assert code == 0, "it trains all the same"
    found = {name: entries[0] for name, entries in findings.items()}
    assert {found[name]["status"] for name in ("lock", "signals", "flush", "memory")} == {"note"}
    assert "run.lock alone" in found["lock"]["detail"]
    assert "no SIGHUP, SIGUSR1: " in found["signals"]["detail"]
    assert "without a last checkpoint" in found["signals"]["detail"]
    assert "power failure" in found["flush"]["detail"]
    assert "no run can be refused or stopped" in found["memory"]["detail"]


@pytest.mark.usefixtures("windows")
def test_a_system_without_any_lock_is_told_not_to_train_twice_in_a_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelq.runs.folder_lock.msvcrt", None)
    _, findings = run_doctor(capsys)
    assert findings["lock"][0]["detail"].startswith("none: this system locks no files; start no second training")


def test_a_disk_that_does_not_sync_folders_is_a_note(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(descriptor: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuses)
    _, findings = run_doctor(capsys)
    assert findings["flush"][0]["status"] == "note"


def test_roms_without_an_emulator_that_plays_them_are_not_all_that_is_needed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(ale_py, "ALEVectorInterface")
    code, findings = run_doctor(capsys)
    assert code == 1
    assert findings["emulator"][0]["status"] == "missing"
    assert "no vector environment" in findings["emulator"][0]["detail"]


def test_a_recipe_that_wants_a_compiler_or_a_package_that_is_not_there_is_told_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    recipe = recipe_file(tmp_path, 'compile = true\ndevice = "cpu"\nbackend = "envpool"')
    code, findings = run_doctor(capsys, "--recipe", recipe)
    assert code == 1
    assert "C++ compiler no-such-compiler" in findings["compiler"][0]["detail"]
    assert "envpool is not installed" in findings["backend"][0]["detail"]


def test_on_windows_the_compiler_is_microsofts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert compiler() == "cl"


def test_a_containers_quota_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelq.machine.cores.cpu_quota", lambda: 1.5)
    _, findings = run_doctor(capsys)
    assert findings["cores"][0]["detail"].endswith("; its container may use the time of 1.5")


@pytest.mark.parametrize(
    ("argv", "start"),
    [
        (["--recipe", "natur2015"], "unknown recipe 'natur2015'; did you mean nature2015"),
        (["--recipe", "none.toml"], "recipe none.toml: no such file"),
        (["--frobnicate"], ""),
    ],
)
def test_a_persons_mistake_is_one_line_and_exit_code_2(
    argv: list[str], start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"pixelq: {start}")
    assert len(err.splitlines()) == 1


def test_a_recipe_out_of_range_is_a_persons_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--recipe", recipe_file(tmp_path, "batch_size = 0")]) == 2
    assert "batch_size = 0 is out of range" in capsys.readouterr().err


def test_help_says_what_the_exit_code_means(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(["--help"])
    assert stop.value.code == 0
    assert "Exit code 1" in capsys.readouterr().out
