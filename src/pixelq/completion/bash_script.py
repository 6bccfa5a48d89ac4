"""The completion script for bash 3.2 and newer."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from pixelq.completion.help_words import Command, Value

FRAME = r"""# pixelq's completion for bash, without starting pixelq. Made by: pixelq completion bash
_pixelq_add() {  # WORDS: those that begin as the word that is typed
    local word
    while IFS= read -r word; do
        [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
    done <<< "$1"
}
_pixelq_files() {  # -d or -f
    local path
    compopt -o filenames 2>/dev/null
    while IFS= read -r path; do
        [[ $1 == -d || $2 == "" || -d $path || $path == *"$2" ]] && COMPREPLY+=("$path")
    done < <(compgen "$1" -- "$cur")
}
_pixelq_runs() {  # folders, and the runs of the folder runs/
    local config
    _pixelq_files -f .safetensors
    [[ $cur == */* ]] && return
    for config in runs/*/config.toml; do
        [[ -f $config && ${config%/config.toml} == "$cur"* ]] && COMPREPLY+=("${config%/config.toml}")
    done
}
_pixelq_value() {  # KIND WORDS
    [[ -n $2 ]] && _pixelq_add "$2"
    case $1 in
        file) _pixelq_files -f ;;
        run) _pixelq_runs ;;
        recipe) _pixelq_add "$_pixelq_recipes"; [[ $cur == [./~]* || $cur == */* ]] && _pixelq_files -f .toml ;;
        game) _pixelq_add "$_pixelq_games" ;;
    esac
}
_pixelq() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command="" word i
    COMPREPLY=()
    # Readline cuts --recipe=c51 into three words, and a game's ALE/Pong-v5 or module:Game-v0 at the colon.
    if [[ $cur == "=" ]]; then cur=""
    elif [[ $prev == "=" ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            --import) [[ ${COMP_WORDS[i+1]} == "=" ]] && ((i++)); ((i++)) ;;
            -* | =) ;;
            *) command=$word; break ;;
        esac
    done
    if [[ -z $command ]]; then
        [[ $prev == --import ]] && return
        _pixelq_add "$_pixelq_commands"
        [[ $cur == -* ]] && _pixelq_add "$(printf '%s\n' --help --version --import)"
        return
    fi
    case "$command $prev" in
@VALUES@
    esac
    if [[ $cur == -* ]]; then
        case $command in
@OPTIONS@
        esac
        return
    fi
    case $command in
@ARGUMENTS@
    esac
}
complete -F _pixelq pixelq
"""


def bash_script(commands: Sequence[Command], recipes: Sequence[str], games: Sequence[str]) -> str:
    """The script, to be sourced."""
    values: dict[Value, list[str]] = {}
    for command in commands:
        for option in command.options:
            if option.value.kind != "none":
                values.setdefault(option.value, []).extend(f'"{command.name} {flag}"' for flag in option.flags)
    rows = [f"        {' | '.join(patterns)}) {_completed(value)}return ;;" for value, patterns in values.items()]
    flags = {command.name: _lines(flag for option in command.options for flag in option.flags) for command in commands}
    options = [f"            {name}) _pixelq_add {known} ;;" for name, known in flags.items()]
    arguments = [f"        {command.name}) {_completed(command.argument)};;" for command in commands]
    lists = {"commands": [c.name for c in commands], "recipes": recipes, "games": games}
    head = "".join(f"_pixelq_{name}={_lines(words)}\n" for name, words in lists.items())
    filled = FRAME.replace("@VALUES@", "\n".join(rows)).replace("@OPTIONS@", "\n".join(options))
    first, rest = filled.replace("@ARGUMENTS@", "\n".join(arguments)).split("\n", 1)
    return f"{first}\n{head}{rest}"


def _completed(value: Value) -> str:
    if value.kind == "any":
        return ""
    return f"_pixelq_value {value.kind} {_lines(value.words)}; "


def _lines(words: Iterable[str]) -> str:
    return shlex.quote("\n".join(words))
