"""Games that repeat at first and then do not, and another emulator: resumed with new episodes, and everything else."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from odd_games import Vector

from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.atari import AtariGames
from pixelq.envs.seeded_episodes import NotReproducedError
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.runs.run import Run
from pixelq.runs.session import resume, start
from small_runs import Killed, at_agent_step, die, small


class Late(Vector):
    """A hundred steps a game; from the seventieth on it shows what nobody's seed decides."""

    def obs(self) -> Any:
        return np.full(3, self.t / 200 if self.t < 70 else np.random.uniform(0.5, 1), np.float32)

    def step(self, action: Any) -> Any:
        self.t += 1
        return self.obs(), float(action), self.t >= 100, False, {}


class FailsAgain(Vector):
    """Fails at its thirtieth step where a game is played from its start in another process than before."""

    broken = False

    def step(self, action: Any) -> Any:
        self.t += 1
        if self.broken and self.t == 10:
            raise ConnectionError("the server has gone")
        return self.obs(), float(action), self.t >= 100, False, {}


gymnasium.register("Later/Late-v0", entry_point=Late)
gymnasium.register("Later/FailsAgain-v0", entry_point=FailsAgain)


def configured(game: str, loop: str, **more: Any) -> Config:
    every: dict[str, Any] = {"steps": 400, "eval_every": 0, "checkpoint_every": 180, "num_envs": 2, "threads": 1}
    every |= {"device": "cpu", "log_every": 100} | more
    if loop == "replay":
        return configure(game, "mountain-car", every | {"replay_start": 20, "frame_skip": 1})
    return configure(game, "gymnasium", every | {"rollout_length": 5, "batch_size": 10})


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("loop", ["replay", "parallel"])
def test_a_game_that_differs_after_a_while_is_resumed_with_new_episodes_and_all_else_and_said(
    loop: str, deterministic: bool, in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with at_agent_step(monkeypatch, 190, die), pytest.raises(Killed):
        start(configured("Later/Late-v0", loop, deterministic=deterministic), Path("r"))
    told = capsys.readouterr().err
    assert "do not decide" not in told, "the look at the start sees nothing"
    assert resume(Path("r")).agent_steps == 400
    told = capsys.readouterr().err.splitlines()[0]
    assert "at agent step 180" in told
    assert "NOT exactly, with new episodes, for the saved actions of environment 0 do not lead to its saved" in told
    assert "decide only for a while" in told
    assert "ale-py" not in told
    rows = [row.split(",") for row in Path("r/episodes.csv").read_text().splitlines()[1:]]
    assert {int(row[3]) for row in rows} == {100}, "a game that was cut is no score"
    assert [int(row[0]) for row in rows] == [380, 380]


def test_what_was_learned_and_stored_is_kept_and_the_cut_episodes_end_as_truncations(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured("Later/Late-v0", "replay")
    runs: list[Run] = []
    opened = Run.open

    def seen(run: Run, *args: Any, **kwargs: Any) -> None:
        opened(run, *args, **kwargs)
        runs.append(run)

    monkeypatch.setattr(Run, "open", seen)
    with at_agent_step(monkeypatch, 180, die), pytest.raises(Killed):
        start(config, Path("r"))
    with at_agent_step(monkeypatch, 184, die), pytest.raises(Killed):
        start(config, Path("s"))  # the checkpoint is of the step before
    with monkeypatch.context() as patched:
        patched.setattr("pixelq.loops.replay_loop.loop", lambda run: die())
        with pytest.raises(Killed):
            resume(Path("s"))
    before, after = runs[0].parts, runs[-1].parts
    assert after.counters.agent_steps == before.counters.agent_steps == 180
    assert after.counters.updates > 0
    assert before.replay is not None
    assert after.replay is not None
    assert len(after.replay) == 180, "the last transition of each environment has its next state"
    batch = after.replay.sample(2_000, np.random.default_rng(0))
    cut = batch.state[:, -1, 0] >= 0.5
    assert (batch.discount_n > 0).all()
    assert cut.any()


def test_a_game_that_fails_while_it_is_played_again_does_not_lose_the_run_either(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with at_agent_step(monkeypatch, 190, die), pytest.raises(Killed):
        start(configured("Later/FailsAgain-v0", "replay"), Path("r"))
    reset = Vector.reset

    def works_again(game: Any, **options: Any) -> Any:
        game.games = getattr(game, "games", 0) + 1
        game.broken = game.games == 1
        return reset(game, **options)

    with monkeypatch.context() as patched:
        patched.setattr(FailsAgain, "reset", works_again)
        assert resume(Path("r")).agent_steps == 400
    told = capsys.readouterr().err
    assert "environment 0 failed (ConnectionError: the server has gone) while its saved actions were played" in told


def test_another_emulator_is_told_loudly_in_one_line_and_the_run_goes_on(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with at_agent_step(monkeypatch, 130, die), pytest.raises(Killed):
        start(small(eval_every=0, steps=200), Path("r"))
    capsys.readouterr()
    begin = AtariGames.reset_some
    with monkeypatch.context() as patched:  # the real emulator, which gives other games for the same seeds
        patched.setattr(AtariGames, "reset_some", lambda games, seeds, mask: begin(games, seeds + (seeds > 0), mask))
        assert resume(Path("r")).agent_steps == 200
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("resumed r at agent step 100")]
    assert len(lines) == 1
    assert "NOT exactly, with new episodes" in lines[0]
    assert "WARNING, most likely another version of the emulator (this is ale-py " in lines[0]
    assert "everything else is kept" in lines[0]


def test_a_state_without_last_frames_or_with_wrong_ones_is_still_refused() -> None:
    envs = make_envs(configured("Later/Late-v0", "replay"), num_envs=2, seed=1)
    envs.reset()
    for _ in range(80):
        envs.step(np.zeros(2, np.int64))
    state = envs.state_dict()
    assert np.array_equal(state["last_frames"], envs.observations[:, -1])
    for frames in (None, state["last_frames"][:1], state["last_frames"].astype(np.float64), np.full((2, 3), np.nan)):
        other = make_envs(configured("Later/Late-v0", "replay"), num_envs=2, seed=1)
        with pytest.raises(UserError, match="do not lead to its saved screen") as refused:
            other.load_state_dict(state | {"last_frames": frames})
        assert isinstance(refused.value, NotReproducedError)
        assert refused.value.last_frames is None
