"""`python -m pixelq.train` is `pixelq train`, and the module never stands in the way of the function."""

import importlib
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pixelq
from pixelq.errors import UserError


def test_the_module_runs_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "nonsense-v0"])
    monkeypatch.delitem(sys.modules, "pixelq.train", raising=False)
    with pytest.raises(SystemExit, match=r"^2$"):
        runpy.run_module("pixelq.train", run_name="__main__")
    assert "unknown game 'nonsense-v0'" in capsys.readouterr().err
    assert not isinstance(pixelq.train, ModuleType)


def test_who_imports_the_module_can_still_call_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    function = pixelq.train
    monkeypatch.setattr(pixelq, "train", function)  # puts it back
    module: Any = importlib.import_module("pixelq.train")
    monkeypatch.delitem(sys.modules, "pixelq.train")
    assert pixelq.train is module
    assert module.function is function
    with pytest.raises(UserError, match="is no name; give one as text"):
        pixelq.train(None)  # type: ignore[arg-type]


def test_the_public_names_are_there_and_documented() -> None:
    for name in pixelq.__all__:
        assert getattr(pixelq, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pixelq.nothing  # type: ignore[attr-defined]
    assert Path(pixelq.__file__).with_name("train.py").is_file()
