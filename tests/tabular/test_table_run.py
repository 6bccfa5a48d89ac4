import csv
import dataclasses
import json
import tomllib

import numpy as np
import pytest
import safetensors.numpy

from pixelq.errors import RunError, UserError
from pixelq.tabular.optimality import measure_optimality
from pixelq.tabular.q_learning import QLearning, learn
from pixelq.tabular.table_run import create_table_run, is_table_run, load_table

SETTINGS = QLearning(steps=900, test_every=300, test_episodes=2, stop_score=2)


def learned(game):
    streams = [np.random.default_rng(s) for s in range(3)]
    return list(learn(game, SETTINGS, exploration=streams[0], episodes=streams[1], tests=streams[2]))


@pytest.fixture
def run(tmp_path, lake):
    """A finished run's folder and its tests."""
    tests = learned(lake)
    folder = create_table_run(lake, SETTINGS, 7, tmp_path / "run")
    for test in tests:
        folder.add(test)
    folder.finish(tests[-1], measure_optimality(tests[0].q, lake, 0.9), tests[0].evaluation)
    return folder.path, tests


def test_a_run_is_read_back_as_it_was_written(run, lake):
    path, tests = run
    best = [t for t in tests if t.best][-1]
    for which, test in (("best", best), ("final", tests[-1])):
        loaded = load_table(path, which)
        assert (loaded.table == test.q).all()
        assert (loaded.settings, loaded.seed) == (SETTINGS, 7)
        assert (loaded.game.name, loaded.game.slippery, loaded.game.limit) == ("FrozenLake-v1", False, 100)


@pytest.mark.parametrize("slippery", [None, True, False])
def test_the_games_own_choice_of_slippery_is_kept(tmp_path, lake, slippery):
    game = dataclasses.replace(lake, slippery=slippery)
    folder = create_table_run(game, QLearning(), 0, tmp_path / "run")
    folder.add(learned(lake)[0])
    loaded = load_table(tmp_path / "run")
    assert loaded.game.slippery is slippery
    assert loaded.settings == QLearning()


def test_every_test_is_a_line_of_the_csv(run):
    path, tests = run
    with (path / "evaluations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["agent_steps"]) for r in rows] == [300, 600, 900]
    assert [float(r["mean"]) for r in rows] == [t.evaluation.mean for t in tests]
    assert {int(r["episodes"]) for r in rows} == {2}


def test_the_comparison_and_where_a_table_comes_from_are_written(run, lake):
    path, _ = run
    report = json.loads((path / "comparison.json").read_text())
    assert report["success_best"] == 1
    assert report["optimal_share"] == report["optimal_states"] / 11
    assert report["measured"]["episodes"] == 2
    with safetensors.safe_open(path / "final" / "q_table.safetensors", "numpy") as file:
        assert file.metadata()["environment"] == "FrozenLake-v1"
        assert file.metadata()["agent_steps"] == "900"


def test_a_run_gets_a_free_name_even_in_the_same_second(tmp_path, lake):
    folders = [create_table_run(lake, SETTINGS, 3, None, tmp_path / "runs").path for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(p.name.startswith("frozenlake_v1-tabular-3-2") for p in folders)
    assert all(is_table_run(p) for p in folders)


def test_a_folder_that_is_taken_is_refused_and_an_empty_one_is_not(tmp_path, lake):
    (tmp_path / "empty").mkdir()
    create_table_run(lake, SETTINGS, 0, tmp_path / "empty")
    for taken in ("empty", "empty/tabular.toml"):
        with pytest.raises(UserError, match=r"already taken; choose another with --run-dir"):
            create_table_run(lake, SETTINGS, 0, tmp_path / taken)
    with pytest.raises(UserError, match="cannot make the run folder"):
        create_table_run(lake, SETTINGS, 0, tmp_path / "empty" / "tabular.toml" / "below")


def test_a_folder_that_vanishes_while_learning_is_a_run_error(tmp_path, lake):
    folder = create_table_run(lake, SETTINGS, 0, tmp_path / "run")
    (tmp_path / "run" / "evaluations.csv").unlink()
    (tmp_path / "run" / "evaluations.csv").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        folder.add(learned(lake)[0])


def test_every_cut_and_every_flipped_byte_of_a_table_is_refused_or_harmless(run):
    path, _ = run
    file = path / "best" / "q_table.safetensors"
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for size in range(0, len(whole), 7):
        file.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"q_table\.safetensors"):
            load_table(path)
    for at in range(0, header, 5):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(UserError, match=r"q_table\.safetensors"):
            load_table(path)


@pytest.mark.parametrize(
    "table",
    [
        np.zeros((16, 3)),
        np.zeros((15, 4)),
        np.zeros(64),
        np.zeros((16, 4), np.float32),
        np.full((16, 4), np.nan),
        np.full((16, 4), np.inf),
    ],
)
def test_a_table_that_does_not_fit_its_game_is_refused(run, table):
    path, _ = run
    (path / "best" / "q_table.safetensors").write_bytes(safetensors.numpy.save({"q": table}))
    with pytest.raises(UserError, match=r"not a Q-table of FrozenLake-v1 \(16 x 4 finite float64 numbers\)"):
        load_table(path)


def test_a_file_without_a_table_and_a_run_without_a_file_are_refused(run):
    path, _ = run
    file = path / "best" / "q_table.safetensors"
    file.write_bytes(safetensors.numpy.save({"weights": np.zeros((16, 4))}))
    with pytest.raises(UserError, match="not a Q-table"):
        load_table(path)
    file.unlink()
    with pytest.raises(UserError, match="has no best table yet"):
        load_table(path)
    with pytest.raises(UserError, match=r"not a run of `pixelq tabular`"):
        load_table(path / "best")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"FrozenLake-v1"', '"antigravity:FrozenLake-v1"', "is not a game that may be opened"),
        ('"FrozenLake-v1"', "3", "is not a game that may be opened"),
        ('"FrozenLake-v1"', '"Zzz-v0"', "unknown environment"),
        ("slippery = false", 'slippery = "no"', "is not a game that may be opened"),
        ("limit = 100", "limit = 0", "out of range"),
        ("limit = 100", "limit = true", "limit = True is not a number"),
        ("seed = 7", "", "seed = None is not a number"),
        ("alpha = 0.2", "alpha = 7.0", "--alpha 7 is out of range"),
        ("alpha = 0.2", 'alpha = "0.2"', "alpha = '0.2' is not a number"),
        ("steps = 900", "steps = 900.5", "steps = 900.5 is not a number"),
        ("steps = 900", "steps = 900\nleaps = 2", "unknown field 'leaps'"),
        ("[q_learning]", "[learning]", r"the table \[q_learning\] is missing"),
        ("[q_learning]", "[q_learning", "cannot be read"),
    ],
)
def test_a_damaged_configuration_is_refused_and_runs_no_code(run, old, new, message):
    path, _ = run
    text = (path / "tabular.toml").read_text()
    assert old in text
    (path / "tabular.toml").write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        load_table(path)


def test_the_configuration_is_complete(run):
    values = tomllib.loads((run[0] / "tabular.toml").read_text())
    assert values["q_learning"] == dataclasses.asdict(SETTINGS)
