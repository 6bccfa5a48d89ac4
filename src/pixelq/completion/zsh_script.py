"""The completion script for zsh: a file `_pixelq` of its function path, or sourced."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from pixelq.completion.help_words import Command, Value

FRAME = r"""#compdef pixelq
# pixelq's completion for zsh, without starting pixelq. Made by: pixelq completion zsh
_pixelq_runs() {
    local -a found
    found=(runs/*/config.toml(N:h))
    compadd -a found
    _files -g '*.safetensors'
}
_pixelq_recipes() {
    local -a found
    found=(@RECIPES@)
    compadd -a found
    _files -g '*.toml'
}
_pixelq_games() {
    local -a found
    found=(@GAMES@)
    compadd -a found
}
_pixelq() {
    local curcontext=$curcontext state line ret=1
    local -a commands
    commands=(
@COMMANDS@
    )
    _arguments -C '(- *)'{-h,--help}'[show the commands]' '(- *)--version[show the version]' \
        '--import=[import a module of yours first]:module:' '1:command:->command' '*::argument:->argument' && ret=0
    case $state in
        command) _describe -t commands command commands && ret=0 ;;
        argument)
            case $words[1] in
@ARGUMENTS@
            esac ;;
    esac
    return ret
}
if [[ $funcstack[1] == _pixelq ]]; then
    _pixelq "$@"
else
    compdef _pixelq pixelq
fi
"""
ACTIONS = {"file": "_files", "run": "_pixelq_runs", "recipe": "_pixelq_recipes", "game": "_pixelq_games"}


def zsh_script(commands: Sequence[Command], recipes: Sequence[str], games: Sequence[str]) -> str:
    """The script, to be sourced or to be found as `_pixelq`."""
    described = "\n".join(f"        {_quoted(f'{c.name}:{c.meaning}')}" for c in commands)
    filled = FRAME.replace("@RECIPES@", shlex.join(recipes)).replace("@GAMES@", shlex.join(games))
    arguments = "\n".join(_arguments(command) for command in commands)
    return filled.replace("@COMMANDS@", described).replace("@ARGUMENTS@", arguments)


def _arguments(command: Command) -> str:
    rows = [" " * 20 + _quoted(f"*:argument:{_action(command.argument)}")]
    for option in command.options:
        for flag in option.flags:
            said = option.meaning.replace("\\", "").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
            after = "" if option.value.kind == "none" else f":value:{_action(option.value)}"
            equals = "=" if after and flag.startswith("--") else ""
            rows.append(" " * 20 + _quoted(f"{flag}{equals}[{said}]{after}"))
    body = " \\\n".join(rows)
    return f"                {command.name}) _arguments \\\n{body} && ret=0 ;;"


def _action(value: Value) -> str:
    """What completes a value; words, and beside them what their kind has."""
    words = _words(word.replace(":", "\\:") for word in value.words)
    if words and value.kind in ACTIONS:
        return f'_alternative "words:word:({words})" "others:other:{ACTIONS[value.kind]}"'
    return f"({words})" if words else ACTIONS.get(value.kind, "")


def _words(words: Iterable[str]) -> str:
    return " ".join(words)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
