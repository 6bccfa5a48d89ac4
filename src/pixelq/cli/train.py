"""`pixelq train GAME`: train a new agent."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Fixed

from pixelq.cli.arguments import parse
from pixelq.config import Config
from pixelq.envs.gymnasium_games import import_module_of
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import game_of_recipe, read_recipe


@dataclass(frozen=True)
class Args(Config):
    """Train an agent. The recipe (--recipe) sets every field; what you name here overrides it.

    GAME is an ale-py name (pong, MsPacman) or a Gymnasium id (ALE/Pong-v5, CartPole-v1, module:MyGame-v0);
    `pixelq list games` shows them. It may be left out where the recipe names one. Without --recipe a game takes its
    own, or the one for what it shows.
    """

    game: Fixed[str] = ""
    run_dir: Path | None = None
    """Folder of the run; default: runs/<game>-<recipe>-<seed>-<time>."""
    profile: bool = False
    """Write a trace of some hundred agent steps, once warm, into the run's folder: for Perfetto or TensorBoard."""


def run(argv: list[str]) -> int:
    """Read the recipe, apply the overrides, train."""
    game, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else (None, argv)
    name, rest = _recipe_argument(rest)
    if game is not None:
        import_module_of(game)
    elif name is not None:
        game = game_of_recipe(name)
    if game is None and not {"-h", "--help"} & set(rest):
        raise UserError("which game? for example: pixelq train pong (see `pixelq list games`)")
    config = configure(game, name) if game else read_recipe(name or "default")
    shown: dict[str, object] = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    args = parse(Args, rest, f"train {game or 'GAME'}", default=Args(**shown))  # type: ignore[arg-type]
    config = Config(**{f.name: getattr(args, f.name) for f in dataclasses.fields(Config)})

    from pixelq.cli.outcome import report
    from pixelq.runs.session import start

    if not args.profile:
        return report(start(config, args.run_dir))
    from pixelq.profiling.trace import trace_window

    with trace_window():
        return report(start(config, args.run_dir))


def _recipe_argument(argv: list[str]) -> tuple[str | None, list[str]]:
    """Take `--recipe NAME` out of the arguments, because it decides the defaults of all the others."""
    rest: list[str] = []
    name: str | None = None
    words = iter(argv)
    for word in words:
        if word == "--recipe":
            name = next(words, "")
        elif word.startswith("--recipe="):
            name = word.removeprefix("--recipe=")
        else:
            rest.append(word)
    if name == "":
        raise UserError("--recipe needs a name; see `pixelq list recipes`")
    return name, rest
