"""`pixelq completion bash|zsh|fish`: the script by which a shell completes commands, options, recipes and games."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from keyword import iskeyword
from typing import Annotated

from tyro.conf import Positional, arg

from pixelq.cli import COMMANDS
from pixelq.cli.arguments import WIDEST, parse
from pixelq.completion.bash_script import bash_script
from pixelq.completion.fish_script import fish_script
from pixelq.completion.help_words import Command, Option, Value, read_command
from pixelq.completion.zsh_script import zsh_script
from pixelq.errors import UserError
from pixelq.variants import KINDS, option_values

SCRIPTS = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}


@dataclass(frozen=True)
class Args:
    """Print a script by which the Tab key completes commands, options, recipes, games, variants and run folders.

    It starts nothing while you type. Save it once, and again after an update:

    bash: pixelq completion bash > ~/.pixelq.bash, and a line in ~/.bashrc: source ~/.pixelq.bash

    zsh: pixelq completion zsh > ~/.pixelq.zsh, and a line in ~/.zshrc below compinit: source ~/.pixelq.zsh

    fish: pixelq completion fish > ~/.config/fish/completions/pixelq.fish
    """

    shell: Annotated[Positional[str], arg(metavar="bash|zsh|fish")] = ""
    """Which shell."""


def run(argv: list[str]) -> int:
    """Print the script.

    Raises:
        UserError: no shell, or one that is not known.
    """
    shell = parse(Args, argv, "completion").shell
    if not shell:
        usual = os.path.basename(os.environ.get("SHELL", ""))
        raise UserError(f"for which shell? pixelq completion {usual if usual in SCRIPTS else '|'.join(SCRIPTS)}")
    if shell not in SCRIPTS:
        raise UserError(f"there is no completion for {shell!r}, only for {', '.join(SCRIPTS)}")
    from pixelq.envs import list_games
    from pixelq.envs.gymnasium_games import WELL_KNOWN, own_ids
    from pixelq.recipes.reading import recipe_names

    games = [*(game.rom for game in list_games()), *WELL_KNOWN, *own_ids()]
    print(SCRIPTS[shell](all_commands(), recipe_names(), games), end="")
    return 0


def all_commands() -> list[Command]:
    """Every command with its options, `train` with those of every variant."""
    variants = {f"--{kind.name.replace('_', '-')}": kind.names() for kind in KINDS.values()}
    commands = []
    for name, meaning in COMMANDS.items():
        text = _help_of(name)
        parts = re.match(rf"usage: pixelq {name} ([a-z0-9]+(?:\|[a-z0-9]+)+) ", text)
        if parts and "│" not in text:  # `pixelq import sb3 --help` has what `pixelq import --help` has not
            text = f"{text}\n{_help_of(name, parts[1].partition('|')[0])}"
        command = read_command(name, meaning, text, variants)
        commands.append(_with_options_of_variants(command) if name == "train" else command)
    return commands


def _with_options_of_variants(command: Command) -> Command:
    """`train` with the options that its help text shows only beside a variant, such as `--atoms` beside c51."""
    known = {flag for option in command.options for flag in option.flags}
    options = [*command.options]
    for kind in KINDS.values():
        for name in kind.names():
            for option, value in option_values(kind.read_options(name, {})).items():
                flag = f"--{option.replace('_', '-')}"
                flags = (flag, f"--no-{flag[2:]}") if isinstance(value, bool) else (flag,)
                if flag not in known:
                    known |= {*flags}
                    kept = Value("none" if isinstance(value, bool) else "any")
                    options.append(Option(flags, f"of the {kind.name} {name}", kept))
    return Command(command.name, command.meaning, command.argument, tuple(options))


def _help_of(*words: str) -> str:
    """What `pixelq WORDS --help` prints, without colours."""
    name, rest = words[0], words[1:]
    module = importlib.import_module(f"pixelq.cli.{name}_" if iskeyword(name) else f"pixelq.cli.{name}")
    shown = io.StringIO()
    with _columns(WIDEST), contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        module.run([*rest, "--help"])
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue())


@contextlib.contextmanager
def _columns(number: int) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(number)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("COLUMNS", None)
        else:
            os.environ["COLUMNS"] = before
