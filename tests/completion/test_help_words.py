"""Options and their values, read from help texts."""

import pytest

from pixelq.completion.help_words import LONGEST, Option, Value, read_command

TEXT = """usage: pixelq film RUN [OPTIONS]

Makes a film.

╭─ positional arguments ──────────────────────────────────────────────────╮
│ [PATH ...]      Run folders, or
│                 zips. (at least one)                                    │
╰─────────────────────────────────────────────────────────────────────────╯
╭─ options ───────────────────────────────────────────────────────────────╮
│ -h, --help      show this help message and exit                         │
│ --device {auto,cpu}                                                     │
│                 Where it runs. Not on the moon. (default: auto)         │
│ --json, --no-json                                                       │
│                 Print JSON: for programs. (default: False)              │
│ --out {None}|PATH                                                       │
│                 The file. (default: None)                               │
│ --loss a|b      Target: what is learned, and from what, with a very long explanation of each. (required) │
│ --head-options.hidden INT                                               │
│                 Units. (default: 5)                                     │
╰─────────────────────────────────────────────────────────────────────────╯
"""


def test_options_have_their_names_values_and_the_beginning_of_their_meaning() -> None:
    command = read_command("film", "make a film", TEXT)
    assert command.argument == Value("run")
    assert command.options == (
        Option(("-h", "--help"), "show this help message and exit", Value("none")),
        Option(("--device",), "Where it runs", Value("words", ("auto", "cpu"))),
        Option(("--json", "--no-json"), "Print JSON: for programs", Value("none")),
        Option(("--out",), "The file", Value("file")),
        Option(("--loss",), "Target", Value("words", ("a", "b"))),
        Option(("--head-options.hidden",), "Units", Value("any")),
    )
    assert all(len(option.meaning) <= LONGEST for option in command.options)


def test_names_that_were_registered_stand_beside_those_of_the_text() -> None:
    command = read_command("film", "make a film", TEXT, {"--loss": ["a", "b", "mine"]})
    (loss,) = (option for option in command.options if "--loss" in option.flags)
    assert loss.value == Value("words", ("a", "b", "mine"))


@pytest.mark.parametrize(
    ("metavar", "value"),
    [
        ("atari-5|minatar|FILE", Value("file", ("atari-5", "minatar"))),
        ("ENV|RUN", Value("run")),
        ("games|recipes", Value("words", ("games", "recipes"))),
        ("[STR]", Value("any")),
        ("PATH", Value("run")),
    ],
)
def test_an_argument_is_what_its_metavar_says(metavar: str, value: Value) -> None:
    text = f"usage: pixelq x [-h]\n╭─ positional arguments ─╮\n│ {metavar}   What. │\n╰────────╯\n"
    assert read_command("x", "x", text).argument == value


def test_values_that_do_not_fit_beside_their_option_are_its_own() -> None:
    rows = [
        "│ --loss          │",
        "│ a|b|c           │",
        "│       Target.   │",
        "│ --steps INT     │",
        "│       Length.   │",
    ]
    command = read_command("train", "train an agent", "\n".join(["╭─ options ───────╮", *rows, "╰─────────────────╯"]))
    assert command.argument == Value("game")
    assert command.options == (
        Option(("--loss",), "Target", Value("words", ("a", "b", "c"))),
        Option(("--steps",), "Length", Value("any")),
    )
