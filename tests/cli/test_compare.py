import dataclasses
from pathlib import Path

import pytest
from matplotlib.text import Text

from pixelq.cli import main
from pixelq.config import Config
from pixelq.recipes.header import read_header
from pixelq.recipes.reading import read_recipe, write_config
from pixelq.viewing.plots import BAND_NAMES

CURVES = """\
game,agent,million_frames,mean_return,min_run,max_run,runs
pong,DQN (Adam + MSE in JAX),1,-20.19,-20.4,-20.0,5
pong,DQN (Adam + MSE in JAX),2,-18.55,-19.2,-17.8,5
pong,Rainbow,1,-20.42,-20.48,-20.35,5
"""

SCORES = """\
source,algorithm,game,agent_steps,score,spread,protocol
"Mnih et al. 2015",DQN 2015,pong,50000000,18.9,1.3,"30 episodes, epsilon 0.05, no sticky actions"
"Mnih et al. 2015",DQN 2015,breakout,50000000,401.2,26.9,"same"
"""


@pytest.fixture
def reference(tmp_path):
    folder = tmp_path / "reference"
    folder.mkdir()
    (folder / "published_scores.csv").write_text(SCORES)
    (folder / "curves.csv").write_text(CURVES)
    return folder / "curves.csv"


def make_run(folder, scores, **config):
    """A run whose games each take 125,000 agent steps: two of them are a million frames."""
    folder.mkdir()
    write_config(dataclasses.replace(Config(), sticky_actions=0.25, **config), folder / "config.toml")
    rows = [f"{125_000 * i},0,{score},125000,{i}" for i, score in enumerate(scores, start=1)]
    (folder / "episodes.csv").write_text("\n".join(["agent_step,environment,score,length,seconds", *rows, ""]))
    return folder


def cells(output):
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]


def test_a_run_stands_beside_the_reference_at_the_same_frames(tmp_path, reference, capsys):
    run = make_run(tmp_path / "run", [-21, -19, -17, -14])
    assert main(["compare", str(run), "--reference", str(reference)]) == 0
    rows = cells(capsys.readouterr().out)
    assert ["1", "250,000", "-20.00", "-20.19 (-20.40 to -20.00)"] in rows
    assert ["2", "500,000", "-15.50", "-18.55 (-19.20 to -17.80)"] in rows
    assert ["sticky actions", "0.25", "0.25", "same"] in rows
    assert ["a lost life", "ends the target", "no signal", "differs"] in rows
    assert (run / "plots" / "compare.png").is_file()
    assert (run / "plots" / "compare.svg").is_file()


