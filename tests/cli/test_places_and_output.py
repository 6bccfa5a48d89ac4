"""Places that cannot be read or written, outputs that take nothing, numbers that are too large: one line each."""

import contextlib
import errno
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pixelq
import pixelq.tabular.table_run  # a module first imported while `refuse_writing` holds would keep what it puts there
from pixelq.cli import main
from pixelq.errors import UserError
from pixelq.runs.result import Result

LINE = (
    "--num-envs 2 --rollout-length 4 --batch-size 8 --steps 64 --log-every 8 --checkpoint-every 32 --eval-every 0 "
    "--threads 1 --device cpu"
)
OPTIONS = LINE.split()
LONG = "a" * 300


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of CartPole."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "CartPole-v1", *OPTIONS, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, which everybody may read: a copy of the run, and a folder of mode 000."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    shutil.copytree(trained, folder / "run")
    (folder / "closed" / "run").mkdir(parents=True)
    (folder / "closed").chmod(0)
    monkeypatch.chdir(folder)
    yield folder
    monkeypatch.undo()
    (folder / "closed").chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture
def _not_root() -> Iterator[None]:
    """Root may read everything, so it becomes nobody for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def refused(line: str | list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that ends with exit code 2."""
    code = main(line.split() if isinstance(line, str) else line)
    captured = capsys.readouterr()
    assert code == 2, captured
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("pixelq: ")
    return captured.err


def places(name: str) -> list[str]:
    """Every command with a place of this name."""
    reading = [f"{command} {name}" for command in ("resume", "eval", "record", "plot", "verify", "compare")]
    writing = [f"{command} run --out {name}/x" for command in ("eval", "record", "plot", "compare")]
    options = [f"--run-dir {name}", f"--load {name}", f"--recipe {name}/x.toml", f"--run-dir {name}/x"]
    return [
        *reading, *writing, *(f"train CartPole-v1 {' '.join(OPTIONS)} {option}" for option in options),
        f"tabular FrozenLake-v1 --steps 10 --run-dir {name}", f"tabular {name}", f"doctor --run-dir {name}/x",
    ]  # fmt: skip


CLOSED = [line for line in places("closed") if not line.startswith(("tabular closed", "doctor"))]
CLOSED += [line for line in places("closed/run") if not line.startswith("doctor")]


@pytest.mark.usefixtures("here", "_not_root")
@pytest.mark.parametrize("line", CLOSED)
def test_a_folder_that_may_not_be_read_is_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "closed" in refused(line, capsys)


