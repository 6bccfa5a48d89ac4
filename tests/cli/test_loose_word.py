"""The game, recipe or suite is found wherever it stands among the options."""

import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.cli import main
from pixelq.cli.train import configured, first_word
from pixelq.errors import UserError

OF_A_KNOWN_LENGTH = (
    "--seed 2", "--seed=2", "--steps 1e6", "--recipe dopamine", "--recipe=dopamine", "--double", "--no-clip-reward",
    "--v-min -10", "--error huber", "--load runs/old", "--hidden=512", "--learning-rate-end None", "--deterministic",
)  # fmt: skip
"""Options as they are typed, each with its words."""


@settings(deadline=None)
@given(
    before=st.lists(st.sampled_from(OF_A_KNOWN_LENGTH)),
    after=st.lists(st.sampled_from((*OF_A_KNOWN_LENGTH, "--channels 32 64", "--env-kwargs mode=1"))),
)
def test_one_word_that_belongs_to_no_option_is_found_between_any_options(before: list[str], after: list[str]) -> None:
    before = [one for one in before if not one.startswith("--hidden")]  # more words may follow it
    first, last = (shlex.split(" ".join(words)) for words in (before, after))
    assert first_word([*first, "pong", *last]) == ("pong", [*first, *last])


@pytest.mark.parametrize(
    "line",
    [
        "--recipe file.toml --channels 32 64 64",  # numbers of an option of variants
        "--recipe file.toml --my-sizes 1 2",  # of one that nobody knows
        "--recipe file.toml --env-kwargs mode=1 difficulty=0",
        "--recipe file.toml --wrappers gymnasium.wrappers:FlattenObservation mine:Other",
        "--recipe pong",  # what a recipe is called may be a game, too
        "--seed 2 pong breakout",
    ],
)
def test_a_word_that_may_belong_to_an_option_is_not_taken_for_the_game(line: str) -> None:
    assert first_word(line.split()) == ("", line.split())


@pytest.mark.parametrize(
    ("line", "usual"),
    [
        ("--seed 2 pong", "pong --seed 2"),
        ("--recipe dopamine breakout", "breakout --recipe dopamine"),
        ("--recipe dopamine --double breakout --n-step 3", "breakout --recipe dopamine --double --n-step 3"),
        ("--recipe lapan-pong breakout", "breakout --recipe lapan-pong"),  # which names another game
    ],
)
def test_the_configuration_is_the_same_wherever_the_game_stands(line: str, usual: str) -> None:
    assert configured(line.split())[0] == configured(usual.split())[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--hidden 512 256 pong", "pixelq train pong --hidden 512 256"),
        ("--env-kwargs mode=1 pong", "pixelq train pong --env-kwargs mode=1"),
        ("--sede 2 pong", "pixelq train pong --sede 2"),
        ("--seed 2 pong breakout", "pixelq train pong --seed 2 breakout"),
        ("--recipe pong", "for example: pixelq train pong"),
    ],
)
def test_where_it_cannot_be_told_the_persons_own_words_are_said_in_order(line: str, said: str) -> None:
    with pytest.raises(UserError, match="which game") as refused:
        configured(line.split())
    assert said in str(refused.value)


def test_sweeps_and_suites_find_their_word_too(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr("pixelq.series.sweep.start_sweep", lambda plan, folder: made.append(plan) or 0)
    monkeypatch.setattr("pixelq.series.suite.start_suite", lambda suite, folder: made.append(suite) or 0)
    for line in (
        "sweep minatar-dqn --game MinAtar/Breakout-v0 --over gamma=0.9:0.99 --seed 3",
        "sweep --game MinAtar/Breakout-v0 --seed 3 --over gamma=0.9:0.99 minatar-dqn",
        "suite minatar --recipe minatar-dqn --also 'minatar-dqn --double' --steps 5000 --hours 1",
        "suite --also '--double minatar-dqn' --recipe minatar-dqn --steps 5000 minatar --hours 1",
    ):
        assert main(shlex.split(line)) == 0
    assert made[0] == made[1]
    assert [*made[2].configs.values()] == [*made[3].configs.values()]
