"""`pixelq completion`, in the shells themselves."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pixelq.cli import COMMANDS, main
from pixelq.cli.completion import SCRIPTS, all_commands
from pixelq.completion.help_words import Command
from pixelq.recipes.reading import recipe_names
from pixelq.recipes.values import FIELDS, OPTIONS
from pixelq.variants import KINDS

BASH = r"""
source "$SCRIPT"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_pixelq
printf '%s\n' "${COMPREPLY[@]}"
"""
ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f
zpty -w z 'stty -echo; autoload -Uz compinit; compinit -u -D; LISTMAX=1000; setopt no_beep; PS1=""'
zpty -w z 'source $SCRIPT; bindkey "^I" list-choices; print BEGIN-NOW'
zpty -r -m z out '*BEGIN-NOW*BEGIN-NOW*' || exit 1
zpty -w -n z "$1"$'\t'
out='' idle=0
for i in {1..300}; do
    if zpty -r -t z chunk; then out+=$chunk idle=0
    elif [[ $out == *"$1"*"$1"* ]] && ((++idle > 3)); then break  # the list stands between the line and itself
    else sleep 0.1
    fi
done
print -r -- "$out"
"""


@pytest.fixture(scope="module")
def commands() -> list[Command]:
    return all_commands()


@pytest.fixture(scope="module")
def scripts(commands: list[Command], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("completion")
    for shell, script in SCRIPTS.items():
        text = script(commands, recipe_names(), ["pong", "pooyan", "CartPole-v1"])
        (folder / shell).write_text(text, encoding="utf-8")
    return {shell: folder / shell for shell in SCRIPTS}


@pytest.fixture
def complete(scripts: dict[str, Path], tmp_path: Path) -> Callable[[str, str], set[str]]:
    """What a shell offers at the end of a line; the words are the line's, cut at blanks."""
    for name in ("runs/pong-1", "runs/two words", "other"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("runs/pong-1/config.toml", "runs/two words/config.toml", "my.toml", "p.safetensors", "x.txt"):
        (tmp_path / name).touch()

    def run(shell: str, line: str) -> set[str]:
        words = re.sub(r"(?<=\S)=", " = ", line).split(" ") if shell == "bash" else [line]
        command = {
            "bash": ["bash", "--norc", "-c", BASH, "bash", *words],
            "fish": ["fish", "--no-config", "-c", "source $SCRIPT; complete -C $argv[1]", line],
            "zsh": ["zsh", "-f", "-c", ZSH, "zsh", line],
        }[shell]
        if shutil.which(shell) is None:
            pytest.skip(f"no {shell} on this machine")
        environment = {"SCRIPT": str(scripts[shell]), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        if shell == "zsh":
            shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", done.stdout).replace("\\ ", "\0")
            _, _, shown = shown.partition(line)
            return {word.replace("\0", " ").rstrip("/") for word in shown.split() if word not in line.split()}
        return {row.partition("\t")[0].rstrip("/") for row in done.stdout.splitlines()}

    return run


@pytest.mark.parametrize("shell", SCRIPTS)
def test_games_and_runs_are_completed(shell: str, complete: Callable[[str, str], set[str]]) -> None:
    assert {"pong", "pooyan"} <= complete(shell, "pixelq train po")
    assert {"runs/pong-1", "runs/two words", "other", "p.safetensors"} <= complete(shell, "pixelq resume ")


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_commands_options_and_their_values_are_completed(shell: str, complete: Callable[[str, str], set[str]]) -> None:
    assert {"train", "tabular"} == complete(shell, "pixelq t")
    assert {"--loss", "--load", "--log-every", "--loop"} <= complete(shell, "pixelq train pong --lo")
    assert "--atoms" in complete(shell, "pixelq train pong --at")  # of c51, which the help text alone does not show
    assert complete(shell, "pixelq train pong --loss ") == set(KINDS["loss"].names())
    assert complete(shell, "pixelq train pong --recipe dopamine-") == {
        name for name in recipe_names() if name.startswith("dopamine-")
    }
    assert complete(shell, "pixelq eval runs/pong-1 --policy ") == {"best", "final"}
    assert complete(shell, "pixelq --import my_games ev") == {"eval"}
    assert {"sb3", "cleanrl"} <= complete(shell, "pixelq import ")
    assert complete(shell, "pixelq completion ") == set(SCRIPTS)


def test_bash_completes_after_an_equals_sign_and_adds_nothing_where_anything_goes(
    complete: Callable[[str, str], set[str]],
) -> None:
    assert complete("bash", "pixelq train pong --recipe=c5") == {"c51"}
    assert complete("bash", "pixelq train pong --recipe=") >= {"default", "c51"}
    assert complete("bash", "pixelq train pong --steps ") == {""}
    assert complete("bash", "pixelq train pong --recipe ./m") == {"./my.toml"}
    assert not {"x.txt", "my.toml"} & complete("bash", "pixelq resume ")
    assert complete("bash", "pixelq --import=my_games resume runs/p") == {"runs/pong-1"}


def test_completing_starts_no_process_of_pixelq(scripts: dict[str, Path]) -> None:
    for script in scripts.values():
        for line in script.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"\$\(pixelq|`pixelq|\| *pixelq|python", line) or line.startswith("#")


def test_the_command_prints_the_script(
    scripts: dict[str, Path],
    commands: list[Command],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pixelq.cli.completion.all_commands", lambda: commands)
    assert main(["completion", "fish"]) == 0
    shown = capsys.readouterr().out
    games = re.compile(r"(__pixelq_games\n    printf '%s\\n' )([^\n]+)")
    assert games.sub(r"\1", shown) == games.sub(r"\1", scripts["fish"].read_text(encoding="utf-8"))
    match = games.search(shown)
    assert match is not None
    assert {"pong", "ms_pacman", "CartPole-v1"} <= set(match[2].split())


def test_every_option_that_a_command_takes_is_known(commands: list[Command]) -> None:
    by_name = {command.name: command for command in commands}
    assert list(by_name) == list(COMMANDS)
    train = {flag for option in by_name["train"].options for flag in option.flags}
    assert {f"--{name.replace('_', '-')}" for name in set(FIELDS) - {"game"} - set(OPTIONS)} <= train
    assert {"--dueling", "--no-dueling", "--seeds", "--help"} <= train
    for command in commands:
        assert len(command.options) >= 1
        flags = [flag for option in command.options for flag in option.flags]
        assert len(flags) == len(set(flags))


@pytest.mark.parametrize(
    ("arguments", "shell", "error"),
    [
        ([], "/usr/bin/fish", "for which shell? pixelq completion fish"),
        ([], "/bin/tcsh", "for which shell? pixelq completion bash|zsh|fish"),
        (["tcsh"], "", "there is no completion for 'tcsh', only for bash, zsh, fish"),
    ],
)
def test_a_shell_that_is_not_named_or_not_known_is_one_line(
    arguments: list[str],
    shell: str,
    error: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHELL", shell)
    assert main(["completion", *arguments]) == 2
    assert capsys.readouterr() == ("", f"pixelq: {error}\n")
