"""What a recipe's header says of differences from its source, where the same difference is in several recipes."""

import re
import tomllib
from pathlib import Path

import pytest

import pixelq

FOLDER = Path(pixelq.__file__).parent / "recipes"
TEXTS = {file.stem: file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.toml"))}


def header(name: str) -> str:
    """A recipe's comments before its first field, in one line."""
    lines = TEXTS[name].partition("\n\n")[0].splitlines()
    return " ".join(" ".join(line.lstrip("#") for line in lines).split())


def complete(name: str) -> bool:
    """Whether the header says which differences there are."""
    return bool(re.search(r"[Dd]ifferences? (between them|that remains?)", header(name)))


SAMPLED = [name for name, text in TEXTS.items() if tomllib.loads(text).get("head") == "implicit_quantile"]
WRAPPED = [
    name
    for name, text in TEXTS.items()
    if re.search(r"^life_loss_ends_target = true .*(EpisodicLifeEnv|episodic_life)", text, re.M) and complete(name)
]
"""Their sources' wrappers end a life only while others are left."""


@pytest.mark.parametrize("name", SAMPLED)
def test_a_recipe_of_sampled_fractions_says_which_test_games_have(name: str) -> None:
    assert re.search(r"middles|midpoints", header(name))


@pytest.mark.parametrize("name", WRAPPED)
def test_a_recipe_from_wrappers_says_what_a_last_life_is_there(name: str) -> None:
    assert re.search(r"A life whose loss leaves none while the game goes on .* ends nothing", header(name))


@pytest.mark.parametrize("name", [name for name in TEXTS if re.search(r"NoopResetEnv", TEXTS[name]) and complete(name)])
def test_a_recipe_from_wrappers_says_how_many_no_ops_begin_a_game_there(name: str) -> None:
    assert "1 to 30 no-op frames" in header(name)


def test_there_are_such_recipes() -> None:
    assert {"btr", "dopamine-iqn", "iqn", "m-iqn", "minatar-iqn"} <= {*SAMPLED}
    assert {"cleanrl", "cleanrl-pqn", "pqn", "stream-q"} <= {*WRAPPED}


def test_a_recipe_cites_no_name_of_another_replay_than_its_source_has() -> None:
    """Dopamine's agents in JAX have `ReplayBuffer`; `OutOfGraphReplayBuffer` is its TensorFlow agents'."""
    assert "dopamine/jax" in header("dopamine")
    assert "OutOfGraph" not in TEXTS["dopamine"]
