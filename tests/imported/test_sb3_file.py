"""A model of Stable-Baselines3, read without that package: a committed file that its DQN wrote, and variants of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

import pixelq
from foreign_files import SB3, Marks, mlp, pickled, sb3_copy, sb3_weights, states_of
from pixelq.errors import UserError
from pixelq.imported.policy import Imported, write
from pixelq.imported.sb3 import import_sb3


def imported(path: Path, game: str = "CartPole-v1", **others: Any) -> Imported:
    return import_sb3(path, game, **{"keywords": {}, "frame_skip": None, "sticky_actions": None} | others)


def q_net(weights: dict[str, Tensor], prefix: str, network: nn.Module) -> nn.Module:
    """The network in torch's own modules with their weights."""
    network.load_state_dict({n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)})
    return network


def test_its_q_values_are_those_of_the_network_in_the_file() -> None:
    agent = imported(SB3).agent()
    states = states_of(agent, 64)
    theirs = q_net(sb3_weights(), "q_net.q_net.", mlp(4, 16, 16, 2))
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(states[:, 0])).numpy()
    assert expected.std() > 1  # a trained network
    np.testing.assert_allclose(agent.q_values(states), expected, atol=1e-5, rtol=1e-5)


def test_what_the_training_was_told_stands_in_the_configuration() -> None:
    config = imported(SB3).config
    said = {
        "game": "CartPole-v1", "gamma": 0.99, "learning_rate": 2e-3, "batch_size": 64, "replay_capacity": 10_000,
        "replay_start": 500, "target": "hard", "target_every": 100, "train_every": 2, "epsilon_start": 1.0,
        "epsilon_end": 0.04, "epsilon_steps": 2_400, "steps": 8_000, "seed": 2, "optimizer": "adam",
        "gradient_clip": "norm", "gradient_clip_at": 10.0, "loss": "dqn", "loss_options": {"error": "huber"},
        "frame_skip": 1, "frame_stack": 1, "clip_reward": False, "n_step": 1,
    }  # fmt: skip
    assert {name: getattr(config, name) for name in said} == said


def test_the_written_policy_is_loaded_with_the_same_values(tmp_path: Path) -> None:
    found = imported(SB3)
    write(found, tmp_path / "new")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["config.toml", "policy.safetensors"]
    agent: Any = pixelq.load(tmp_path / "new")
    assert agent.config == found.config
    states = states_of(agent)
    assert np.array_equal(agent.q_values(states), found.agent().q_values(states))
    with pytest.raises(UserError, match="is there already"):
        write(found, tmp_path / "new")


@pytest.mark.parametrize("words", ["Tanh", "ELU", "SiLU", "GELU", "LeakyReLU", "ReLU"])
def test_the_activation_is_the_one_that_was_chosen(words: str, tmp_path: Path) -> None:
    path = sb3_copy(tmp_path / "m.zip", lambda data: data["policy_kwargs"].update(
        {":type:": "<class 'dict'>", "activation_fn": f"<class 'torch.nn.modules.activation.{words}'>"}))  # fmt: skip
    agent = imported(path).agent()
    states = states_of(agent)
    theirs = q_net(sb3_weights(), "q_net.q_net.", mlp(4, 16, 16, 2, activation=getattr(nn, words)))
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(states[:, 0])).numpy()
    np.testing.assert_allclose(agent.q_values(states), expected, atol=1e-5, rtol=1e-5)


def quantile_data(data: dict[str, Any]) -> None:
    data["policy_class"]["__module__"] = "sb3_contrib.qrdqn.policies"
    data["max_grad_norm"] = None


def test_quantiles_are_counted_by_action_here_and_by_quantile_there(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = mlp(4, 8, 2 * 5)
    weights = {f"quantile_net.quantile_net.{n}": v for n, v in theirs.state_dict().items()}
    found = imported(sb3_copy(tmp_path / "m.zip", quantile_data, weights))
    agent = found.agent()
    states = states_of(agent)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(states[:, 0])).view(-1, 5, 2)
        ours = agent.network(torch.from_numpy(states))
    np.testing.assert_allclose(ours.transpose(1, 2), expected, atol=1e-6)
    np.testing.assert_allclose(agent.q_values(states), expected.mean(dim=1), atol=1e-6)
    assert found.config.loss == "qr"
    assert found.config.gradient_clip == "none"


@pytest.mark.parametrize(
    ("said", "steps", "envs", "every"),
    [(4, 1, 1, 4), ((4, "step"), 2, 1, 2), ((1, "step"), 1, 8, 8), ((4, "step"), -1, 2, 1), ((1, "episode"), 1, 1, 4),
     ((256, "step"), 128, 1, 2), ((3, "step"), 2, 1, 2), ((300, "step"), 1, 1, 300)],
)  # fmt: skip
def test_updates_are_as_frequent(said: Any, steps: int, envs: int, every: int, tmp_path: Path) -> None:
    pickle = {":type:": "TrainFreq", ":serialized:": pickled(said)}
    options = {"train_freq": pickle if isinstance(said, tuple) else said, "gradient_steps": steps, "n_envs": envs}
    found = imported(sb3_copy(tmp_path / "m.zip", lambda data: data.update(options)))
    assert found.config.train_every == every
    assert found.config.num_envs == envs
    exact = said not in ((1, "episode"), (3, "step"))
    assert exact != any("train_freq" in line or "updates after every" in line for line in found.words)


