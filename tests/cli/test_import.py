"""`pixelq import`: what it prints and writes, and that every other command takes what it wrote."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

import pixelq
from foreign_files import DQN, SB3
from pixelq.cli import main
from pixelq.config import Config
from pixelq.recipes.reading import read_config
from pixelq.runs import session
from small_disks import files_at_most


def imported(folder: Path) -> Path:
    assert main(["import", "sb3", str(SB3), "--game", "CartPole-v1", "--output", str(folder)]) == 0
    return folder


def test_it_says_what_it_found_and_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", "sb3", str(SB3), "--game", "CartPole-v1"]) == 0
    out = capsys.readouterr().out
    folder = "imported/CartPole-v1-cartpole_sb3"
    assert "DQN of Stable-Baselines3 2.9.2, trained for 8,000 agent steps: MLP, hidden layers of 16, 16 units" in out
    assert f"pixelq eval {folder}\n" in out
    assert f"pixelq train CartPole-v1 --load {folder} --epsilon-start 0.04\n" in out
    assert main(["eval", folder, "--episodes", "3", "--epsilon", "0", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["game"] == "CartPole-v1"
    assert report["mean"] > report["random_agent_measured"]  # it has learned


def test_without_a_game_it_asks_for_one_and_offers_what_the_name_says(tmp_path: Path, capsys: Any) -> None:
    model = tmp_path / "dqn-CartPole-v1.zip"
    model.write_bytes(SB3.read_bytes())
    assert main(["import", "sb3", str(model)]) == 2
    assert "shows 4 numbers and 2 actions, but not which game" in (said := capsys.readouterr().err)
    assert "--game CartPole-v1" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tianshou", "x"], "from which library? pixelq import sb3|cleanrl FILE"),
        ([], "from which library? pixelq import sb3|cleanrl FILE"),
        (["sb3"], "which file? pixelq import sb3 FILE"),
        (["sb3", str(SB3), "--game", "CartPole-v1", "--sticky-actions", "2"], "out of range"),
        (["sb3", str(SB3), "--game", "CartPole-v1", "--sticky-actions", "0.25"], "not an Atari game"),
        (["sb3", str(SB3), "--game", "CartPole-v1", "--frame-skip", "0"], "frame_skip = 0 is out of range"),
        (["sb3", str(SB3), "--game", "CartPole-v1", "--env-kwargs", "nonsense=1"], "nonsense"),
        (["sb3", str(SB3), "--game", "CartPole-v1", "--output", "there"], "is there already"),
        (["sb3", str(SB3), "--game", "CartPole-v1", "--output", "file/below"], "cannot be written"),
        (["cleanrl", str(DQN), "--game", "CartPole-v1", "--output", "link"], "is there already"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    Path("file").write_text("mine", encoding="utf-8")
    Path("link").symlink_to("nowhere")
    assert main(["import", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "link", "there"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, capsys: Any) -> None:
    new = str(tmp_path / "new" / "deeper" / "policy")
    with files_at_most(3_000):  # the configuration fits, the weights do not
        code = main(["import", "cleanrl", str(DQN), "--game", "CartPole-v1", "--out", new])
    assert code == 2
    assert "cannot be written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path, capsys: Any) -> None:
    tmp_path.chmod(0o500)
    code = main(["import", "cleanrl", str(DQN), "--game", "CartPole-v1", "--output", str(tmp_path / "new")])
    assert (code, "cannot be written" in capsys.readouterr().err) == (2, True)


def test_training_goes_on_from_its_weights_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    folder, run = imported(tmp_path / "policy"), tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    few = ["--steps", "300", "--eval-every", "0", "--checkpoint-every", "0", "--threads", "1", "--device", "cpu"]
    assert main(["train", "CartPole-v1", "--load", str(folder), "--run-dir", str(run), *few]) == 0
    before, after = read_config(folder / "config.toml"), read_config(run / "config.toml")
    same = set(vars(before)) - {"steps", "load", "eval_every", "checkpoint_every", "threads", "device"}
    assert {name: getattr(after, name) for name in same} == {name: getattr(before, name) for name in same}
    # It ends before the first update (500 agent steps), so its weights are still those that were imported.
    weights = [
        safetensors.torch.load_file(file) for file in (folder / "policy.safetensors", *run.glob("final/*.safe*"))
    ]
    assert len(weights) == 2
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_recipe_that_is_named_counts_and_python_does_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    folder = imported(tmp_path / "policy")
    capsys.readouterr()
    assert main(["train", "CartPole-v1", "--load", str(folder), "--recipe", "cartpole", "--run-dir", "none"]) == 2
    assert "not this network" in capsys.readouterr().err
    started: list[Config] = []

    class StartedError(Exception):
        pass

    def start(config: Config, *others: Any, **named: Any) -> None:
        started.append(config)
        raise StartedError

    monkeypatch.setattr(session, "start", start)
    for recipe in (None, "cartpole"):
        with pytest.raises(StartedError):
            pixelq.train("CartPole-v1", recipe, load=str(folder), steps=100)
    assert [config.recipe for config in started] == ["sb3", "cartpole"]
    assert (started[0].load, started[0].steps, started[0].target_every) == (str(folder), 100, 100)
