"""The completion script for fish."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pixelq.completion.help_words import Command, Value

FRAME = r"""# pixelq's completion for fish, without starting pixelq. Made by: pixelq completion fish
function __pixelq_command
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --import
                set -e words[1]
            case '-*'
            case '*'
                echo $words[1]
                return
        end
        set -q words[1]; and set -e words[1]
    end
end
function __pixelq_is
    set -l command (__pixelq_command)
    test "$command" = "$argv[1]"
end
function __pixelq_runs
    for config in runs/*/config.toml
        string replace /config.toml '' $config
    end
    __fish_complete_directories (commandline -ct)
    __fish_complete_suffix .safetensors
end
function __pixelq_recipes
    printf '%s\n' @RECIPES@
    __fish_complete_suffix .toml
end
function __pixelq_games
    printf '%s\n' @GAMES@
end
complete -c pixelq -f
complete -c pixelq -n '__pixelq_is ""' -s h -l help -d 'show the commands'
complete -c pixelq -n '__pixelq_is ""' -l version -d 'show the version'
complete -c pixelq -n '__pixelq_is ""' -l import -x -d 'import a module of yours first'
"""
ACTIONS = {"run": "(__pixelq_runs)", "recipe": "(__pixelq_recipes)", "game": "(__pixelq_games)"}


def fish_script(commands: Sequence[Command], recipes: Sequence[str], games: Sequence[str]) -> str:
    """The script, to be sourced or put into fish's completions folder."""
    lines = [FRAME.replace("@RECIPES@", shlex.join(recipes)).replace("@GAMES@", shlex.join(games)).rstrip()]
    for command in commands:
        lines.append(f"complete -c pixelq -n '__pixelq_is \"\"' -a {command.name} -d {_quoted(command.meaning)}")
    for command in commands:
        here = f"complete -c pixelq -n '__pixelq_is {command.name}'"
        if what := _given(command.argument):
            lines.append(f"{here}{what}")
        for option in command.options:
            names = "".join(f" -l {f[2:]}" if f.startswith("--") else f" -s {f[1:]}" for f in option.flags)
            after = "" if option.value.kind == "none" else " -x" if option.value.kind != "file" else " -r -F"
            lines.append(f"{here}{names}{after}{_given(option.value, files=False)} -d {_quoted(option.meaning)}")
    return "\n".join(lines) + "\n"


def _given(value: Value, files: bool = True) -> str:
    """The words that a value may have; `files`: also files, where they are asked for."""
    words = " ".join([*value.words, *([ACTIONS[value.kind]] if value.kind in ACTIONS else [])])
    return (f" -a {_quoted(words)}" if words else "") + (" -F" if files and value.kind == "file" else "")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
