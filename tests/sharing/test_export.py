"""`pixelq export`: what is in the folder or zip, that every command reads it, and that nothing else is overwritten."""

import errno
import json
import os
import shutil
import signal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pixelq
from pixelq.checkpoints.digests import policy_digest
from pixelq.checkpoints.policy_file import save_policy
from pixelq.cli import main
from pixelq.policy import Agent
from pixelq.recipes.reading import read_config, write_config
from pixelq.recipes.values import overridden
from pixelq.sharing import bundle
from pixelq.viewing.curves import read_run
from pixelq.web.newest_policy import policy_places, weights_at

STATES = np.random.default_rng(0).normal(size=(5, 1, 4)).astype(np.float32)
PLAIN = {"README.md", "policy.safetensors", "config.toml", "evaluation.json", "learning_curve.png", "episodes.csv",
         "progress.csv", "evaluations.csv"}  # fmt: skip


def export(*words: str) -> int:
    return main(["export", *words, "--threads", "1"])


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.usefixtures("real_figure")
def test_an_export_has_everything_and_is_read_as_a_run_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export("runs/cart", "--video-steps", "5") == 0
    folder = Path("exports/cart")
    assert {path.name for path in folder.iterdir()} == {*PLAIN, "replay.mp4"}
    with Image.open(folder / "learning_curve.png") as picture:
        assert picture.size[0] > 1000
    printed = capsys.readouterr()
    assert "evaluation: that of eval.json, which is of this very policy (3 games)" in printed.err
    assert printed.out.startswith("exports/cart: 9 files; mean ")
    assert (folder / "policy.safetensors").read_bytes() == (run / "best/policy.safetensors").read_bytes()
    assert read_config(folder / "config.toml") == read_config(run / "config.toml")
    assert np.array_equal(pixelq.load(folder).q_values(STATES), pixelq.load(run).q_values(STATES))
    for name, table in vars(read_run(folder)).items():
        if name in ("episodes", "progress", "evaluations"):
            before = vars(read_run(run))[name]
            assert all(np.array_equal(table[column], before[column], equal_nan=True) for column in before)
    (place,) = policy_places(folder, "newest")  # what `pixelq watch` plays with
    assert weights_at(place).keys() == weights_at(policy_places(run, "best")[0]).keys()
    assert main(["record", "exports/cart", "--max-agent-steps", "3"]) == 0
    assert (folder / "videos/policy-seed0.mp4").is_file()