@pytest.mark.parametrize(
    ("changed", "expected", "word"),
    [
        ({"tau": 0.01}, {"target": "soft", "target_tau": 0.01}, "tau 0.01"),
        ({"learning_rate": {":type:": "<class 'function'>"}}, {"learning_rate": 1e-4}, "is a function"),
        (
            {"learning_rate": {":type:": "<class 'stable_baselines3.common.utils.LinearSchedule'>",
                               "start": 1e-3, "end": 1e-5, "end_fraction": 0.5}},
            {"learning_rate": 1e-3, "learning_rate_end": 1e-5, "learning_rate_steps": 4_000}, "",
        ),
        ({"policy_kwargs": {"optimizer_class": "<class 'torch.optim.adamw.AdamW'>",
                            "optimizer_kwargs": {"eps": 1e-5, "weight_decay": 0.1}}},
         {"optimizer": "adamw", "optimizer_eps": 1e-5, "weight_decay": 0.1}, ""),
        ({"policy_kwargs": {"optimizer_class": "<class 'torch.optim.rmsprop.RMSprop'>"}},
         {"optimizer": "adam"}, "optimizer RMSprop"),
        ({"learning_starts": 0}, {"replay_start": 2}, "replay_start would be 0, and is 2"),
        ({"buffer_size": 1, "batch_size": 32}, {"replay_capacity": 32}, "replay_capacity would be 1, and is 32"),
        ({"learning_starts": 20_000}, {"replay_start": 10_000}, "replay_start would be 20,000"),
        ({"seed": 2**32 - 2}, {"seed": 2**31 - 2}, ""),
        ({"max_grad_norm": float("inf")}, {"gradient_clip": "none"}, ""),
        ({"n_steps": 10, "learning_starts": 0}, {"n_step": 10, "replay_start": 11}, "replay_start would be 0"),
        ({"exploration_fraction": 0.0, "seed": None}, {"epsilon_steps": 1, "seed": 1}, ""),
        ({"n_steps": 3}, {"n_step": 3}, ""),
    ],
)  # fmt: skip
def test_options_of_other_kinds_are_taken_over_or_said(
    changed: dict[str, Any], expected: dict[str, Any], word: str, tmp_path: Path
) -> None:
    found = imported(sb3_copy(tmp_path / "m.zip", lambda data: data.update(changed)))
    assert {name: getattr(found.config, name) for name in expected} == expected
    assert word in " ".join(found.words)
    assert bool(word) == any("other than there" in line for line in found.words)


def cnn_copy(path: Path, shape: tuple[int, int, int] = (4, 36, 36), **kwargs: Any) -> tuple[Path, nn.Module]:
    """A model with a NatureCNN for six actions, and its network in torch's own modules."""
    torch.manual_seed(0)
    cnn = nn.Sequential(nn.Conv2d(shape[0], 32, 8, stride=4), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2), nn.ReLU(),
                        nn.Conv2d(64, 64, 3, stride=1), nn.ReLU(), nn.Flatten())  # fmt: skip
    features = cnn(torch.zeros(1, *shape)).shape[1]
    linear, out = nn.Sequential(nn.Linear(features, 64), nn.ReLU()), nn.Sequential(nn.Linear(64, 6))
    parts = {"features_extractor.cnn": cnn, "features_extractor.linear": linear, "q_net": out}
    weights = {f"q_net.{part}.{name}": v for part, net in parts.items() for name, v in net.state_dict().items()}

    def images(data: dict[str, Any]) -> None:
        data["observation_space"] |= {"dtype": "uint8", "_shape": list(shape), "low": "[[[0 0 ... 0]]]",
                                      "high": "[[[255 ... 255]]]"}  # fmt: skip
        data["action_space"]["n"] = "6"
        data["policy_kwargs"] = kwargs

    return sb3_copy(path, images, weights), nn.Sequential(cnn, linear, out)


@pytest.mark.parametrize("scaled", [True, False])
def test_an_image_network_for_atari_has_the_same_q_values(scaled: bool, tmp_path: Path) -> None:
    path, theirs = cnn_copy(tmp_path / "m.zip", (4, 60, 60), **({} if scaled else {"normalize_images": False}))
    found = imported(path, "PongNoFrameskip-v4")
    agent = found.agent()
    states = states_of(agent)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(states) / (255.0 if scaled else 1.0)).numpy()
    np.testing.assert_allclose(agent.q_values(states), expected, atol=1e-5, rtol=1e-4)
    config = found.config
    assert (config.frame_stack, config.screen_size, config.frame_skip, config.sticky_actions) == (4, 60, 4, 0.0)
    assert config.wrapper_openings
    assert "AtariWrapper is assumed" in " ".join(found.words)


