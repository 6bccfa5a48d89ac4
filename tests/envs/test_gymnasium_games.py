"""Ids of Gymnasium environments: which are found, which are refused, and which modules are imported."""

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from pixelq.cli import main
from pixelq.envs import GymnasiumGame, resolve_game
from pixelq.envs.games import full_name
from pixelq.envs.gymnasium_games import WELL_KNOWN, extra_of, import_module_of, make_environment, missing_package
from pixelq.errors import UserError
from pixelq.recipes.choice import configure


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("CartPole-v1", "CartPole"),
        (" CartPole-v1 ", "CartPole"),
        ("CartPole-v0", "CartPole"),
        ("LunarLander-v3", "LunarLander"),
        ("FrozenLake8x8-v1", "FrozenLake8x8"),
        ("MinAtar/Breakout-v1", "MinAtar Breakout"),
        ("MiniGrid-Empty-5x5-v0", "MiniGrid-Empty-5x5"),
        ("Blackjack-v1", "Blackjack"),  # also the name of a ROM: a registered id comes first
    ],
)
def test_an_id_means_the_environment_gymnasium_has_under_it(name: str, title: str) -> None:
    game = resolve_game(name)
    assert isinstance(game, GymnasiumGame)
    assert (game.id, game.name, game.title) == (name.strip(), name.strip(), title)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("CartPole", "CartPole-v1"),
        (" FrozenLake ", "FrozenLake-v1"),
        ("MinAtar/Breakout", "MinAtar/Breakout-v1"),
        ("MiniGrid-Empty-5x5", "MiniGrid-Empty-5x5-v0"),
        ("ALE/Pong", "ALE/Pong-v5"),
        ("PongNoFrameskip", "PongNoFrameskip-v4"),
        ("pong", "pong"),
        ("Blackjack", "Blackjack"),  # the ROM's bare name
        ("CartPole-v0", "CartPole-v0"),
        ("not_imported:Game", "not_imported:Game"),
    ],
)
def test_an_id_without_a_version_is_recorded_as_the_newest_that_gymnasium_has(name: str, full: str) -> None:
    assert full_name(name) == full
    if ":" not in name:
        assert resolve_game(name) == resolve_game(full)
        assert full in gymnasium.registry or name == full


def test_a_configuration_names_the_version() -> None:
    assert configure("CartPole").game == "CartPole-v1"
    config = configure("ALE/Pong")
    assert (config.game, config.sticky_actions) == ("ALE/Pong-v5", 0.25)


