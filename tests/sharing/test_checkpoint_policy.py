"""A run that was stopped before its first evaluation plays with its newest checkpoint's network."""

import json
import shutil
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import pixelq
from pixelq.cli import main
from pixelq.sharing.checkpoint_policy import playable
from small_runs import QUICK


@pytest.fixture
def young(run: Path) -> Path:
    """The run without a policy. Its last checkpoint is of the moment at which the final policy was saved."""
    for name in ("best", "final"):
        shutil.rmtree(run / name)
    (run / "eval.json").unlink()
    return run


def test_eval_record_and_load_take_the_newest_checkpoints_network_and_say_so_in_one_line(
    trained: Path, young: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    newest = sorted((young / "checkpoints").glob("step-*"))[-1]
    said = f"{young}: it has no policy before its first evaluation; its newest checkpoint plays: agent step 600"
    states = np.random.default_rng(0).normal(size=(5, 1, 4)).astype(np.float32)

    agent = pixelq.load(young)
    assert np.array_equal(agent.q_values(states), pixelq.load(trained / "final").q_values(states))
    assert capfd.readouterr().err.splitlines() == [said]

    assert main(["eval", str(young), "--episodes", "2", "--threads", "1"]) == 0
    assert json.loads((young / "eval.json").read_text())["policy"] == str(newest)
    assert capfd.readouterr().err.splitlines().count(said) == 1

    assert main(["record", str(young), "--max-agent-steps", "2"]) == 0
    assert [file.name for file in (young / "videos").iterdir()] == ["checkpoint-seed0.mp4"]
    assert capfd.readouterr().err.splitlines().count(said) == 1
    assert not (young / "best").exists()


def test_a_run_with_a_policy_or_without_a_checkpoint_is_opened_as_before(run: Path) -> None:
    with playable(run) as place:
        assert place.path == run
    for name in ("best", "final", "checkpoints"):
        shutil.rmtree(run / name)
    with playable(run) as place:
        assert place.path == run
    assert main(["eval", str(run)]) == 2


class Unseen(gymnasium.Env[np.ndarray, int]):
    """A game that draws nothing."""

    observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, **options: Any) -> Any:
        super().reset(**options)
        self.steps = 0
        return self.np_random.uniform(-1, 1, 3).astype(np.float32), {}

    def step(self, action: int) -> Any:
        self.steps += 1
        return self.np_random.uniform(-1, 1, 3).astype(np.float32), float(action), self.steps >= 9, False, {}


def test_a_game_need_not_draw_pictures_for_that(tmp_path: Path) -> None:
    fields = QUICK | {"steps": 100, "eval_every": 0}
    del fields["eval_episodes"]
    result = pixelq.train(Unseen, run_dir=tmp_path / "r", callbacks=[at_sixty], **fields)
    assert result.stopped_by
    shutil.rmtree(tmp_path / "r" / "final", ignore_errors=True)
    assert not list((tmp_path / "r").rglob("policy.safetensors"))
    states = np.zeros((2, 1, 3), np.float32)
    assert np.isfinite(pixelq.load(tmp_path / "r").q_values(states)).all()


def at_sixty(training: Any) -> None:
    if training.agent_steps >= 60:
        raise pixelq.StopTraining("long enough")


def test_a_damaged_checkpoint_is_named_in_one_line(young: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = sorted((young / "checkpoints").glob("step-*/tensors.safetensors"))[-1]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert main(["eval", str(young)]) == 2
    error = capfd.readouterr().err
    assert str(file.parent) in error
    assert error.count("\n") == 1


DAMAGES: dict[str, Any] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:100]),
    "empty": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
    "flipped": lambda file: file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1])),
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a policy and with two checkpoints."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    quick = {name: value for name, value in QUICK.items() if name != "eval_episodes"}
    pixelq.train("CartPole-v1", run_dir=folder, **quick | {"eval_every": 0, "checkpoint_every": 60})
    for name in ("best", "final"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return folder


@pytest.fixture
def twice_saved(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


@pytest.mark.parametrize("name", ["tensors.safetensors", "manifest.json"])
@pytest.mark.parametrize("how", DAMAGES)
def test_where_the_newest_checkpoint_is_damaged_the_one_before_plays_and_both_are_named(
    how: str, name: str, twice_saved: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before, newest = sorted((twice_saved / "checkpoints").glob("step-*"))[-2:]
    DAMAGES[how](next(newest.glob(f"*{name}")))
    agent = pixelq.load(twice_saved)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    steps = int(before.name.rpartition("-")[2])
    assert f"plays: agent step {steps:,}" in said[0]
    assert (str(newest) in said[0]) or (how, name) == ("gone", "manifest.json")  # then it is no checkpoint at all
    assert agent.network is not None
    shutil.rmtree(newest)
    states = np.random.default_rng(0).normal(size=(5, 1, 4)).astype(np.float32)
    assert np.array_equal(agent.q_values(states), pixelq.load(twice_saved).q_values(states))


def test_where_every_checkpoint_is_damaged_the_newests_damage_is_told(twice_saved: Path) -> None:
    for folder in (twice_saved / "checkpoints").glob("step-*"):
        DAMAGES["cut"](next(folder.glob("*tensors.safetensors")))
    newest = sorted((twice_saved / "checkpoints").glob("step-*"))[-1]
    with pytest.raises(pixelq.UserError, match=f"{newest}.*cut or damaged"):
        pixelq.load(twice_saved)


def test_a_stopped_runs_environment_and_wrappers_are_handed_to_load_as_to_resume(tmp_path: Path) -> None:
    def around(env: Any) -> Any:
        return gymnasium.wrappers.TransformReward(env, lambda reward: reward)

    quick = {name: value for name, value in QUICK.items() if name != "eval_episodes"} | {"eval_every": 0}
    pixelq.train(lambda: Unseen(), run_dir=tmp_path / "r", wrappers=[around], **quick)
    for name in ("best", "final"):
        shutil.rmtree(tmp_path / "r" / name, ignore_errors=True)
    with pytest.raises(pixelq.UserError, match=r"pixelq\.load\(run, env=\.\.\.\)"):
        pixelq.load(tmp_path / "r")
    agent: Any = pixelq.load(tmp_path / "r", env=lambda: Unseen(), wrappers=[around])
    assert agent.q_values(np.zeros((1, *agent.observation_space.shape), np.float32)).shape == (1, 2)
    with pytest.raises(pixelq.UserError, match="it has 1 wrappers"):
        pixelq.load(tmp_path / "r", env=lambda: Unseen(), wrappers=[around, around])