def test_what_the_file_does_not_say_can_be_said(tmp_path: Path) -> None:
    path, _ = cnn_copy(tmp_path / "m.zip")
    assert imported(path, "ALE/Pong-v5").config.sticky_actions == 0.25
    config = imported(path, "pong", frame_skip=3, sticky_actions=0.1).config
    assert (config.frame_skip, config.sticky_actions) == (3, 0.1)


STATES = {":type:": "<class 'gymnasium.spaces.discrete.Discrete'>", "n": "16", "start": "0"}
STACKED = {":type:": "<class 'gymnasium.spaces.box.Box'>", "_shape": [12], "dtype": "float32"}


@pytest.mark.parametrize(
    ("game", "space", "actions", "shape"),
    [("FrozenLake-v1", STATES, 4, (1, 16)), ("CartPole-v1", STACKED, 2, (3, 4))],
)
def test_states_that_are_numbered_and_frames_that_are_stacked(
    game: str, space: dict[str, Any], actions: int, shape: tuple[int, int], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    theirs = mlp(shape[0] * shape[1], 8, actions)
    weights = {f"q_net.q_net.{n}": v for n, v in theirs.state_dict().items()}
    spaces = {"observation_space": space, "action_space": {":type:": "<class 'Discrete'>", "n": actions}}
    agent = imported(sb3_copy(tmp_path / "m.zip", lambda data: data.update(spaces), weights), game).agent()
    states = states_of(agent)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(states).flatten(1)).numpy()
    assert agent.observation_space.shape == shape
    np.testing.assert_allclose(agent.q_values(states), expected, atol=1e-5)


class Pictures(gymnasium.Env[np.ndarray, int]):
    """Colours, 64 x 48."""

    observation_space = Box(0, 255, (64, 48, 3), np.uint8)
    action_space = Discrete(6)  # type: ignore[assignment]


class Bytes(gymnasium.Env[np.ndarray, int]):
    """Twelve numbers from 0 to 200."""

    observation_space = Box(0, 200, (12,), np.uint8)
    action_space = Discrete(2)  # type: ignore[assignment]


@pytest.fixture
def own_games() -> Iterator[None]:
    gymnasium.register("Pictures-v0", Pictures)
    gymnasium.register("Bytes-v0", Bytes)
    yield
    for name in ("Pictures-v0", "Bytes-v0"):
        del gymnasium.registry[name]


@pytest.mark.parametrize(("shape", "ours"), [((6, 64, 48), (2, 64, 48, 3)), ((3, 40, 40), (3, 40, 40))])
def test_pictures_of_gymnasium_are_shown_as_they_are_or_warped(
    shape: tuple[int, int, int], ours: tuple[int, ...], own_games: None, tmp_path: Path
) -> None:
    path, theirs = cnn_copy(tmp_path / "m.zip", shape)
    agent = imported(path, "Pictures-v0").agent()
    states = states_of(agent)
    assert agent.observation_space.shape == ours
    assert agent.config.grayscale == (len(ours) == 3)
    # The newest frame's colours come last, as VecFrameStack has them.
    channels = states.transpose(0, 1, 4, 2, 3).reshape(-1, *shape) if len(ours) == 4 else states
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(channels) / 255.0).numpy()
    np.testing.assert_allclose(agent.q_values(states), expected, atol=1e-5, rtol=1e-4)


def test_bytes_that_are_no_picture_are_numbers_there_and_fractions_here(own_games: None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = mlp(12, 8, 2)
    weights = {f"q_net.q_net.{n}": v for n, v in theirs.state_dict().items()}
    space = {**STACKED, "dtype": "uint8"}
    path = sb3_copy(tmp_path / "m.zip", lambda data: data.update(observation_space=space), weights)
    agent = imported(path, "Bytes-v0").agent()
    given = np.random.default_rng(0).integers(0, 201, (16, 1, 12))
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(given[:, 0]).float()).numpy()
    ours = agent.q_values((given / 200).astype(np.float32))
    np.testing.assert_allclose(ours, expected, atol=1e-4, rtol=1e-5)


def test_the_spaces_of_older_versions_are_read(tmp_path: Path) -> None:
    box = {":type:": "<class 'gym.spaces.box.Box'>", "shape": [4], "dtype": "float32", "low": "[-1 ...]"}
    spaces = {"observation_space": box, "action_space": {":type:": "<class 'gym.spaces.discrete.Discrete'>", "n": 2}}
    found = imported(sb3_copy(tmp_path / "m.zip", lambda data: data.update(spaces)))
    states = states_of(found.agent())
    assert np.array_equal(found.agent().q_values(states), imported(SB3).agent().q_values(states))


def test_no_pickle_in_the_data_is_loaded(tmp_path: Path) -> None:
    marks = pickled(Marks(tmp_path / "ran"))

    def hostile(data: dict[str, Any]) -> None:
        for value in data.values():
            if isinstance(value, dict) and ":serialized:" in value:
                value[":serialized:"] = marks

    found = imported(sb3_copy(tmp_path / "m.zip", hostile))
    assert not (tmp_path / "ran").exists()
    assert "train_freq is in whole episodes, or unknown" in " ".join(found.words)  # it lay in a pickle alone
