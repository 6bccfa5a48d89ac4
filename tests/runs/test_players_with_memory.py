"""Whoever plays a policy with a memory carries it and begins anew with each game: tests, videos, the live page, agents.

The game can only be won by who remembers its first state, so that each of them wins all of its games or does not.
"""

from pathlib import Path
from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest
import torch

import pixelq
from pixelq.cli import main
from pixelq.errors import UserError
from pixelq.networks import build_network
from pixelq.policy import Agent
from pixelq.policy.acting import RecurrentActing
from pixelq.recipes.choice import configure
from pixelq.runs.evaluation import evaluate
from pixelq.runs.session import start
from pixelq.sharing.program import Program
from pixelq.viewing.saliency import gradient_saliency
from pixelq.viewing.video import open_game, played, record_game
from pixelq.web.player import LivePlayer
from recall_games import LENGTH
from run_fixtures import in_folder, no_plots, torch_settings_restored

__all__ = ["in_folder", "no_plots", "torch_settings_restored"]

QUICK: dict[str, Any] = {
    "steps": 5_000, "num_envs": 16, "rollout_length": 16, "batch_size": 64, "epochs": 4, "hidden": (32,), "gamma": 0.9,
    "frame_stack": 1, "epsilon_steps": 3_000, "learning_rate": 5e-3, "learning_rate_end": None, "trace_lambda": 0.9,
    "eval_every": 5_000, "eval_episodes": 40, "eval_epsilon": 0.0, "checkpoint_every": 0, "log_every": 2_500,
    "threads": 1, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned to remember: two seconds."""
    folder = tmp_path_factory.mktemp("recall") / "run"
    start(configure("Recall-v0", "cartpole", QUICK | {"memory": "lstm", "units": 16}), folder)
    return folder


@pytest.fixture
def agent(run: Path) -> Agent:
    found = pixelq.load(run)
    assert isinstance(found, Agent)
    return found


def test_a_game_that_must_be_remembered_is_learned_with_a_memory_and_not_without(run: Path, in_folder: Path) -> None:
    """Three seeds of three with a memory; without one no policy has more than 0 in the mean."""
    curves = pixelq.read_curves(run)
    assert curves.evaluations.mean[-1] == 1.0  # in training, by the network as it is
    start(configure("Recall-v0", "cartpole", QUICK), Path("without"))
    without = pixelq.read_curves("without")
    assert abs(without.evaluations.mean[-1]) < 0.6


def test_test_games_are_won_and_those_that_are_cut_are_forgotten(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluate(agent, agent.config, episodes=70, epsilon=0.0, seed=1).mean == 1.0  # two games and more in each
    forgot: list[np.ndarray] = []
    forget = RecurrentActing.forget

    def noted(acting: RecurrentActing, where: np.ndarray) -> None:
        forgot.append(where)
        forget(acting, where)

    monkeypatch.setattr(RecurrentActing, "forget", noted)
    result = evaluate(agent, agent.config, episodes=66, epsilon=0.0, seed=1, max_steps=LENGTH - 1)
    assert result.cut == 66
    assert [bool(where.all()) for where in forgot[:6]] == [False, False, True, False, False, True]


def test_an_agent_wins_in_pixelqs_environments_and_forgets_only_what_it_is_told_to(agent: Agent) -> None:
    envs = pixelq.make_envs(agent.config, num_envs=5, seed=3)
    observations, _ = envs.reset()
    agent.reset()
    rewards = []
    for _ in range(3 * LENGTH):
        observations, reward, terminated, truncated, _ = envs.step(agent.act(observations))
        agent.reset(terminated | truncated)
        rewards.append(reward)
    envs.close()
    assert np.sum(rewards) == 3 * 5
    assert np.min(rewards) == 0


@pytest.mark.parametrize("mode", ["one", *gymnasium.vector.AutoresetMode])
def test_a_player_of_plain_environments_wins_and_keeps_its_own_memory(agent: Agent, mode: Any) -> None:
    if mode == "one":
        env: Any = gymnasium.make("Recall-v0")
    else:
        env = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("Recall-v0")] * 3, autoreset_mode=mode)
    player, other = agent.player(env), agent.player(env)
    observation, info = env.reset(seed=4)
    player.reset()
    rewards: list[np.ndarray] = []
    for _ in range(4 * LENGTH):
        other.act(observation, info)  # remembers nothing of ends that it is not told of, and disturbs nobody
        observation, reward, terminated, truncated, info = env.step(player.act(observation, info))
        rewards.append(np.asarray(reward))
        over = np.asarray(terminated) | np.asarray(truncated)
        if mode == "one" and over:
            observation, info = env.reset()
        if mode == gymnasium.vector.AutoresetMode.DISABLED and over.any():
            observation, info = env.reset(options={"reset_mask": over})
        player.reset() if mode == "one" and over else player.ended(over)
    env.close()
    assert np.min(rewards) == 0.0
    assert np.sum(rewards) >= 3 * (1 if mode == "one" else 3)
    with pytest.raises(UserError, match="has been shown no state"):
        _ = agent.acting.recurrent_state


def test_videos_show_games_that_are_won_and_what_the_network_knew_at_each_moment(agent: Agent, tmp_path: Path) -> None:
    shown, envs = open_game(agent.config, seed=1)
    for seed in range(4):
        moments = list(played(agent, shown, envs, seed=seed, epsilon=0.0))
        assert moments[-1].score == 1.0
        assert len(moments) == LENGTH + 1
        for moment in moments[:-1]:
            state = torch.from_numpy(moment.observation[None])
            assert moment.choice is not None
            np.testing.assert_allclose(moment.network.q_values(state)[0].numpy(), moment.choice.q_values, atol=1e-6)
            assert gradient_saliency(moment.network.q_values, state).shape == (3,)
    envs.close()
    assert record_game(agent, tmp_path / "a.gif", epsilon=0.0).score == 1.0


def test_the_live_pages_player_wins_however_often_it_looks(run: Path) -> None:
    player, looked = LivePlayer(run), []
    player.epsilon = 0.0
    assert player.look_for_policy()
    for _ in range(5 * LENGTH):
        for _ in range(2):
            player.decide()
            looked.append(player.moment()[0]["q"])
        assert len(player.saliency("gradient")[0]["numbers"]) == 3
        player.act()
    games = player.moment()[0]["games"]
    player.close()
    assert [game["score"] for game in games] == [1.0] * 5
    assert looked[::2] == looked[1::2]


def test_eval_of_the_command_line_wins_and_an_export_as_a_program_is_refused_in_one_line(
    run: Path, agent: Agent, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(run), "--episodes", "40", "--epsilon", "0", "--threads", "1", "--out", "eval.json"]) == 0
    assert '"mean": 1.0' in Path("eval.json").read_text()
    capsys.readouterr()
    assert main(["export", str(run), "--onnx", "--output", "export", "--no-video", "--episodes", "2"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "this policy has a memory (lstm): its Q-values are no function of one state" in lines[-1]
    assert not Path("export").exists()
    with pytest.raises(UserError, match="leave out --onnx, --torch-export and --torchscript"):
        Program(agent)


def test_a_player_of_atari_begins_anew_after_a_lost_life_as_training_does() -> None:
    """Frame by frame in ale-py's own environment it remembers what it does in pixelq's, with FIRE after lost lives."""
    gymnasium.register_envs(ale_py)
    small = {"channels": (4, 4, 4), "hidden": (16,), "units": 4, "noop_max": 0, "screen_size": 44}
    config = configure("breakout", "cleanrl-pqn-lstm", {"torso": "plain", **small})
    envs = pixelq.make_envs(config, num_envs=1, seed=5)
    observations, _ = envs.reset()
    space: Any = envs.single_observation_space
    network = build_network(config, space, 4, torch.Generator().manual_seed(1))
    agent = Agent(network, config, torch.device("cpu"))
    own, actions, lives = [], [], 0
    for _ in range(100):
        chosen = agent.act(observations)
        own.append(agent.acting.recurrent_state.clone())
        observations, _, terminated, truncated, info = envs.step(chosen)
        actions.append(int(info["action"][0]))
        lives += int(info["life_lost"][0])
        agent.reset(terminated | truncated | info["life_lost"])
    envs.close()
    assert lives >= 2

    env = gymnasium.make("ALE/Breakout-v5", frameskip=1, repeat_action_probability=0.0)
    player, found = agent.player(env), []
    observation, info = env.reset(seed=0)
    player.reset()
    with pytest.raises(UserError, match="begins anew after a lost life: call player"):
        player.act(observation)
    done = []
    for frame in range(1 + 4 * 100):
        done.append(int(player.act(observation, info)))
        if frame % 4 == 1:
            found.append(player._acting.recurrent_state.clone())
        observation, _, _, _, info = env.step(done[-1])
    env.close()
    assert done[1::4] == actions
    assert all(torch.equal(a, b) for a, b in zip(found, own, strict=True))
