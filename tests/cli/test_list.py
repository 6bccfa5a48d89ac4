"""`pixelq list` on a terminal and in a pipe."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pixelq
from pixelq.cli import main
from pixelq.cli.list import run
from pixelq.envs import list_games, resolve_game
from pixelq.envs.gymnasium_games import WELL_KNOWN, own_ids
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.variants import KINDS

RECIPES = Path(pixelq.__file__).parent / "recipes"


@pytest.fixture(autouse=True)
def _no_forced_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def test_games_in_a_pipe_are_one_a_line_and_each_can_be_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["games"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    own = own_ids()  # of other tests in this process
    assert [row[0] for row in rows[len(rows) - len(own) :]] == own
    assert len(rows) - len(own) == len(list_games()) + len(WELL_KNOWN) >= 110
    for name, gymnasium_id in rows:
        assert resolve_game(name).name == name
        assert resolve_game(gymnasium_id).name == name
    assert ["ms_pacman", "ALE/MsPacman-v5"] in rows
    assert ["CartPole-v1", "CartPole-v1"] in rows


def test_recipes_in_a_pipe_are_whole_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert run(["recipes"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == recipe_names()
    for name, torso, loss, optimizer, steps, description in rows:
        config = read_recipe(name)
        assert (torso, loss, optimizer) == (config.torso, config.loss, config.optimizer)
        assert int(steps.replace(",", "")) == config.steps
        first = (RECIPES / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
        assert description == first.removeprefix("# ")


def test_variants_in_a_pipe_are_one_a_line_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["variants"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows] == [[kind.name, name] for kind in KINDS.values() for name in kind.names()]
    assert all(len(row) == 4 and re.fullmatch(r".{10,200}", row[2]) for row in rows)
    flags = {(row[0], row[1]): row[3] for row in rows}
    assert flags["loss", "lambda_returns"] == "--error squared --trace-lambda 0.65"
    assert flags["torso", "2013"] == "--channels 16 32 --kernels 8 4 --strides 4 2 --hidden 256"
    assert flags["sampler", "uniform"] == ""


@pytest.mark.parametrize("what", ["games", "recipes", "variants"])
@pytest.mark.parametrize("columns", [80, 200])
def test_on_a_terminal_a_table_of_the_terminals_width_names_everything(
    what: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the captured stream for a terminal
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run([what]) == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, text.splitlines())) <= columns
    names = {
        "games": [*(game.rom for game in list_games()), *WELL_KNOWN],
        "recipes": recipe_names(),
        "variants": [name for kind in KINDS.values() for name in kind.names()],
    }
    assert set(names[what]) <= set(text.split())
    assert "…" not in text


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["gmaes"], "there is no list of 'gmaes', only of games and recipes and variants; did you mean games?"),
        (["Recipe"], "there is no list of 'Recipe', only of games and recipes and variants; did you mean recipes?"),
        (["zzz"], "there is no list of 'zzz', only of games and recipes and variants"),
        ([], "list what? `pixelq list games`, `pixelq list recipes` or `pixelq list variants`"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", *argv]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"pixelq: {line}\n")


def test_help_says_which_lists_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(["--help"])
    assert stop.value.code == 0
    assert "games|recipes|variants" in capsys.readouterr().out


def test_a_real_pipe_gets_plain_text() -> None:
    code = "import sys; from pixelq.cli import main; sys.exit(main(['list', 'recipes']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("default\t")
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
