"""The model card: metadata that the hub reads, and a page that no file's text can break out of."""

import dataclasses
from typing import Any

import yaml as reader
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.recipes.choice import configure
from pixelq.sharing.card import Facts, metadata, model_card, plain, yaml

REPORT = {
    "mean": 20.3, "std": 1.2077, "min": 15.0, "max": 21.0, "median": 21.0, "interval_95": [19.83, 20.67],
    "episodes": 30, "epsilon": 0.01, "seed": 1_000_000, "cut_games": 0, "human_normalized": 1.1615,
    "random_agent_measured": -20.27, "random_agent_published": -20.7, "human_published": 14.6,
    "measured_by": "pixelq eval",
}  # fmt: skip
FACTS = Facts(
    name="pong-1", config=configure("pong", "nature2015", {"sticky_actions": 0.25}), report=REPORT,
    policy={"agent_steps": 1_500_000}, files=["README.md", "replay.mp4", "learning_curve.png", "progress.csv"],
    checks=[], observation="uint8 (4, 84, 84)", actions=6, license="mit", repository="me/pong",
)  # fmt: skip


def block(card: str) -> Any:
    """The metadata of a card, as the hub takes it apart."""
    assert card.startswith("---\n")
    return reader.safe_load(card[4:].partition("\n---\n")[0])


def test_a_card_tells_game_score_and_protocol_in_the_hubs_layout() -> None:
    told = block(model_card(FACTS))
    assert told["library_name"] == "pixelq"
    assert told["license"] == "mit"
    assert {"reinforcement-learning", "pixelq", "pong", "atari", "dqn"} <= set(told["tags"])
    ((model,),) = (told["model-index"],)
    ((result,),) = (model["results"],)
    assert model["name"] == "pong-1"
    assert result["task"]["type"] == "reinforcement-learning"
    assert (result["dataset"]["type"], result["dataset"]["name"]) == ("pong", "Pong")
    assert result["metrics"] == [
        {"type": "mean_reward", "value": "20.30 +/- 1.21", "name": "mean_reward", "verified": False}
    ]
    assert result["dataset"]["args"] == {
        "episodes": 30, "epsilon": 0.01, "seed": 1_000_000, "sticky_actions": 0.25, "frame_skip": 4, "noop_max": 30,
        "full_action_set": False, "max_frames_per_episode": 108_000,
    }  # fmt: skip


def test_the_card_of_one_game_has_no_interval_and_no_spread() -> None:
    report = {**REPORT, "episodes": 1, "std": None, "interval_95": None}
    card = model_card(dataclasses.replace(FACTS, report=report))
    assert block(card)["model-index"][0]["results"][0]["metrics"][0]["value"] == "20.30"
    for words in ("**20.30** points on average over 1 whole game.", "(bootstrap) | - |", "maximum | -, 15, 21, 21 |"):
        assert words in card, words


def test_the_page_says_interval_protocol_training_and_licence() -> None:
    page = model_card(FACTS)
    for words in (
        "95% interval of 19.83 to 20.67, over 30 whole games", "| sticky actions | 0.25 |", "116.1%",
        "1,500,000 agent steps",
        'pixelq.load("hf:me/pong")', "(replay.mp4)", "![Learning curve](learning_curve.png)", "under the licence `mit`",
        "| target network | copied every 10,000 agent steps |",
    ):  # fmt: skip
        assert words in page, words
    unnamed = model_card(dataclasses.replace(FACTS, license=None, repository=None))
    assert "license" not in block(unnamed)
    assert "named no licence" in unnamed
    assert 'pixelq.load("FOLDER")' in unnamed


def test_a_game_that_is_no_atari_game_has_no_rows_of_one() -> None:
    card = model_card(
        dataclasses.replace(FACTS, config=configure("CartPole-v1", None, {}), observation="float32 (1, 4)")
    )
    assert "sticky" not in card
    assert "| observation | float32 (1, 4), 6 actions |" in card
    assert "atari" not in block(card)["tags"]


HOSTILE = st.text(max_size=80) | st.sampled_from(
    [
        "---\nlicense: evil",
        "<script>alert(1)</script>",
        "`code`",
        "| a | b |",
        "![x](http://x)",
        "yes",
        "1.0",
        "\x00\x1b[31m",
    ]
)


@settings(max_examples=15, deadline=None)
@given(game=HOSTILE, recipe=HOSTILE, name=HOSTILE, imported=HOSTILE)
def test_no_text_of_a_file_breaks_out_of_its_place(game: str, recipe: str, name: str, imported: str) -> None:
    config = dataclasses.replace(FACTS.config, game=game, recipe=recipe, env_kwargs={"x": game})
    policy = {"agent_steps": game, "imported": imported}
    card = model_card(dataclasses.replace(FACTS, config=config, name=name, policy=policy))
    told = block(card)
    assert told["license"] == "mit"
    assert told["model-index"][0]["name"] == "".join(c if c.isprintable() else "?" for c in name)
    page = card.partition("\n---\n")[2]
    assert "<script" not in page.replace("`<script>alert(1)</script>`", "")
    assert "![x]" not in page.replace("`![x](http://x)`", "")
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## How to use it", "## Evaluation", "## How it was trained", "## License",
    ]  # fmt: skip
    assert all(c.isprintable() or c == "\n" for c in card)


VALUES: Any = st.recursive(
    st.text(max_size=20) | st.integers(-(10**9), 10**9) | st.booleans() | st.none() | st.floats(-1e6, 1e6),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(
            st.text("abc_-", min_size=1, max_size=5).map(lambda key: f"k{key}"), inner, min_size=1, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(value=st.dictionaries(st.sampled_from(["one", "model-index", "last_one"]), VALUES, min_size=1))
def test_what_is_written_as_yaml_reads_back(value: dict[str, Any]) -> None:
    def printable(node: Any) -> Any:
        if isinstance(node, str):
            return "".join(c if c.isprintable() else "?" for c in node)
        if isinstance(node, list):
            return [printable(one) for one in node]
        return {key: printable(one) for key, one in node.items()} if isinstance(node, dict) else node

    assert reader.safe_load(yaml(value)) == printable(value)


def test_a_long_text_is_cut_and_letters_of_markdown_are_written_out() -> None:
    assert plain("a|b <i>\n`x`") == "a&#124;b &#60;i&#62; &#96;x&#96;"
    assert len(plain("x" * 10_000)) == 300
    assert metadata(FACTS)["pipeline_tag"] == "reinforcement-learning"
