import shutil
import subprocess
import sys
from pathlib import Path

import ale_py.roms
import gymnasium
import pytest

from pixelq.envs import list_games, resolve_game, rom_file
from pixelq.errors import UserError


@pytest.mark.parametrize(
    ("name", "rom", "sticky"),
    [
        ("pong", "pong", None),
        ("Pong", "pong", None),
        (" pong ", "pong", None),
        ("MsPacman", "ms_pacman", None),
        ("ms_pacman", "ms_pacman", None),
        ("Ms-Pacman", "ms_pacman", None),
        ("ms pacman", "ms_pacman", None),
        ("UpNDown", "up_n_down", None),
        ("TicTacToe3D", "tic_tac_toe_3d", None),
        ("ALE/Pong-v5", "pong", 0.25),
        ("ALE/MsPacman-v5", "ms_pacman", 0.25),
        ("PongNoFrameskip-v4", "pong", 0.0),
        ("MsPacmanNoFrameskip-v4", "ms_pacman", 0.0),
        ("PongNoFrameskip-v0", "pong", 0.25),
    ],
)
def test_a_name_or_an_id_means_its_game(name, rom, sticky):
    game = resolve_game(name)
    assert (game.rom, game.sticky_actions) == (rom, sticky)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pogn", ["did you mean pong", "pixelq list games"]),
        ("breakuot", ["did you mean breakout"]),
        ("zzzzqqq", ["unknown game", "pixelq list games"]),
        ("", ["unknown game"]),
        ("ALE/Pogn-v5", ["'ALE/Pogn-v5'", "did you mean pong"]),
        ("ALE/Pong-v4", ["no such Gymnasium id", "ALE/Pong-v5"]),
        ("Pong-v5", ["no such Gymnasium id", "ALE/Pong-v5"]),
        ("PongDeterministic-v4", ["no such Gymnasium id", "PongNoFrameskip-v4"]),
        ("Pong-v4", ["random", "PongNoFrameskip-v4"]),
        ("MsPacman-v0", ["random", "MsPacmanNoFrameskip-v0"]),
        ("combat", ["no single-player mode"]),
        ("Joust", ["no single-player mode"]),
        ("ALE/MazeCraze-v5", ["no single-player mode"]),
        ("warlords", ["no single-player mode"]),
        ("../../etc/passwd", ["unknown game"]),
    ],
)
def test_a_bad_name_is_refused_in_one_line_that_says_what_to_do(name, words):
    with pytest.raises(UserError) as caught:
        resolve_game(name)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_the_list_is_every_game_gymnasium_registers_and_each_name_in_it_resolves_to_itself():
    registered = {spec.kwargs["game"] for name, spec in gymnasium.registry.items() if name.startswith("ALE/")}
    games = list_games()
    assert {game.rom for game in games} == registered
    for game in games:
        assert resolve_game(game.rom) == game
        assert resolve_game(game.title) == game
        assert f"ALE/{game.title}-v5" in gymnasium.registry


def test_an_id_has_the_sticky_actions_gymnasium_gives_it():
    for name in ("ALE/Seaquest-v5", "SeaquestNoFrameskip-v4", "SeaquestNoFrameskip-v0"):
        spec = gymnasium.registry[name]
        assert resolve_game(name).sticky_actions == spec.kwargs["repeat_action_probability"]


def test_every_rom_of_the_list_is_there_and_undamaged():
    for game in list_games():
        assert rom_file(game.rom).is_file()


@pytest.fixture
def rom_folder(tmp_path, monkeypatch):
    shutil.copy(Path(ale_py.roms.__file__).parent / "pong.bin", tmp_path)
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    return tmp_path


def test_a_missing_rom_names_the_file_the_reason_and_how_to_fix_it(rom_folder):
    with pytest.raises(UserError, match=r"breakout\.bin: the file is missing.*ALE_ROMS_DIR"):
        rom_file("breakout")


def test_a_damaged_rom_is_refused(rom_folder):
    data = bytearray((rom_folder / "pong.bin").read_bytes())
    data[100] ^= 1
    (rom_folder / "pong.bin").write_bytes(data)
    with pytest.raises(UserError, match=r"pong\.bin: its checksum is wrong"):
        rom_file("pong")


def test_a_missing_rom_folder_is_named(monkeypatch):
    monkeypatch.setenv("ALE_ROMS_DIR", "/nonexistent/roms")
    with pytest.raises(UserError, match=r"/nonexistent/roms/pong\.bin: its folder does not exist"):
        rom_file("pong")


def test_a_missing_rom_of_the_package_is_fixed_by_installing_it_again(tmp_path, monkeypatch):
    for file in Path(ale_py.roms.__file__).parent.glob("*.json"):
        shutil.copy(file, tmp_path)
    monkeypatch.delenv("ALE_ROMS_DIR", raising=False)
    monkeypatch.setattr(ale_py.roms, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(UserError, match=r"pong\.bin: .*python -m pip install --force-reinstall ale-py"):
        rom_file("pong")


def test_stdout_stays_clean_where_ale_py_prints_its_folder(rom_folder, capfd):
    assert rom_file("pong") == rom_folder / "pong.bin"
    assert capfd.readouterr().out == ""


def test_names_can_be_imported_without_loading_the_emulator_or_gymnasium():
    code = "import sys, pixelq.envs.games; print(sorted({'ale_py', 'gymnasium', 'numpy', 'torch'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
