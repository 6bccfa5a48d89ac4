"""Keywords of an environment: read from words, TOML and Python, and held to what a configuration can hold."""

import json
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.keywords import checked_keywords, keywords_from_words, words_of
from pixelq.recipes.reading import read_config, read_recipe, write_config
from pixelq.recipes.values import config_from_values

LEAVES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=9)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "id")
NAMES = NAMES.filter(str.isidentifier)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_keywords_come_back_from_a_configuration_as_toml_and_as_json(keywords: dict[str, Any]) -> None:
    config = config_from_values({"env_kwargs": keywords}, where="here")
    assert config.env_kwargs == keywords
    assert tomli_w.dumps({"env_kwargs": config.env_kwargs})
    assert checked_keywords(json.loads(json.dumps(config.env_kwargs)), "there") == keywords


def test_a_configuration_file_holds_them_as_a_table(tmp_path: Any) -> None:
    config = configure("breakout", "cleanrl", {"env_kwargs": {"mode": 4, "difficulty": 1}})
    write_config(config, tmp_path / "config.toml")
    assert "[env_kwargs]\nmode = 4\ndifficulty = 1\n" in (tmp_path / "config.toml").read_text()
    assert read_config(tmp_path / "config.toml") == config


@pytest.mark.parametrize(
    ("words", "keywords"),
    [
        (["mode=4", "difficulty=0"], {"mode": 4, "difficulty": 0}),
        (["is_slippery=False"], {"is_slippery": False}),
        (["is_slippery=true"], {"is_slippery": True}),
        (["map_name=8x8"], {"map_name": "8x8"}),
        (["map_name='8x8'", "gravity=-9.5", "empty="], {"map_name": "8x8", "gravity": -9.5, "empty": ""}),
        (['desc=["SF", "HG"]'], {"desc": ["SF", "HG"]}),
        (["config={lanes = 3}"], {"config": {"lanes": 3}}),
        (["formula=a=b", "day=2024-01-01"], {"formula": "a=b", "day": "2024-01-01"}),
    ],
)
def test_words_are_read_as_toml_or_else_as_texts(words: list[str], keywords: dict[str, Any]) -> None:
    assert keywords_from_words(words) == keywords
    assert keywords_from_words(words_of(keywords_from_words(["mode=4", "map_name=8x8", "slippery=true"]))) == {
        "mode": 4,
        "map_name": "8x8",
        "slippery": True,
    }


@pytest.mark.parametrize(
    ("keywords", "part"),
    [
        ({"render_mode": "human"}, "render_mode is no keyword of an environment; `pixelq record` draws"),
        ({"id": "x"}, "id is no keyword"),
        ({"a b": 1}, "'a b' is no keyword"),
        ({"x": None}, "so that config.toml can hold it"),
        ({"x": {1, 2}}, "so that config.toml can hold it"),
        ({"x": [object()]}, "so that config.toml can hold it"),
        ({"x": float("nan")}, "nan is no number"),
        ({"x": 2**63}, "beyond 64 bits"),
        ({"x": "y" * 70_000}, "letters"),
        ({f"x{i}": 1 for i in range(65)}, "65 keywords"),
        ({"x": "\udcff"}, "env_kwargs.x = '.*' has bytes that are no letters"),
        ({"x": [{"\udcff": 1}]}, "a key = '.*' has bytes that are no letters"),
        ({1: 2}, "must be a table of keywords"),
        ("mode=1", "must be a table of keywords"),
    ],
)
def test_what_no_configuration_can_hold_is_refused(keywords: Any, part: str) -> None:
    with pytest.raises(UserError, match=part):
        configure("breakout", "cleanrl", {"env_kwargs": keywords})


@pytest.mark.parametrize(("words", "part"), [(["mode"], "say key=value"), (["a=1", "a=2"], "a is said twice")])
def test_bad_words_are_refused(words: list[str], part: str) -> None:
    with pytest.raises(UserError, match=part):
        keywords_from_words(words)


def test_a_recipe_may_hold_a_table_which_is_overridden_key_by_key(tmp_path: Any) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('base = "cleanrl"\ngame = "breakout"\n[env_kwargs]\nmode = 4\ndifficulty = 1\n')
    assert read_recipe(str(recipe)).env_kwargs == {"mode": 4, "difficulty": 1}
    over = configure("breakout", str(recipe), {"env_kwargs": {"mode": 8}})
    assert over.env_kwargs == {"mode": 8, "difficulty": 1}
    assert Config().env_kwargs == {}


def test_what_the_keywords_make_a_game_show_chooses_the_recipe() -> None:
    assert configure("FrozenLake-v1", None, {"env_kwargs": {"map_name": "8x8"}}).recipe == "gymnasium"
    with pytest.raises(UserError, match=r"FrozenLake-v1 cannot be made with env_kwargs .*KeyError: '9x9'"):
        configure("FrozenLake-v1", None, {"env_kwargs": {"map_name": "9x9"}})
