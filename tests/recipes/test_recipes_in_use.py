"""Recipes in use: chosen by the game, played and learned from, built upon, overridden, refused."""

import os
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import pixelq
from pixelq.envs import make_envs
from pixelq.errors import UserError
from pixelq.learner.learner import Learner
from pixelq.networks import build_network
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.values import FIELDS, config_from_values, overridden
from pixelq.replay.batch import Batch
from pixelq.variants import KINDS

FOLDER = Path(pixelq.__file__).parent / "recipes"


FILES = sorted(FOLDER.glob("*.toml"))


ATARI = (4, 84, 84)


OBSERVED: dict[str, tuple[str, tuple[int, ...]]] = {
    "cartpole": ("CartPole-v1", (1, 4)),
    "lunar-lander": ("LunarLander-v3", (1, 8)),
    "acrobot": ("Acrobot-v1", (1, 6)),
    "mountain-car": ("MountainCar-v0", (1, 2)),
    "gymnasium": ("FrozenLake-v1", (1, 16)),
    "minatar": ("MinAtar/Breakout-v1", (1, 10, 10, 4)),
    "car-racing": ("CarRacing-v3", ATARI),
    "gymnasium-pixels": ("Photographed-v0", ATARI),
}
"""What a recipe that is not for Atari is given, and the shape of one state."""


OTHERS = {
    **dict.fromkeys(
        ("minatar-dqn", "minatar-rainbow", "minatar-quantile", "minatar-iqn", "pqn-minatar"),
        ("MinAtar/Breakout-v0", (1, 10, 10, 4)),
    ),
    "stream-q-minatar": ("MinAtar/Breakout-v0", (1, 10, 10, 4)),
    **dict.fromkeys(("cleanrl-pqn-lstm", "drqn"), ("pong", (1, 84, 84))),
}
"""The same, of recipes that no game takes by itself."""


@pytest.mark.usefixtures("_photographed")
@pytest.mark.parametrize("name", OBSERVED)
def test_a_game_takes_the_recipe_that_is_made_for_it_or_for_what_it_shows(name: str) -> None:
    game, _ = OBSERVED[name]
    assert configure(game).recipe == name
    assert configure("pong").recipe == configure("ALE/Pong-v5").recipe == "pong"
    assert configure("breakout").recipe == configure("ALE/MsPacman-v5").recipe == "default"
    assert configure(game, "cleanrl").recipe == "cleanrl"


@pytest.mark.usefixtures("_photographed")
@pytest.mark.parametrize("name", [path.stem for path in FILES])
def test_every_recipe_plays_its_game_and_learns_from_it(name: str) -> None:
    config = read_recipe(name)
    game, shape = (OBSERVED | OTHERS).get(name, (config.game, ATARI))
    config = replace(config, game=game)
    envs = make_envs(config, num_envs=1, seed=1, threads=1)
    states, _ = envs.reset()
    following, rewards, terminated, _, _ = envs.step(np.zeros(1, np.int64))
    network = build_network(
        config, envs.single_observation_space, int(envs.single_action_space.n), torch.Generator().manual_seed(1)
    )
    batch = Batch.unweighted(
        torch.from_numpy(states),
        torch.zeros(1, dtype=torch.int64),
        torch.from_numpy(rewards),
        torch.from_numpy(config.gamma * ~terminated).float(),
        torch.from_numpy(following),
    )
    before = [p.detach().clone() for p in network.parameters()]
    made_by = getattr(KINDS["loop"].find(config.loop), "Learner", Learner)
    made_by(network, config, torch.device("cpu")).update(batch, config.learning_rate)
    assert states.shape == (1, *shape)
    changes = [(p.detach() - old).abs().max().item() for p, old in zip(network.parameters(), before, strict=True)]
    assert 0 < max(changes) < 1
    envs.close()


