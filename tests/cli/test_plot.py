import dataclasses

import pytest
from PIL import Image

from pixelq.cli import main
from pixelq.config import Config
from pixelq.recipes.reading import write_config


def make_run(folder, *, seed=1, games=20):
    folder.mkdir(parents=True)
    write_config(dataclasses.replace(Config(), seed=seed), folder / "config.toml")
    rows = [f"{1000 * i},0,{i - 21},1000,{i}" for i in range(1, games + 1)]
    (folder / "episodes.csv").write_text("\n".join(["agent_step,environment,score,length,seconds", *rows, "2100"]))
    return folder


def test_one_run_is_drawn_into_its_own_folder(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    assert main(["plot", str(run)]) == 0
    made = [run / "plots" / "progress.png", run / "plots" / "progress.svg"]
    assert capsys.readouterr().out.split() == [str(path) for path in made]
    with Image.open(made[0]) as image:
        assert image.size[0] == 1430


def test_several_runs_are_drawn_into_one_figure(tmp_path, capsys):
    runs = [str(make_run(tmp_path / f"run{seed}", seed=seed)) for seed in (1, 2)]
    out = tmp_path / "seeds.png"
    assert main(["plot", *runs, "--out", str(out), "--band", "interval", "--games", "5", "--rows", "1"]) == 0
    assert out.is_file()
    assert out.with_suffix(".svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "plot needs at least one run folder"),
        (["{absent}"], "is not a run folder (no such folder)"),
        (["{empty}"], "is not a run folder (it has no config.toml)"),
        (["{run}", "--games", "0"], "--games 0 is out of range"),
        (["{run}", "--rows", "nan"], "--rows nan is out of range"),
        (["{run}", "--band", "std"], "std"),
        (["{damaged}"], "episodes.csv line 2: 2 values where 5 belong"),
        (["{run}", "--out", "{run}/config.toml/x"], "cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    run = make_run(tmp_path / "run")
    damaged = make_run(tmp_path / "damaged")
    (damaged / "episodes.csv").write_text("agent_step,environment,score,length,seconds\n1,2\n")
    places = {name: tmp_path / name for name in ("absent", "empty", "run", "damaged")}
    before = sorted(tmp_path.rglob("*"))
    assert main(["plot", *(a.format(**places) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert run.is_dir()
