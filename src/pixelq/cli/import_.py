"""`pixelq import sb3|cleanrl FILE`: a network that another library trained, as a policy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from pixelq.cli.arguments import Output, parse
from pixelq.command_lines import command_line
from pixelq.errors import UserError
from pixelq.files.plain_files import output_path
from pixelq.recipes.keywords import checked_keywords, keywords_from_words

LIBRARIES = ("sb3", "cleanrl")


@dataclass(frozen=True)
class Args:
    """Make a policy of a network that Stable-Baselines3 (sb3) or CleanRL trained: eval, record, watch and train --load
    take it.

    No pickle in the file is executed: weights and numbers alone are read. What the file does not say is asked for, or
    said in the output.
    """

    library: Annotated[Positional[str], arg(metavar="sb3|cleanrl")] = ""
    """Which library saved it."""
    file: Annotated[Positional[Path | None], arg(metavar="FILE")] = None
    """The zip of model.save() (DQN, QR-DQN), or a .cleanrl_model of torch (DQN, C51, Rainbow, PQN)."""
    game: str | None = None
    """The game it was trained on, an ale-py name or a Gymnasium id; most files do not say it."""
    output: Output = None
    """The new folder; none: imported/<game>-<file>."""
    frame_skip: int | None = None
    """Frames per agent step; none: 4 in Atari games, else 1."""
    sticky_actions: float | None = None
    """Probability that the emulator repeats the previous action; none: as the game's id says, else 0."""
    env_kwargs: Annotated[tuple[str, ...], arg(metavar="KEY=VALUE ...")] = ()
    """Keywords of the environment, such as is_slippery=false."""


def run(argv: list[str]) -> int:
    """Read, recognise, write, and say what was found."""
    args = parse(Args, argv, "import")
    if args.library not in LIBRARIES:
        said = f"import {args.library[:60]!r}: " if args.library else ""
        raise UserError(f"{said}from which library? pixelq import {'|'.join(LIBRARIES)} FILE")
    if args.file is None:
        raise UserError(f"which file? pixelq import {args.library} FILE --game GAME")
    if args.sticky_actions is not None and not 0 <= args.sticky_actions <= 1:
        raise UserError(f"--sticky-actions {args.sticky_actions} is out of range: it must be between 0 and 1")
    named = None if args.output is None else output_path(args.output, None, "--output")
    choice: dict[str, Any] = {
        "keywords": checked_keywords(keywords_from_words(args.env_kwargs), "--env-kwargs"),
        "frame_skip": args.frame_skip,
        "sticky_actions": args.sticky_actions,
    }
    from pixelq.imported.policy import default_folder, write

    if args.library == "sb3":
        from pixelq.imported.sb3 import import_sb3

        imported = import_sb3(args.file, args.game, **choice)
    else:
        from pixelq.imported.cleanrl import import_cleanrl

        imported = import_cleanrl(args.file, args.game, **choice)
    config = imported.config
    folder = named or default_folder(config.game, args.file)
    write(imported, folder)
    print(f"{folder}: {imported.words[0]}")
    for line in imported.words[1:]:
        print(f"  {line}")
    print(f"next: {command_line('eval', folder)}")
    falls = not math.isclose(config.epsilon_start, config.epsilon_end)
    ended = ("--epsilon-start", str(config.epsilon_end)) if falls else ()  # it has explored already
    print(f"      {command_line('train', config.game, '--load', folder, *ended, game=config.game)}")
    return 0
