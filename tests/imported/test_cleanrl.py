"""CleanRL's models: two committed files that its scripts wrote, and its networks rebuilt of torch's modules."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foreign_files import C51, DQN, mlp, nature, states_of
from pixelq.errors import UserError
from pixelq.imported.cleanrl import import_cleanrl
from pixelq.imported.policy import Imported


def imported(path: Path, game: str | None = None, **others: Any) -> Imported:
    return import_cleanrl(path, game, **{"keywords": {}, "frame_skip": None, "sticky_actions": None} | others)


class Named(nn.Module):
    """A module with the parts that are given."""

    def __init__(self, **parts: nn.Module | Tensor) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, Tensor):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)


class Noisy(nn.Module):
    """A noisy layer's parameters as rainbow_atari.py names them; it acts by their means."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight_mu, self.weight_sigma = (nn.Parameter(torch.randn(outputs, inputs) * 0.02) for _ in range(2))
        self.bias_mu, self.bias_sigma = (nn.Parameter(torch.randn(outputs)) for _ in range(2))
        self.register_buffer("weight_epsilon", torch.randn(outputs, inputs))
        self.register_buffer("bias_epsilon", torch.randn(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_mu, self.bias_mu)


def rainbow(actions: int) -> tuple[nn.Module, Any]:
    atoms = 7
    heads = {
        name: nn.Sequential(Noisy(3136, 16), nn.ReLU(), Noisy(16, outputs))
        for name, outputs in (("value_head", atoms), ("advantage_head", atoms * actions))
    }
    module = Named(support=torch.linspace(-3, 3, atoms), network=nn.Sequential(*nature(4)[:7]), **heads)

    def q(x: Tensor) -> Tensor:
        h: Any = module.network(x / 255.0)  # type: ignore[operator]
        value = module.value_head(h).view(-1, 1, atoms)  # type: ignore[operator]
        advantage = module.advantage_head(h).view(-1, actions, atoms)  # type: ignore[operator]
        logits = value + advantage - advantage.mean(dim=1, keepdim=True)
        return (logits.softmax(dim=2) * module.support).sum(dim=2)

    return module, q


def with_norms() -> nn.Sequential:
    """pqn_atari_envpool.py's network, with norms that are not those it starts with."""
    plain = nature(4)
    norms = [nn.LayerNorm([32, 20, 20]), nn.LayerNorm([64, 9, 9]), nn.LayerNorm([64, 7, 7]), nn.LayerNorm(512)]
    for norm in norms:
        nn.init.normal_(norm.weight, 1.0, 0.1)
        nn.init.normal_(norm.bias, 0.0, 0.1)
    return nn.Sequential(
        *plain[:1], norms[0], *plain[1:3], norms[1], *plain[3:5], norms[2], *plain[5:8], norms[3], nn.ReLU(),
        nn.Linear(512, 6),
    )  # fmt: skip


class Block(nn.Module):
    """x + convolution(relu(convolution(relu(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv1(F.relu(self.conv0(F.relu(x))))


class Stack(nn.Module):
    """A convolution, max-pooling, two blocks."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, 3, padding=1)
        self.res_block0, self.res_block1 = Block(channels), Block(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.res_block1(self.res_block0(F.max_pool2d(self.conv(x), 3, stride=2, padding=1)))


def impala() -> nn.Sequential:
    stacks = [Stack(4, 16), Stack(16, 32), Stack(32, 32)]
    return nn.Sequential(*stacks, nn.Flatten(), nn.ReLU(), nn.Linear(32 * 11 * 11, 256), nn.ReLU(), nn.Linear(256, 6))


def saved(path: Path, weights: Any, args: dict[str, Any] | None = None) -> Path:
    torch.save(weights if args is None else {"model_weights": weights, "args": args}, path)
    return path


def scaled(network: nn.Module) -> Any:
    return lambda x: network(x / 255.0)


def distribution(network: nn.Module, atoms: Tensor, actions: int) -> Any:
    def q(x: Tensor) -> Tensor:
        logits = network(x).view(len(x), actions, len(atoms))
        return (logits.softmax(dim=2) * atoms).sum(dim=2)

    return q


class Recurrent(nn.Module):
    """pqn_atari_envpool_lstm.py's network; asked for states that begin a life."""

    def __init__(self) -> None:
        super().__init__()
        whole = with_norms()
        self.network = nn.Sequential(nn.Conv2d(1, 32, 8, stride=4), *whole[1:-1])
        self.lstm, self.q_func = nn.LSTM(512, 24), nn.Linear(24, 6)

    def forward(self, x: Tensor) -> Tensor:
        q: Tensor = self.q_func(self.lstm(self.network(x / 255.0)[None])[0][0])
        return q


def pqn_vectors() -> nn.Sequential:
    layers = [nn.Linear(4, 12), nn.LayerNorm(12), nn.ReLU(), nn.Linear(12, 8), nn.LayerNorm(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(8, 2))


def case(name: str) -> tuple[nn.Module, Any, str]:
    """A network under CleanRL's names, its Q-values of states, and a game that it plays."""
    torch.manual_seed(0)
    if name == "rainbow":
        module, q = rainbow(6)
        return module, q, "pong"
    if name == "c51":
        net, atoms = mlp(4, 12, 8, 2 * 11), torch.linspace(-100, 100, 11)
        return Named(atoms=atoms, network=net), distribution(net, atoms, 2), "CartPole-v1"
    if name == "c51_atari":
        net, atoms = nn.Sequential(*nature(4), nn.Linear(512, 6 * 5)), torch.linspace(-10, 10, 5)
        return Named(atoms=atoms, network=net), lambda x: distribution(net, atoms, 6)(x / 255.0), "pong"
    if name in ("dqn", "pqn"):
        net = mlp(4, 12, 8, 2) if name == "dqn" else pqn_vectors()
        return Named(network=net), net, "CartPole-v1"
    if name == "pqn_atari_lstm":
        recurrent = Recurrent()
        return recurrent, recurrent, "pong"
    nets = {
        "dqn_atari": lambda: nn.Sequential(*nature(4), nn.Linear(512, 6)),
        "pqn_atari": with_norms,
        "qdagger": impala,
    }
    net = nets[name]()
    return Named(network=net), scaled(net), "pong"


RECIPES = {
    "dqn": "cleanrl",
    "c51": "cleanrl-c51",
    "pqn": "cleanrl-pqn",
    "rainbow": "cleanrl-rainbow",
    "qdagger": "cleanrl",
    "pqn_atari_lstm": "cleanrl-pqn-lstm",
}
NAMES = ("dqn", "c51", "pqn", "dqn_atari", "c51_atari", "pqn_atari", "pqn_atari_lstm", "rainbow", "qdagger")


@pytest.mark.parametrize("name", NAMES)
def test_q_values_are_those_of_the_network_in_the_file(name: str, tmp_path: Path) -> None:
    module, q, game = case(name)
    found = imported(saved(tmp_path / "m.cleanrl_model", module.state_dict()), game)
    agent = found.agent()
    states = states_of(agent, 8)
    with torch.inference_mode():
        expected = q(torch.from_numpy(states).float().flatten(0, 1) if states.ndim == 3 else torch.from_numpy(states))
    np.testing.assert_allclose(agent.q_values(states), expected, atol=1e-5, rtol=1e-5)
    assert found.config.recipe == RECIPES[name.removesuffix("_atari")]
    assert name in found.words[0]


def test_a_file_of_the_real_dqn_script() -> None:
    weights: dict[str, Tensor] = torch.load(DQN, weights_only=True)
    theirs = mlp(4, 120, 84, 2)
    theirs.load_state_dict({name.removeprefix("network."): value for name, value in weights.items()})
    found = imported(DQN, "CartPole-v1")
    states = states_of(found.agent(), 64)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(states[:, 0])).numpy()
    assert expected.std() > 1  # a trained network
    np.testing.assert_allclose(found.agent().q_values(states), expected, atol=1e-5, rtol=1e-5)
    config = found.config
    assert (config.learning_rate, config.batch_size, config.train_every, config.target_every) == (2.5e-4, 128, 10, 500)


def test_a_file_of_the_real_c51_script_names_its_game_and_options() -> None:
    content = torch.load(C51, weights_only=True)
    weights, args = content["model_weights"], content["args"]
    theirs = mlp(4, 120, 84, 2 * 11)
    theirs.load_state_dict({n.removeprefix("network."): v for n, v in weights.items() if n != "atoms"})
    found = imported(C51)
    agent = found.agent()
    states = states_of(agent, 64)
    with torch.inference_mode():
        expected = distribution(theirs, weights["atoms"], 2)(torch.from_numpy(states[:, 0])).numpy()
    np.testing.assert_allclose(agent.q_values(states), expected, atol=1e-5, rtol=1e-5)
    config = found.config
    assert (args["env_id"], args["total_timesteps"]) == (config.game, config.steps)
    assert (args["learning_starts"], args["buffer_size"]) == (config.replay_start, config.replay_capacity)
    assert config.epsilon_steps == args["exploration_fraction"] * args["total_timesteps"]
    assert config.head_options == {"atoms": 11, "v_min": -100.0, "v_max": 100.0, "ends": "atoms"}
    assert config.optimizer_eps == 0.01 / args["batch_size"]


def test_a_compiled_networks_names_are_read(tmp_path: Path) -> None:
    weights = {f"_orig_mod.network.{n}": v for n, v in mlp(4, 8, 2).state_dict().items()}
    assert imported(saved(tmp_path / "m", weights), "CartPole-v1").config.torso_options["hidden"] == (8,)


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("ppo", {"actor.0.weight": torch.zeros(2, 4)}, "PPO"),
        ("lstm", {"lstm.weight_ih_l0": torch.zeros(2, 4)}, "recurrent"),
        ("ddpg", {"fc1.weight": torch.zeros(2, 4)}, "continuous"),
        ("other", {"layers.0.weight": torch.zeros(2, 4)}, "no network that pixelq recognises"),
        ("dropout", {"network.0.weight": torch.zeros(8, 4), "network.0.bias": torch.zeros(8),
                     "network.3.weight": torch.zeros(2, 8), "network.3.bias": torch.zeros(2)}, "0, 3"),
        ("no bias", {"network.0.weight": torch.zeros(2, 4)}, "no bias"),
        ("chain", {"network.0.weight": torch.zeros(8, 4), "network.0.bias": torch.zeros(8),
                   "network.2.weight": torch.zeros(2, 9), "network.2.bias": torch.zeros(2)}, "reads 9 numbers"),
        ("kernels", {"network.0.weight": torch.zeros(8, 4, 5, 5), "network.0.bias": torch.zeros(8),
                     "network.3.weight": torch.zeros(2, 9), "network.3.bias": torch.zeros(2)}, "5x5"),
        ("atoms", {"atoms": torch.tensor([0.0, 1.0, 5.0]), **Named(network=mlp(4, 6)).state_dict()}, "evenly"),
        ("outputs", {"atoms": torch.linspace(0, 1, 4), **Named(network=mlp(4, 6)).state_dict()}, "6 outputs"),
        ("rainbow", {"support": torch.linspace(0, 1, 3), "value_head.0.weight_mu": torch.zeros(2, 4)}, "rainbow"),
        ("impala", {"network.0.conv.weight": torch.zeros(2, 4, 3, 3)}, "missing"),
        ("nothing", {"atoms": torch.linspace(0, 1, 3)}, "no network"),
    ],
)  # fmt: skip
def test_other_networks_are_refused_with_the_reason(
    name: str, weights: dict[str, Tensor], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        imported(saved(tmp_path / "m", OrderedDict(weights)), "CartPole-v1")


def test_the_game_is_asked_for_by_what_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "CartPole-v1__dqn__1__1700000000"
    folder.mkdir()
    path = saved(folder / "dqn.cleanrl_model", Named(network=mlp(4, 8, 2)).state_dict())
    with pytest.raises(UserError, match=r"4 numbers and 2 actions.* --game CartPole-v1"):
        imported(path)


def test_a_replay_that_ours_cannot_be_is_the_nearest_and_said(tmp_path: Path) -> None:
    args = {"env_id": "CartPole-v1", "buffer_size": 50, "learning_starts": 900, "batch_size": 60, "seed": 2**31 + 5}
    found = imported(saved(tmp_path / "m", Named(network=mlp(4, 8, 2)).state_dict(), args))
    config = found.config
    assert (config.replay_capacity, config.replay_start, config.batch_size, config.seed) == (60, 60, 60, 5)
    assert "replay_capacity would be 50, and is 60" in " ".join(found.words)


def test_a_game_that_a_file_names_is_no_module_to_import(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", Named(network=mlp(4, 8, 2)).state_dict(), {"env_id": "antigravity:Game-v0"})
    with pytest.raises(UserError, match="not which game"):
        imported(path)