def test_the_evaluation_shown_is_of_the_very_policy_or_played_anew(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads((run / "eval.json").read_text())

    def exported(number: int, *words: str) -> dict[str, Any]:
        assert export("runs/cart", "--no-video", "--output", f"e{number}", *words) == 0
        report: dict[str, Any] = json.loads(Path(f"e{number}/evaluation.json").read_text())
        return report

    same = exported(1)
    assert {name: same[name] for name in ("mean", "std", "games", "interval_95", "policy_digest")} == {
        name: told[name] for name in ("mean", "std", "games", "interval_95", "policy_digest")
    }
    assert (same["policy"], same["measured_by"]) == ("policy.safetensors", "pixelq eval")
    assert exported(2, "--episodes", "2")["episodes"] == 2
    assert exported(3, "--seed", "5")["seed"] == 5
    # Numbers that do not follow from the games are worked out anew, and a report of other weights is not taken.
    (run / "eval.json").write_text(json.dumps({**told, "mean": 500.0, "human_normalized": 9.0}))
    lied = exported(4)
    assert (lied["mean"], lied["human_normalized"]) == (told["mean"], None)
    for number, change in enumerate(
        ({"policy_digest": "0" * 32}, {"game": "pong"}, {"games": []}, {"games": [{"score": float("nan")}]},
         {"cut_games": "many"}, {"epsilon": 7}), start=5,
    ):  # fmt: skip
        (run / "eval.json").write_text(json.dumps({**told, **change}))
        assert exported(number, "--episodes", "1")["measured_by"] == "pixelq export"
    (run / "eval.json").write_text("[" * 100_000)
    assert exported(20, "--episodes", "1")["episodes"] == 1


def test_a_zip_holds_the_same_and_an_export_can_be_exported_again(run: Path) -> None:
    assert export("runs/cart", "--no-video", "--output", "a") == 0
    assert export("a", "--no-video", "--output", "b.zip") == 0
    with zipfile.ZipFile("b.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist() if name != "README.md"} == {
            path.name: path.read_bytes() for path in Path("a").iterdir() if path.name != "README.md"
        }
    assert export("b.zip", "--no-video", "--output", "c") == 0
    assert np.array_equal(pixelq.load("c").q_values(STATES), pixelq.load("b.zip").q_values(STATES))
    assert main(["eval", "b.zip", "--episodes", "1", "--threads", "1"]) == 0
    assert json.loads(Path("b-eval.json").read_text())["policy"] == "b.zip/policy.safetensors"


def test_a_policy_without_a_run_is_exported_without_curves(run: Path) -> None:
    shutil.copytree(run / "best", "alone")
    assert export("alone/policy.safetensors", "--no-video", "--output", "e", "--episodes", "1") == 0
    assert {path.name for path in Path("e").iterdir()} == {
        "README.md", "policy.safetensors", "config.toml", "evaluation.json",
    }  # fmt: skip
    assert "Learning curve" not in Path("e/README.md").read_text()


@pytest.mark.parametrize("target", ["e", "e.zip"])
def test_nothing_is_overwritten(target: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for there in ("file", "folder", "link"):
        path = Path(target)
        if there == "file":
            path.write_text("mine")
        elif there == "folder":
            path.mkdir()
            (path / "mine.txt").write_text("mine")
        else:
            path.symlink_to("nowhere")
        before = listing(Path())
        assert export("runs/cart", "--output", target) == 2
        assert f"{target}: there is something already, which is not overwritten" in capsys.readouterr().err
        assert listing(Path()) == before
        shutil.rmtree(path) if there == "folder" else path.unlink()


def test_an_empty_folder_is_taken(run: Path) -> None:
    Path("e").mkdir()
    assert export("runs/cart", "--no-video", "--output", "e") == 0
    assert {path.name for path in Path("e").iterdir()} == PLAIN


class Stop(KeyboardInterrupt):
    """Ctrl-C."""


class Terminated(Exception):  # noqa: N818 (it is no error)
    """What `kill` sends, instead of an exception."""


@pytest.mark.parametrize(
    "error", [Stop(), Terminated(), OSError(errno.ENOSPC, "No space left on device"), ValueError("a bug")]
)
@pytest.mark.parametrize("place", ["measured", "model_card", "exported_names"])
@pytest.mark.parametrize("target", ["new/e", "new/e.zip"])
def test_an_export_that_is_interrupted_or_fails_leaves_nothing(
    error: BaseException, place: str, target: str, run: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fail(*args: Any, **named: Any) -> Any:
        if isinstance(error, Terminated):
            os.kill(os.getpid(), signal.SIGTERM)
        raise error

    monkeypatch.setattr(bundle, place, fail)
    monkeypatch.setattr(bundle, "_write_curve", lambda folder, run: [])
    before = listing(Path())
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="a bug"):
            export("runs/cart", "--no-video", "--output", target)
    else:
        code = export("runs/cart", "--no-video", "--output", target)
        line = capsys.readouterr().err.strip().splitlines()[-1]
        interrupted = isinstance(error, Stop | Terminated)
        assert code == (130 if interrupted else 2)
        assert line == "pixelq: interrupted" if interrupted else f"{target}: cannot be written (No space left" in line
    assert listing(Path()) == before


def test_something_that_appears_meanwhile_is_not_overwritten(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bundle.model_card

    def meanwhile(facts: Any) -> str:
        Path("e").mkdir()
        Path("e/mine.txt").write_text("mine")
        return made(facts)

    monkeypatch.setattr(bundle, "model_card", meanwhile)
    assert export("runs/cart", "--no-video", "--output", "e") == 2
    assert listing(Path("e")) == ["mine.txt"]
    assert not list(Path().glob(".*.tmp"))


def test_links_and_half_written_lines_of_a_run_are_not_passed_on(run: Path) -> None:
    (run / "episodes.csv").unlink()
    os.symlink("/etc/passwd", run / "episodes.csv")
    with (run / "progress.csv").open("a") as file:
        file.write("600,60")
    assert export("runs/cart", "--no-video", "--output", "e") == 0
    assert not Path("e/episodes.csv").exists()
    assert Path("e/progress.csv").read_text().endswith("\n")
    (run / "episodes.csv").unlink()
    assert len(read_run(Path("e")).progress["loss"]) == len(read_run(run).progress["loss"])


def test_a_policy_that_a_training_replaces_meanwhile_keeps_its_own_scores(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = pixelq.load(run)
    expected = agent.q_values(STATES)
    with torch.no_grad():
        agent.network.head.output.bias += 1.0
    load = bundle.load_agent

    def replaced_meanwhile(path: Path, device: torch.device) -> Agent:
        save_policy(run / "best", agent.network, agent.config)
        return load(path, device)

    monkeypatch.setattr(bundle, "load_agent", replaced_meanwhile)
    assert export("runs/cart", "--no-video", "--output", "e", "--episodes", "1") == 0
    assert np.array_equal(pixelq.load("e").q_values(STATES), expected)
    assert not np.array_equal(pixelq.load(run).q_values(STATES), expected)
    report = json.loads(Path("e/evaluation.json").read_text())
    assert report["policy_digest"] == policy_digest(Path("e/policy.safetensors"))


def test_the_final_policy_is_exported_if_asked_for_and_never_another_in_its_place(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("runs/cart", "--no-video", "--output", "e", "--policy", "final", "--episodes", "1") == 0
    assert Path("e/policy.safetensors").read_bytes() == (run / "final/policy.safetensors").read_bytes()
    shutil.rmtree(run / "final")
    assert export("runs/cart", "--no-video", "--output", "f", "--policy", "final") == 2
    assert "runs/cart: has no final policy; leave --policy final out" in capsys.readouterr().err
    assert (
        export("e", "--no-video", "--output", "f", "--policy", "final") == 2
    )  # of an export nobody knows which it was
    assert "e: has no final policy" in capsys.readouterr().err


def test_no_path_of_whoever_exports_is_in_the_export(run: Path, tmp_path: Path) -> None:
    config = overridden(read_config(run / "config.toml"), {"load": f"{tmp_path}/home/me/old/best/policy.safetensors"})
    write_config(config, run / "best/config.toml")
    assert export("runs/cart", "--no-video", "--output", "e") == 0
    assert read_config(Path("e/config.toml")).load == "old/best/policy.safetensors"
    for path in Path("e").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path


def test_a_game_without_pictures_is_exported_without_a_video(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pixelq.errors import UserError
    from pixelq.viewing import video

    def no_pictures(*args: Any, **named: Any) -> Any:
        raise UserError("game X: draws no pictures")

    monkeypatch.setattr(video, "record_game", no_pictures)
    assert export("runs/cart", "--output", "e") == 0
    assert "no video: game X: draws no pictures" in capsys.readouterr().err
    assert {path.name for path in Path("e").iterdir()} == PLAIN


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("runs/nothing", "runs/nothing: no such run or policy"),
        ("runs/cart --episodes 0", "--episodes 0 is out of range"),
        ("runs/cart --epsilon 2", "--epsilon 2.0 is out of range"),
        ("runs/cart --seed -1", "--seed -1 is out of range"),
        ("runs/cart --video-steps 0", "--video-steps 0 is out of range: at least 1, or --no-video"),
        ("runs/cart --license <b>", "not a licence's short name"),
        ("runs/cart --private", "--private has no effect without --push"),
        ("runs/cart --output runs/cart/config.toml/e", "cannot be written (Not a directory)"),
        (
            "runs/cart --out runs/cart/config.toml/e",
            "--output runs/cart/config.toml/e: runs/cart/config.toml cannot be",
        ),
        ("runs/cart --output new/e.zip/", "a zip is a file; leave the slash out"),
        ("runs/cart --policy worst", "--policy"),
        ("runs", "runs: is not a run folder"),
        ("runs/cart/config.toml", "cannot be read as safetensors"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    words: str, line: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = listing(Path())
    assert export(*words.split()) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert line in told[0]
    assert listing(Path()) == before


def test_a_missing_package_is_said_before_any_game_is_played(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for words, line in (
        (("--onnx",), "--onnx needs onnx, onnxscript, onnxruntime: python -m pip install 'pixelq[onnx]'"),
        (("--push", "a/b"), "the Hugging Face hub needs huggingface_hub: python -m pip install 'pixelq[hub]'"),
    ):
        assert export("runs/cart", *words) == 2
        assert capsys.readouterr().err == f"pixelq: {line}\n"
    assert main(["eval", "other/cart"]) == 2
    assert "if a repository on the hub is meant" in capsys.readouterr().err
    assert not Path("exports").exists()
