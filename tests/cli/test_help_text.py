"""Help texts: options in boxes by what they are about, nothing wider than the terminal, one screen for the whole."""

import contextlib
import inspect
import io
import itertools
import re

import pytest

import pixelq.config
from pixelq.cli import COMMANDS, GROUPS, main
from pixelq.cli.help_text import in_boxes, reflowed, without_empty_defaults, wrapped
from pixelq.cli.train import OFTEN_USED
from pixelq.recipes.sections import BEGINS, sections
from pixelq.recipes.values import FIELDS, OPTIONS

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def shown(argv: list[str], monkeypatch: pytest.MonkeyPatch, columns: int = 80, terminal: bool = False) -> str:
    """What `pixelq ... --help` prints."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    out.isatty = lambda: terminal  # type: ignore[method-assign]
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        assert main([*argv, "--help"]) == 0
    return out.getvalue()


def boxes(text: str) -> dict[str, list[str]]:
    """Title of each box -> its options, as fields are called."""
    found: dict[str, list[str]] = {}
    for line in COLOUR.sub("", text).splitlines():
        title, option = re.match(r"╭─ (.+?) ─", line), re.match(r"│ --([\w-]+)", line)
        if title:
            options = found.setdefault(title[1], [])
        elif option:
            options.append(option[1].replace("-", "_"))
    return found


def flag(name: str) -> str:
    return name.replace("_", "-")


def test_the_sections_are_those_of_the_comments_in_config_py() -> None:
    source = inspect.getsource(pixelq.config)
    comments = re.findall(r"^    # --- (.+?) -+\n    (\w+): ", source, re.M)
    assert [(first, title) for title, first in comments] == list(BEGINS.items())
    assert [name for names in sections().values() for name in names] == list(FIELDS)


@pytest.mark.parametrize("argv", [["train"], ["train", "pong"], ["train", "CartPole-v1", "--recipe", "cartpole"]])
def test_every_option_of_train_stands_once_in_the_box_of_its_section(argv, monkeypatch) -> None:
    text = shown(argv, monkeypatch)
    found = boxes(text)
    assert found.pop("used often") == list(OFTEN_USED)
    assert len(OFTEN_USED) == 10
    for title, names in sections().items():
        mine = [name for name in names if name not in (*OFTEN_USED, *OPTIONS, "game") and f"--{flag(name)}" in text]
        assert [name for name in found.pop(title, []) if name in FIELDS] == mine
    assert not {name for options in found.values() for name in options} & {*FIELDS}


def test_options_of_variants_stand_beside_the_variant(monkeypatch) -> None:
    found = boxes(shown(["train", "pong"], monkeypatch))
    assert "error" in found["loss"]
    assert "hidden" in found["network"]
    assert found["the run"][-1] == "profile"


@pytest.mark.parametrize(("columns", "terminal"), [(40, False), (80, True), (200, False)])
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_no_line_is_wider_than_the_terminal(command, columns, terminal, monkeypatch) -> None:
    text = shown([command], monkeypatch, columns, terminal)
    assert ("\x1b[" in text) == terminal
    lines = COLOUR.sub("", text).splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(line.startswith("╭") for line in lines) == sum(line.startswith("╰") for line in lines)
    assert sum("show this help" in line for line in lines) == 1 or columns == 40
    assert not re.search(r"\(default:[\s│]*(None|'')?\)", "\n".join(lines))


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(("argv", "columns"), [(["train", "pong"], 80), (["train", "pong"], 97), (["sweep"], 60)])
def test_every_line_of_a_meaning_is_full_before_the_next_begins(argv, columns, terminal, monkeypatch) -> None:
    text = COLOUR.sub("", shown(argv, monkeypatch, columns, terminal))
    rows = [line[1:-1] if re.match(r"│ {5,}\S", line) else "" for line in text.splitlines()]
    pairs = [(one, after) for one, after in itertools.pairwise(rows) if one and after]
    assert len(pairs) > 3
    for one, after in pairs:
        assert len(one.rstrip()) + 1 + len(after.split()[0]) > len(one) - 1, (one, after)
    assert not [row for row in rows if "  " in row.strip()]


def test_a_colour_goes_on_in_the_next_line_and_ends_before_the_side_of_the_box() -> None:
    red, end = "\x1b[31m", "\x1b[0m"
    rows = [f"│       one {red}two{end}           │", f"│       {red}three{end} {red}four five{end}    │"]
    found = reflowed("\n".join(["╭─ box ───────────────────╮", *rows, "╰─────────────────────────╯"])).split("\n")
    assert [COLOUR.sub("", line) for line in found[1:-1]] == [
        "│       one two three     │",
        "│       four five         │",
    ]
    assert found[1].endswith(f"{end}     │")
    assert all(line.count(red) <= 2 * line.count(end) for line in found[1:-1])


def test_the_help_of_all_is_one_screen(monkeypatch) -> None:
    lines = shown([], monkeypatch).splitlines()
    assert len(lines) <= 23  # and the prompt below
    assert max(map(len, lines)) <= 80
    rows = [re.fullmatch(r"(\w* +)(\w+) +(\S.*)", line) for line in lines[3:-2]]
    assert [row[2] for row in rows] == list(COMMANDS)
    assert [row[1].strip() for row in rows if row[1].strip()] == list(GROUPS.values())
    assert {len(row[1]) for row in rows} == {7}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_many_paths_are_shown_as_such(command, monkeypatch) -> None:
    text = shown([command], monkeypatch)
    assert "[[" not in text.replace(" ", "")
    if command in ("plot", "compare"):
        assert "(default: )" not in text
        assert "[-h] [OPTIONS] [PATH ...]" in text


def test_a_text_without_boxes_is_wrapped_too() -> None:
    assert wrapped("a " * 30 + "\n\nb\n", 40).splitlines() == [("a " * 20).strip(), ("a " * 10).strip(), "", "b"]


def test_a_default_that_is_nothing_is_not_shown_and_the_box_keeps_its_width() -> None:
    rows = ["│ --a  What. (default: None) │", "│ --b  A long text. (default: │", "│      '')                   │",
            "│ --c  (default: None of it) │", "│      (default: )           │"]  # fmt: skip
    text = "\n".join([*rows, ""]).replace("(default:", "\x1b[36m(default:\x1b[0m")
    plain = COLOUR.sub("", without_empty_defaults(text)).splitlines()
    assert [line.rstrip("│").rstrip() for line in plain] == [
        "│ --a  What.",
        "│ --b  A long text.",
        "│ --c  (default: None of it)",
    ]
    assert [len(line) for line in plain] == [len(rows[0]), len(rows[1]), len(rows[3])]


def test_an_option_of_no_box_stands_in_the_last() -> None:
    rows = ["╭─ options ─╮", "│ -h, --help│", "│ --a       │", "│     more  │", "│ --b.x     │", "│ --b.y     │"]
    text = "usage\n\n" + "\n".join([*rows, "╰───────────╯", ""])
    found = in_boxes(text, {"one": ["b"], "two": []})
    assert found == "usage\n\n" + "\n".join(
        ["╭─ one ─────╮", "│ -h, --help│", "│ --b.x     │", "│ --b.y     │", "╰───────────╯",
         "╭─ two ─────╮", "│ --a       │", "│     more  │", "╰───────────╯", ""]
    )  # fmt: skip