@pytest.mark.parametrize("line", [line for line in places(LONG) if not line.startswith("doctor")])
def test_a_name_of_300_letters_is_one_line(line: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(here.glob("*"))
    assert "aaa" in refused(line, capsys)
    assert sorted(here.glob("*")) == before


# --- outputs --------------------------------------------------------------------------------------------------------


FULL = "the output cannot be written (No space left on device)"
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


@needs_full
@pytest.mark.parametrize("argv", ["list recipes", "--help", "eval run --episodes 1"])
def test_a_full_stdout_is_one_line_and_results_are_kept(
    argv: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert main(argv.split()) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert FULL in error
    assert (here / "run" / "eval.json").exists() == argv.startswith("eval")


@needs_full
def test_a_full_stdout_of_a_real_process_is_one_line_too_also_where_argparse_writes() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(pixelq.__file__).parents[1])}
    command = [sys.executable, "-m", "pixelq", "train", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=120
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert FULL in done.stderr


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EMFILE, errno.EAGAIN, errno.ENOTCONN, errno.ENOSPC, errno.EIO])
def test_only_what_a_write_is_refused_with_is_told_of_the_output(number, monkeypatch, capsys):
    def refuse(argv):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pixelq.cli.list.run", refuse)
    monkeypatch.setattr("pixelq.cli._forget_stdout", lambda: None)
    assert main(["list", "games"]) == 1
    error = capsys.readouterr().err
    assert os.strerror(number) in error
    assert ("the output cannot be written" in error) == (number in (errno.ENOSPC, errno.EIO))
    assert error.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_lacks_letters_gets_others_like_them(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--no-slippery", "--steps", "3000", "--episodes", "5", "--run-dir", str(tmp_path / "run")]
    terminal = io.BytesIO()
    with io.TextIOWrapper(terminal, encoding=encoding) as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        assert main(["tabular", "FrozenLake-v1", *options]) == 0
        shown = terminal.getvalue().decode(encoding)
    assert capsys.readouterr().err == ""
    assert (">" if encoding != "utf-8" else "→") in shown


@pytest.mark.parametrize("columns", ["1", "4", "39"])
@pytest.mark.parametrize("command", ["", "resume", "train"])
def test_a_help_text_ends_on_any_terminal(
    command: str, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    try:
        code: object = main([*command.split(), "--help"])
    except SystemExit as stop:  # argparse's way to end
        code = stop.code
    assert code == 0
    captured = capsys.readouterr()
    assert "pixelq" in captured.out
    assert captured.err == ""


# --- results --------------------------------------------------------------------------------------------------------


def refuse_writing(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("pixelq.files.atomic.write_bytes", refuse)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `pixelq tabular`."""
    folder = tmp_path_factory.mktemp("table") / "run"
    options = ["--no-slippery", "--steps", "3000", "--episodes", "5", "--run-dir", str(folder)]
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        assert main(["tabular", "FrozenLake-v1", *options]) == 0, said.getvalue()
    return folder


@pytest.mark.parametrize("kind", ["trained", "table"])
@pytest.mark.parametrize(
    ("number", "advice"), [(errno.ENOSPC, "make room"), (errno.EACCES, "writable"), (errno.EROFS, "writable")]
)
def test_results_that_cannot_be_kept_are_printed(kind, number, advice, request, monkeypatch, capsys):
    folder = request.getfixturevalue(kind)
    refuse_writing(number, monkeypatch)
    assert main(["eval", str(folder), "--episodes", "2", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["episodes"] == 2
    assert "eval.json: not written" in captured.err
    assert advice in captured.err
    assert "--out" in captured.err
    assert captured.err.count("\n") == 1


def test_results_go_into_folders_that_are_made_for_them(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder" / "games.json"
    assert main(["eval", str(trained), "--episodes", "2", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["episodes"] == 2


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("eval --episodes 1", ["eval.json"]),
        ("plot", ["progress.png", "progress.svg"]),
        ("compare", ["compare.png", "compare.svg"]),
    ],
)
def test_output_goes_into_a_folder_under_its_usual_name_there_or_not(
    command: str, names: list[str], trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    name, *words = command.split()
    for output in (["--out", f"{tmp_path}/new/folder/"], [f"--output={tmp_path}/there"]):
        assert main([name, str(trained), *words, *output]) == 0
    for folder in ("new/folder", "there"):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == names


@pytest.mark.parametrize("kind", ["trained", "table"])
def test_an_evaluation_that_ends_early_leaves_no_folder(kind, request, tmp_path, monkeypatch, capsys):
    def interrupted(*args, **named):
        assert (tmp_path / "new").is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr("pixelq.runs.game_report.report_games", interrupted)
    monkeypatch.setattr("pixelq.tabular.episodes.evaluate", interrupted)
    folder = request.getfixturevalue(kind)
    assert main(["eval", str(folder), "--episodes", "2", "--out", str(tmp_path / "new" / "games.json")]) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_final_policy_that_is_asked_for_is_played_or_refused_and_no_other_in_its_stead(here, capsys):
    (here / "run" / "final").rename(here / "run" / "best")
    assert "run: has no final policy; leave --policy final out" in refused("eval run --policy final", capsys)
    file = "run/best/policy.safetensors"
    assert f"{file}: has no final policy" in refused(f"eval {file} --policy final", capsys)
    assert not (here / "run" / "eval.json").exists()
    (here / "run" / "best").rename(here / "run" / "final")
    for place in ("run", "run/final/policy.safetensors"):
        assert main(["eval", place, "--policy", "final", "--episodes", "1", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["policy"] == "run/final/policy.safetensors"


@pytest.mark.parametrize("chosen", [0.0, 0.25])
def test_without_epsilon_an_evaluation_plays_with_its_runs(chosen, here, capsys):
    for file in (here / "run").rglob("config.toml"):
        lines = file.read_text().splitlines()
        file.write_text("\n".join(f"eval_epsilon = {chosen}" if x.startswith("eval_epsilon") else x for x in lines))
    assert main(["eval", "run", "--episodes", "3", "--json", "--seed", "5"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["epsilon"] == chosen
    assert [game["score"] for game in told["games"]] == Result(Path("run"), 64, 0.0, None).evaluate(
        3, seed=5
    ).scores.tolist()
    assert main(["eval", "run", "--episodes", "1", "--json", "--epsilon", "0.5"]) == 0
    assert json.loads(capsys.readouterr().out)["epsilon"] == 0.5


@pytest.mark.parametrize("kind", ["trained", "table"])
def test_one_game_has_no_interval_and_no_spread(kind, request, tmp_path, capsys):
    folder = str(request.getfixturevalue(kind))
    for episodes, rows in (("1", 0), ("2", 1)):
        assert main(["eval", folder, "--episodes", episodes, "--out", str(tmp_path / "eval.json")]) == 0
        shown = capsys.readouterr().out
        assert [shown.count("95% interval"), shown.count("std")] == [rows, rows]
        told = json.loads((tmp_path / "eval.json").read_text(), parse_constant=pytest.fail)
        assert [told["std"] is None, told["interval_95"] is None] == [not rows] * 2


def test_a_run_that_is_read_only_is_evaluated(here, request, capsys):
    request.getfixturevalue("_not_root")
    assert main(["eval", "run", "--episodes", "2", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["episodes"] == 2
    assert "run/eval.json: not written (Permission denied)" in captured.err
    assert not (here / "run" / "eval.json").exists()


@pytest.mark.parametrize("kind", ["trained", "table"])
@pytest.mark.parametrize("out", ["scores.json", "."])
def test_out_says_where_results_go(kind, out, request, tmp_path, capsys):
    folder = request.getfixturevalue(kind)
    assert main(["eval", str(folder), "--episodes", "2", "--json", "--out", str(tmp_path / out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads(next(tmp_path.glob("*.json")).read_text()) == printed


@pytest.mark.parametrize("table_or_run", ["trained", "table"])
def test_results_that_would_replace_a_folder_are_refused_before_the_games(table_or_run, request, tmp_path, capsys):
    (tmp_path / "eval.json").mkdir()
    folder = request.getfixturevalue(table_or_run)
    assert main(["eval", str(folder), "--episodes", "2", "--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert f"{tmp_path / 'eval.json'} is a folder; name a file" in captured.err
    assert not captured.out


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("train pong --noop-max 1000000", "noop_max = 1000000 is out of range: it must be at most"),
        ("train pong --noop-max 1e6", "noop_max = 1000000 is out of range: it must be at most"),
        ("train pong --frame-skip 1e6", "frame_skip = 1000000 is out of range: it must be at most"),
        ("train pong --opening-fire-max 1e6", "opening_fire_max"),
        ("train pong --epochs 1e6", "epochs"),
        ("train pong --eval-episodes 1e9", "eval_episodes"),
        ("train pong --num-envs 1e9", "num_envs"),
        ("train pong --rollout-length 1000000", "rollout_length"),
        ("train pong --rollout-length 1000000000", "rollout_length"),
        ("train pong --threads 1000", "--threads 1000 is out of range"),
        ("resume run --threads 1000", "--threads 1000 is out of range"),
        ("eval run --threads 1000", "--threads 1000 is out of range"),
        ("bench pong --threads 1000", "--threads 1000 is out of range"),
        ("bench pong --seconds 0", "--seconds 0 is out of range"),
        ("bench pong --seconds -1", "--seconds -1 is out of range"),
        ("bench pong --seconds inf", "--seconds inf is out of range"),
        ("bench pong --seconds nan", "--seconds nan is out of range"),
        ("record run --out x.webm", "name it x.mp4"),
        ("plot run --out run/config.toml/", "cannot be written (Not a directory)"),
        ("eval run --out -", "--out -: no file is written to the standard output"),
        ("plot run --out x.pdf", "name it x.png"),
        ("train pong --steps 1.5e0", "steps"),
        ("train pong --steps 1e-3", "steps"),
        ("train pong --steps 1e99", "beyond 64 bits"),
        (f"train pong --steps {10**20}", "beyond 64 bits"),
        (f"tabular FrozenLake-v1 --steps {10**20}", "beyond 64 bits"),
    ],
)
def test_a_value_that_no_run_can_have_is_one_line(line, part, here, capsys):
    before = sorted(here.rglob("*.*"))
    assert part in refused(line, capsys)
    assert sorted(here.rglob("*.*")) == before


@pytest.mark.parametrize(("field", "value"), [("noop_max", 10**9), ("frame_skip", 10**9), ("num_envs", 10**9)])
def test_a_strangers_run_cannot_hang_an_evaluation(field, value, here, capsys):
    for file in (here / "run").rglob("config.toml"):
        lines = file.read_text().splitlines()
        file.write_text("\n".join(f"{field} = {value}" if x.startswith(f"{field} =") else x for x in lines))
    assert f"{field} = {value} is out of range" in refused("eval run", capsys)


@pytest.mark.parametrize("argv", [["train", ""], ["eval", ""], ["resume", " "], ["plot", ""], ["tabular", ""],
                                  ["train", "pong", "--run-dir", ""], ["train", "pong", "--run-dir="],
                                  ["bench", ""], ["record", "run", "--out", ""]])  # fmt: skip
@pytest.mark.usefixtures("here")
def test_an_empty_argument_is_refused(argv, capsys):
    assert "is a variable not set?" in refused(argv, capsys)


@pytest.mark.parametrize("written", ["1.28e2", "0.128E+3", "128"])
def test_a_whole_number_may_be_written_with_an_exponent(written, tmp_path):
    for words in (["--steps", written], [f"--steps={written}"]):
        folder = tmp_path / words[0]
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            assert main(["train", "CartPole-v1", *OPTIONS, *words, "--run-dir", str(folder)]) == 0
        assert "steps = 128\n" in (folder / "config.toml").read_text()


@pytest.mark.parametrize("form", ["--run-dir=~/x", "--run-dir ~/x"])
def test_a_tilde_is_the_home_folder(form, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "CartPole-v1", *OPTIONS, *form.split()]) == 0
    assert (tmp_path / "home" / "x" / "config.toml").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_video_goes_into_the_folder_that_is_named(table, tmp_path, capsys):
    pytest.importorskip("pygame")
    assert main(["record", str(table), "--out", str(tmp_path)]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["best-seed0.mp4"]
    assert main(["record", str(table), "--out", str(tmp_path), "--episodes", "2", "--seed", "1"]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"best-seed{seed}.mp4" for seed in (0, 1, 2)]


@pytest.mark.parametrize("policy", ["", "right"])
def test_the_video_of_an_episode_goes_into_the_folder_that_is_named(policy, tmp_path, capsys):
    pytest.importorskip("pygame")
    words = ["--no-slippery", "--episodes", "1", "--video", f"{tmp_path}/videos/", "--seed", "3"]
    words += ["--policy", policy] if policy else ["--steps", "300", "--run-dir", str(tmp_path / "run")]
    assert main(["tabular", "FrozenLake-v1", *words]) == 0
    video = tmp_path / "videos" / f"{policy or 'best'}-seed3.mp4"
    assert list(video.parent.iterdir()) == [video]
    assert f"{video}: this episode as a video" in capsys.readouterr().out


@pytest.mark.parametrize("game", [object(), None, 3, "", ["pong"]])
def test_a_game_that_is_no_name_is_refused_in_python(game):
    with pytest.raises(UserError, match="is no name; give one as text"):
        pixelq.train(game)


@pytest.mark.parametrize("place", [5, b"x", ["x"], "", "a\0b", "x" * 5_000, "x" * 300])
@pytest.mark.parametrize("call", ["train", "resume", "load"])
def test_what_is_no_place_is_refused_in_python(call, place, here):
    arguments = {"game": "CartPole-v1", "run_dir": place} if call == "train" else {"run": place}
    with pytest.raises(UserError, match=r"is no path; give it as text|give a shorter one"):
        getattr(pixelq, call)(**arguments)
    assert {path.name for path in here.iterdir()} == {"run", "closed"}


def test_other_arguments_of_the_wrong_kind_are_refused_in_python(here):
    config = pixelq.read_recipe("default")
    for call, words in (
        (lambda: pixelq.resume("run", fallback="yes"), "fallback = 'yes' must be true or false"),
        (lambda: pixelq.read_recipe(5), "recipe 5 is no name"),
        (lambda: pixelq.register(5, "x"), "unknown kind of variant 5"),
        (lambda: pixelq.make_envs(None, num_envs=1, seed=1), "None is no Config"),
        *(
            (lambda n=n: pixelq.make_envs(config, num_envs=n, seed=1), "num_envs = .* must be a whole number from 1")
            for n in (0, -1, 2.5, True, "2", None, np.array([1, 2]), 10**9)
        ),
        (lambda: pixelq.make_envs(config, num_envs=1, seed="a"), "seed = 'a' must be a whole number"),
        (lambda: pixelq.make_envs(config, num_envs=1, seed=-1), "seed = -1 must be a whole number, at least 0"),
        (lambda: pixelq.make_envs(config, num_envs=1, seed=1, threads=-1), "threads = -1 must be a whole number"),
    ):
        with pytest.raises(UserError, match=words):
            call()


def test_a_game_that_closes_the_output_ends_in_one_line(monkeypatch, capsys):
    def play(argv):
        sys.stdout.close()
        print("done")

    with monkeypatch.context() as patch:
        patch.setattr("pixelq.cli.list.run", play)
        patch.setattr("sys.stdout", io.StringIO())
        assert main(["list", "games"]) == 1
    assert "the output was closed while this ran" in capsys.readouterr().err