def test_a_file_of_ones_own_can_build_on_a_shipped_recipe(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "nature2015"\nbatch_size = 64\n')
    assert read_recipe(str(mine)) == replace(read_recipe("nature2015"), batch_size=64, recipe="mine")


@pytest.mark.parametrize("base", ["common.toml", "./common.toml", "../lab/common.toml", "deep/common.toml"])
@pytest.mark.parametrize("at", [".", "lab", ".."])
def test_a_base_is_found_beside_the_recipe_that_names_it_wherever_one_stands(
    base: str, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of recipes with a chain of bases, read from within it, from above it and from beside it."""
    lab = tmp_path / "lab"
    (lab / "deep").mkdir(parents=True)
    (lab / "mine.toml").write_text(f"base = {base!r}\ntrain_every = 2\n")
    (lab / base).write_text('base = "root.toml"\nbatch_size = 64\n')
    (lab / base).with_name("root.toml").write_text('base = "nature2015"\ngamma = 0.9\n')
    here = (tmp_path / at).resolve()
    monkeypatch.chdir(here)
    expected = replace(read_recipe("nature2015"), gamma=0.9, batch_size=64, train_every=2, recipe="mine")
    for name in (str(lab / "mine.toml"), os.path.relpath(lab / "mine.toml", here)):
        assert read_recipe(name) == expected


def test_a_base_in_the_current_folder_is_found_if_there_is_none_beside_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    monkeypatch.chdir(tmp_path)
    Path("lab/mine.toml").write_text('base = "common.toml"\n')
    Path("common.toml").write_text('base = "nature2015"\nbatch_size = 64\n')
    assert read_recipe("lab/mine.toml").batch_size == 64
    Path("lab/common.toml").write_text('base = "nature2015"\nbatch_size = 128\n')
    assert read_recipe("lab/mine.toml").batch_size == 128


@pytest.mark.parametrize("base", ["common.toml", r"a\u0000b.toml", r"a\nb.toml", "long" * 100 + ".toml"])
def test_a_base_that_is_nowhere_is_one_line_that_says_where_it_was_looked_for(base: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'base = "{base}"\n')
    with pytest.raises(UserError, match=r"mine\.toml: there is no base ") as caught:
        read_recipe(str(file))
    assert str(tmp_path) in str(caught.value).partition("there is no base")[2]
    assert "\n" not in str(caught.value)


def test_bases_in_a_circle_are_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(f"base = {str(second)!r}\n")
    second.write_text(f"base = {str(first)!r}\n")
    with pytest.raises(UserError, match="circle"):
        read_recipe(str(first))


class Photographed(gymnasium.Env[Any, Any]):
    """A camera's pictures."""

    observation_space = gymnasium.spaces.Box(0, 255, (120, 160, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self.np_random.integers(0, 256, (120, 160, 3), np.uint8), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return self.np_random.integers(0, 256, (120, 160, 3), np.uint8), 1.0, False, False, {}


@pytest.fixture
def _photographed(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = gymnasium.envs.registration.EnvSpec("Photographed-v0", Photographed)
    monkeypatch.setitem(gymnasium.registry, "Photographed-v0", spec)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "nature2014"', "unknown recipe 'nature2014'; did you mean nature2015"),
        ("base = 2015", "base must name another recipe"),
        ("batchsize = 64", "unknown field 'batchsize'; did you mean batch_size"),
        ('batch_size = "64"', "must be a whole number"),
        ("batch_size = ", "not valid TOML"),
    ],
)
def test_a_bad_recipe_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text + "\n")
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_recipe(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nature", "", "../recipes/nature2015", "nature2015.toml", "NATURE2015"])
def test_a_recipe_that_is_not_there_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        read_recipe(name)
    assert "\n" not in str(caught.value)


def test_every_field_can_be_overridden() -> None:
    config = read_recipe("nature2015")
    other: dict[str, Any] = {"int": 7, "float": 0.5, "float | None": 0.5, "str": "dqn", "dict[str, Any]": {"x": 7}}
    other["tuple[str, ...]"] = ("a:B", "c:D")
    for name, field in FIELDS.items():
        kind = str(field.type)
        choices = re.findall(r"['\"]([\w-]+)['\"]", kind)
        value = choices[-1] if choices else (not getattr(config, name) if kind == "bool" else other[kind])
        changed = config_from_values(asdict(config) | {name: value}, where="override")
        assert getattr(changed, name) == value
        assert replace(changed, **{name: getattr(config, name)}) == config
        again = overridden(config, {name: value})
        assert getattr(again, name) == (getattr(config, name) | value if isinstance(value, dict) else value)


def test_every_option_can_be_overridden_with_its_table_and_without() -> None:
    config = configure("pong")
    assert config.loss_options == {"error": "squared", "trace_lambda": 0.95}
    for option, value in {"error": "huber", "trace_lambda": 0.5}.items():
        for overrides in ({option: value}, {"loss_options": {option: value}}):
            changed = configure("pong", overrides=overrides)
            assert changed == replace(config, loss_options=config.loss_options | {option: value})