def test_an_id_of_ones_own_is_listed_and_the_packages_are_not(
    a_module: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = gymnasium.envs.registration.EnvSpec("Mine/Pong-v3", "ale_py.env:AtariEnv", kwargs={"game": "pong"})
    monkeypatch.setitem(gymnasium.registry, "Mine/Pong-v3", own)
    (a_module / "my_maze.py").write_text(
        "import gymnasium\nclass Maze(gymnasium.Env): pass\ngymnasium.register('Maze-v0', entry_point=Maze)\n"
    )
    assert main(["--import", "my_maze", "list", "games"]) == 0
    listed = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]
    assert {"Maze-v0", "Mine/Pong-v3", "ALE/Pong-v5", "CartPole-v1"} <= set(listed)
    assert len(listed) == len(set(listed))
    assert not {"PongNoFrameskip-v4", "Pong-v0"} & set(listed)
    assert resolve_game("Mine/Pong-v3") == GymnasiumGame("Mine/Pong-v3")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CartPol-v1", ["unknown game 'CartPol-v1'", "did you mean CartPole-v1?"]),
        ("cartpole-v1", ["did you mean CartPole-v1?"]),
        ("cartpole", ["did you mean CartPole-v1?"]),
        ("lunar-lander", ["did you mean LunarLander-v3?"]),
        ("CartPole-v999", ["unknown game", "CartPole-v0 and CartPole-v1"]),
        ("LunarLander-v2", ["this Gymnasium has LunarLander-v3"]),
        ("MinAtar/Brekout-v1", ["did you mean MinAtar/Breakout-v1"]),
        ("MiniGrid-Emty-5x5-v0", ["MiniGrid-Empty-5x5-v0"]),
        ("foo/Bar-v1", ["unknown game 'foo/Bar-v1'; see `pixelq list games`"]),
        ("GymV26Environment-v0", ["unknown game"]),
        ("os:Foo-v0", ["unknown game 'os:Foo-v0'"]),
    ],
)
def test_a_bad_id_is_refused_in_one_line_that_says_what_to_do(name: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        resolve_game(name)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("name", [name for name in WELL_KNOWN if name != "CarRacing-v3"])
def test_every_id_of_the_list_has_discrete_actions(name: str) -> None:
    game = resolve_game(name)
    assert isinstance(game, GymnasiumGame)
    env = make_environment(game)
    assert isinstance(env.action_space, gymnasium.spaces.Discrete)
    env.close()


# --- whose code -----------------------------------------------------------------------------------------------------

MAZE = """
import gymnasium
from pathlib import Path

Path("was_here").touch()
gymnasium.register("Maze-v0", entry_point="gymnasium.envs.classic_control.cartpole:CartPoleEnv")
"""


@pytest.fixture
def a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module `my_maze` in the current folder, which registers Maze-v0 and shows when it is run; removed later."""
    (tmp_path / "my_maze.py").write_text(MAZE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_maze", None)
    gymnasium.registry.pop("Maze-v0", None)


def test_a_module_that_was_not_named_by_the_person_is_never_imported(a_module: Path) -> None:
    with pytest.raises(UserError, match="pixelq --import my_maze"):
        resolve_game("my_maze:Maze-v0")
    assert not (a_module / "was_here").exists()


def test_the_module_of_a_typed_name_is_imported_and_the_game_found(a_module: Path) -> None:
    path = list(sys.path)
    import_module_of("my_maze:Maze-v0")
    assert sys.path == path
    assert resolve_game("my_maze:Maze-v0") == resolve_game("Maze-v0") == GymnasiumGame("Maze-v0")


@pytest.mark.parametrize(
    ("text", "words"),
    [("raise ValueError('no')", "ValueError: no"), ("import nothing_of_the_kind", "nothing_of_the_kind")],
)
def test_a_module_that_fails_is_one_line(a_module: Path, text: str, words: str) -> None:
    (a_module / "my_maze.py").write_text(text)
    with pytest.raises(UserError, match=words):
        import_module_of("my_maze:Maze-v0")


def test_the_option_import_lets_a_command_read_a_run_of_ones_own_game(
    a_module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = a_module / "stranger.toml"
    recipe.write_text('base = "cleanrl"\ngame = "my_maze:Maze-v0"\n')
    assert main(["train", "--recipe", str(recipe)]) == 2
    assert "--import my_maze" in capsys.readouterr().err
    assert not (a_module / "was_here").exists()
    assert main(["--import", "my_maze", "train", "--recipe", str(recipe), "--steps", "0"]) == 2
    assert "steps = 0 is out of range" in capsys.readouterr().err
    assert (a_module / "was_here").exists()


# --- what is missing ------------------------------------------------------------------------------------------------


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let `import package` fail, as on a machine without it; also for what has been imported."""
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.parametrize(
    ("package", "name", "fix"),
    [
        ("minatar", "MinAtar/Breakout-v1", "python -m pip install 'pixelq[minatar]'"),
        ("minigrid", "MiniGrid-Empty-5x5-v0", "python -m pip install 'pixelq[minigrid]'"),
        ("minigrid", "BabyAI-GoToObj-v0", "python -m pip install 'pixelq[minigrid]'"),
    ],
)
def test_an_extra_that_is_not_installed_names_the_command(
    monkeypatch: pytest.MonkeyPatch, package: str, name: str, fix: str
) -> None:
    without(monkeypatch, package)
    with pytest.raises(UserError) as caught:
        resolve_game(name)
    assert fix in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_box2d_names_the_command() -> None:
    code = """
        import sys
        sys.modules["Box2D"] = None
        from pixelq.cli import main
        sys.exit(main(["train", "LunarLander-v3", "--run-dir", "never"]))
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "python -m pip install 'pixelq[box2d]'" in ran.stderr


def test_what_a_users_own_environment_lacks_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gymnasium.registry, "Odd-v0", gymnasium.envs.registration.EnvSpec("Odd-v0", "not_there:Odd"))
    with pytest.raises(UserError, match=r"game Odd-v0: .*No module named 'not_there'"):
        make_environment(GymnasiumGame("Odd-v0"))


def test_extras_are_named_for_the_ids_that_need_them() -> None:
    assert extra_of("LunarLander-v3") == "pixelq[box2d]"
    assert extra_of("MinAtar/Freeway-v1") == "pixelq[minatar]"
    assert extra_of("CartPole-v1") == ""
    drawing = missing_package(GymnasiumGame("CartPole-v1"), ImportError("pygame"))
    assert "pixelq[classic-control]" in str(drawing)