def test_same_protocol_is_said_only_where_every_setting_agrees(tmp_path, reference, capsys):
    dopamine = vars(read_recipe("dopamine")) | {"game": "pong"}
    del dopamine["sticky_actions"]
    same = [str(make_run(tmp_path / f"same{seed}", [-21], **dopamine | {"seed": seed})) for seed in range(5)]
    assert main(["compare", *same, "--reference", str(reference), "--out", str(tmp_path / "same")]) == 0
    output = capsys.readouterr().out
    assert "same protocol" in output
    assert "differs" not in output.partition("final scores")[0]
    other = dopamine | {"precision": "bf16", "num_envs": 4, "initialisation": "torch", "target_every": 10_000}
    assert main(["compare", str(make_run(tmp_path / "other", [-21], **other)), "--reference", str(reference)]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "differs in initial weights, precision, environments, target network, runs" in output
    assert "same protocol" not in output


def test_beside_a_library_the_settings_are_the_same_and_its_recipe_says_what_still_differs(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("pixelq.viewing.comparison_figure.draw_comparison", lambda *args: None)
    monkeypatch.setattr("pixelq.viewing.figures.write_figure", lambda figure, out: ())
    cleanrl = vars(read_recipe("cleanrl")) | {"game": "pong"}
    del cleanrl["sticky_actions"]
    runs = [str(make_run(tmp_path / f"s{seed}", [-21] * 9, **cleanrl | {"seed": seed})) for seed in range(3)]
    for run in runs:  # `make_run` plays with sticky actions
        (config := Path(run) / "config.toml").write_text(config.read_text().replace("actions = 0.25", "actions = 0.0"))
    assert main(["compare", *runs, "--reference", "cleanrl", "--agents", "CleanRL DQN"]) == 0
    output = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "same settings; what still differs is listed in recipe cleanrl" in output
    for point in read_header("cleanrl").differences:
        assert f"protocol: recipe cleanrl: {point}" in output
    assert "same protocol" not in output


def test_where_the_runs_go_on_beyond_the_last_row_the_references_next_point_is_named(
    tmp_path, reference, monkeypatch, capsys
):
    monkeypatch.setattr("pixelq.viewing.comparison_figure.draw_comparison", lambda *args: None)
    monkeypatch.setattr("pixelq.viewing.figures.write_figure", lambda figure, out: ())
    run = make_run(tmp_path / "run", [-21, -19] * 4)
    points = {4: "", 9: "The runs go on; the reference's next point is at 9 million frames."}
    for point, words in (points | {None: "The runs go on; the reference's last point is here."}).items():
        more = f"pong,DQN (Adam + MSE in JAX),{point},1,1,1,5\n" if point else ""
        reference.write_text(CURVES + more)
        assert main(["compare", str(run), "--reference", str(reference)]) == 0
        output = " ".join(capsys.readouterr().out.split())
        assert words in output
        assert ("The runs go on" in output) is bool(words)


def test_a_reference_of_unknown_protocol_is_not_called_the_same(tmp_path, reference, capsys):
    reference.write_text(CURVES.replace("Rainbow", "my DQN"))
    run = make_run(tmp_path / "run", [-21])
    assert main(["compare", str(run), "--reference", str(reference), "--agents", "my DQN"]) == 0
    output = capsys.readouterr().out
    assert "The protocol of my DQN is not known here" in output
    assert "same protocol" not in output


def test_published_scores_of_the_game_are_shown_with_their_protocol(tmp_path, reference, capsys):
    run = make_run(tmp_path / "run", [-21, -19])
    assert main(["compare", str(run), "--reference", str(reference)]) == 0
    output = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "18.9 ± 1.3" in output
    assert "401.2" not in output
    for words in ("30 episodes, epsilon", "test games at epsilon 0.05", "no sticky"):
        assert words in output


def test_of_a_game_without_an_emulator_agent_steps_are_told_and_no_frames(tmp_path, capsys):
    run = make_run(tmp_path / "run", [20, 30], game="CartPole-v1", frame_skip=1)
    curves = tmp_path / "curves.csv"
    head = "game,agent,agent_steps,mean_return,min_run,max_run,runs"
    curves.write_text(f"{head}\nCartPole-v1,mine,125000,15,,,1\nCartPole-v1,mine,250000,24,,,1\n")
    assert main(["compare", str(run), "--reference", str(curves), "--agents", "mine"]) == 0
    output = capsys.readouterr().out
    rows = cells(output)
    assert ["125,000", "20.00", "15.00"] in rows
    assert ["250,000", "25.00", "24.00"] in rows
    assert ["CartPole-v1", "published: mine", "250,000", "1", "24.00"] in rows
    for words in ("million frames", "uman-normalized", "In brackets: 95%"):  # nothing of that kind is in the table
        assert words not in output
    assert "Published: means of its training games" in " ".join(output.split())
    curves.write_text(curves.read_text().replace("agent_steps", "million_frames"))
    assert main(["compare", str(run), "--reference", str(curves), "--agents", "mine"]) == 2
    assert "CartPole-v1 has no emulator, so its curves are given by agent_steps" in capsys.readouterr().err


def test_several_runs_and_agents_are_columns(tmp_path, reference, capsys):
    runs = [str(make_run(tmp_path / f"run{seed}", [-20 + seed, -20 + seed], seed=seed)) for seed in (1, 2)]
    out = tmp_path / "both"
    agents = ["--agents", "Rainbow", "DQN (Adam + MSE in JAX)"]
    assert main(["compare", *runs, "--reference", str(reference), "--out", str(out), *agents]) == 0
    row = ["1", "250,000", "-18.50 (-24.85 to -12.15)", "-20.42 (-20.48 to -20.35)", "-20.19 (-20.40 to -20.00)"]
    assert row in cells(capsys.readouterr().out)
    assert (tmp_path / "both.png").is_file()


def test_without_a_reference_the_published_curves_that_come_with_pixelq_are_taken(tmp_path, capsys):
    run = make_run(tmp_path / "run", [-21, -19, -17, -14])
    assert main(["compare", str(run)]) == 0
    assert any("Dopamine" in line or "-20." in line for line in capsys.readouterr().out.splitlines())


def test_folders_of_runs_and_games_are_compared_at_once_and_a_damaged_run_does_not_hide_the_others(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    suite = tmp_path / "suite"
    for game in ("pong", "breakout"):
        (suite / "default" / game).mkdir(parents=True)
        for seed in (1, 2):
            make_run(suite / "default" / game / f"seed-{seed}", [seed] * 8, game=game, seed=seed)
    damaged = make_run(suite / "default" / "pong" / "seed-3", [1], game="pong", seed=3)
    (damaged / "episodes.csv").write_text("agent_step\nx\n")
    assert main(["compare", "suite", "--reference", "cleanrl", "--agents", "CleanRL DQN"]) == 0
    output = capsys.readouterr().out
    rows = cells(output)
    assert ["4", "1,000,000", "1.50 (-4.85 to 7.85)", "-14.33 (-15.65 to -12.82)"] in rows  # Pong
    assert ["4", "1,000,000", "1.50 (-4.85 to 7.85)", "28.17 (24.08 to 32.50)"] in rows  # Breakout
    games = {tuple(row[:2]): row[-1] for row in rows if row[2:4] == ["1,000,000", "4"]}
    assert games["pong", "default"] == "0.629 (0.449 to 0.809)"
    assert games["breakout", "published: CleanRL DQN"] == "0.919"
    assert any(row[0] == "all games, median" and row[1] == "default" for row in rows)
    assert "note: suite/default/pong/seed-3/episodes.csv line 1: column 'environment' is missing" in output
    assert (tmp_path / "compare.png").is_file()


def test_where_a_folder_has_more_runs_than_are_looked_for_that_is_said(tmp_path, reference, capsys, monkeypatch):
    for seed in (1, 2):
        make_run(tmp_path / f"seed-{seed}", [-21], seed=seed)
    monkeypatch.setattr("pixelq.web.folder_watch.MOST_RUNS", 1)
    arguments = ["compare", str(tmp_path), "--reference", str(reference), "--out", str(tmp_path / "figure")]
    assert main(arguments) == 0
    output = "".join(capsys.readouterr().out.split())
    assert f"note: {tmp_path}: it has 1 runs and may have more".replace(" ", "") in output


def test_a_strangers_names_are_printed_as_they_are(tmp_path, reference, capsys):
    reference.write_text(CURVES.replace("Rainbow", "[/red]$x$"))
    run = make_run(tmp_path / "[bold]run[italic]", [-21, -19])
    out = ["--reference", str(reference), "--agents", "[/red]$x$", "--out", str(tmp_path / "figure")]
    assert main(["compare", str(run), *out]) == 0
    output = capsys.readouterr().out
    assert "[/red]$x$, 5 runs" in output
    assert "[bold]run[italic]" in "".join(row[0] for row in cells(output))


@pytest.mark.parametrize(("words", "band"), [([], "interval"), (["--band", "range"], "range")])
def test_the_band_of_runs_without_published_curves_is_the_one_that_is_asked_for(tmp_path, monkeypatch, words, band):
    figures = []
    monkeypatch.setattr("pixelq.viewing.figures.write_figure", lambda figure, out: figures.append(figure) or ())
    runs = [str(make_run(tmp_path / f"run{i}", [9, 9 + i], game="CartPole-v1", seed=i)) for i in range(2)]
    assert main(["compare", *runs, *words, "--out", str(tmp_path / "figure")]) == 0
    said = " ".join(text.get_text() for text in figures[0].findobj(Text))
    assert [name for name, meaning in BAND_NAMES.items() if f"band = {meaning}" in said] == [band]


def test_one_test_game_has_no_spread_in_the_table(tmp_path, reference, monkeypatch, capsys):
    monkeypatch.setattr("pixelq.viewing.comparison_figure.draw_comparison", lambda *args: None)
    monkeypatch.setattr("pixelq.viewing.figures.write_figure", lambda figure, out: ())
    run = make_run(tmp_path / "run", [-21])
    for games, spread in ((1, ""), (2, " ± 0.50")):
        header, row = "agent_steps,episodes,mean,std,min,max,median", f"125000,{games},-20.5,0.5,-21,-20,-20.5"
        (run / "evaluations.csv").write_text(f"{header}\n{row if spread else row.replace(',0.5,', ',nan,')}\n")
        assert main(["compare", str(run), "--reference", str(reference)]) == 0
        assert any(f"-20.50{spread}" in row for row in cells(capsys.readouterr().out))


def test_a_run_that_has_just_begun_is_compared_too(tmp_path, reference, capsys):
    run = make_run(tmp_path / "run", [])
    assert main(["compare", str(run), "--reference", str(reference)]) == 0
    output = capsys.readouterr().out
    assert "No run has played a million frames yet" in output
    assert "note: no run has a finished game yet" in output


def test_an_agent_step_that_no_run_has_reached_is_told(tmp_path, reference, capsys):
    run = make_run(tmp_path / "run", [-21])
    assert main(["compare", str(run), "--reference", str(reference), "--at", "1e6"]) == 0
    assert "note: no run has a finished game at agent step 1,000,000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reference", "{reference}"], "compare needs at least one run folder"),
        (["{run}", "--reference", "{absent}"], "no such file"),
        (["{absent}", "--reference", "{reference}"], "is not a run folder"),
        (["{run}", "--reference", "{reference}", "--agents", "IQN"], "the reference has 'DQN (Adam"),
        (["{run}", "--reference", "{reference}", "--scores", "{absent}"], "no such file"),
        (["{run}", "--reference", "dopamin"], "takes dopamine, papers, cleanrl"),
        (["{run}", "--at", "0"], "--at 0 is out of range"),
        (["{run}", "--reference", "papers", "--agents", "Rainbow"], "--agents: no curve stands beside pong"),
        (["{run}", "--reference", "papers", "--scores", "{reference}"], "'source' is missing"),
        (["{breakout}", "--reference", "{reference}"], "no curve of breakout"),
        (["{run}", "--reference", "{run}/config.toml"], "'game' is missing"),
        (["{run}", "--reference", "{reference}", "--out", "{reference}/x"], "cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, reference, capsys, arguments, message):
    places = {
        "reference": reference,
        "absent": tmp_path / "absent",
        "run": make_run(tmp_path / "run", [1]),
        "breakout": make_run(tmp_path / "breakout", [1], game="breakout"),
    }
    before = sorted(tmp_path.rglob("*"))
    assert main(["compare", *(a.format(**places) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
