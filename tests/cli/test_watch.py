"""`pixelq watch` with wrong arguments, or without what it needs: one line, exit code 2."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from pixelq.cli import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none"], "no such folder"),
        ([".", "--port", "70000"], "out of range"),
        ([".", "--share", "0"], "out of range"),
        ([".", "--rate", "nan"], "out of range"),
        ([".", "--seed", "-1"], "out of range"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "uvicorn" else find(name, *rest)
    )
    assert main(["watch", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "pixelq: watch needs uvicorn: python -m pip install 'pixelq[watch]'\n"
