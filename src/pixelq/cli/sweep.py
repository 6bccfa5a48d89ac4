"""`pixelq sweep RECIPE`: try other values of a recipe, and stop the hopeless early."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction

from pixelq.cli.arguments import parse
from pixelq.cli.own_options import own_options
from pixelq.cli.train import configured, first_word
from pixelq.errors import UserError
from pixelq.recipes.reading import game_of_recipe


@dataclass(frozen=True)
class Args:
    """Search for better values of a recipe with Optuna: trials side by side, those below the median stopped early.

    All other options are those of `pixelq train`, the same in every trial: --steps 200000 --double.
    """

    recipe: Positional[str] = ""
    """Recipe that is varied, or the path of a TOML file."""
    game: str = ""
    """Game; none: the recipe's own."""
    over: Annotated[tuple[str, ...], UseAppendAction] = ()
    """What is varied, may be given several times: learning_rate=log:1e-5:1e-3, gamma=0.9:0.999, batch_size=32,64."""
    trials: int = 20
    """How many sets of values are tried."""
    objective: Literal["games", "evaluation"] = "games"
    """What is to be high: the mean of the last 100 training games, or the last evaluation's mean."""
    sampler_seed: int = 0
    """Decides the values that are tried; --seed decides the training."""
    at_once: int = 0
    """Trials at work at once; 0: as many as cores and memory allow."""
    run_dir: Path | None = None
    """Folder of the sweep; none: runs/<game>-<recipe>-sweep-<time>."""
    resume: Path | None = None
    """Go on with the sweep in this folder; nothing else is given then."""


def run(argv: list[str]) -> int:
    """Make the plan, and all its trials."""
    own, rest = own_options(Args, argv, "sweep")
    recipe, train = first_word(rest)
    args = parse(Args, [*([recipe] if recipe else []), *own], "sweep")
    if args.resume is not None:
        if recipe or train or len(own) > 1:
            raise UserError("--resume goes on with the sweep as it was begun; give nothing else")
        from pixelq.series.sweep import resume_sweep

        return resume_sweep(args.resume)
    if not args.recipe:
        raise UserError(
            "sweep which recipe? pixelq sweep minatar-dqn --game MinAtar/Breakout-v1 --over gamma=0.9:0.999"
        )
    game = args.game or game_of_recipe(args.recipe)
    if game is None:
        raise UserError(f"--game is missing: the recipe {args.recipe} is for any game")
    if args.at_once < 0:
        raise UserError(f"--at-once {args.at_once} is out of range: it must be at least 0")
    words = (game, "--recipe", args.recipe, *train)
    config, rest_of_train = configured(list(words))
    if rest_of_train.seeds or rest_of_train.profile:
        raise UserError("--seeds and --profile do not go with a sweep; leave them out")
    from pixelq.series.sweep import Plan, start_sweep

    plan = Plan(config, words, args.over, args.trials, args.objective, args.sampler_seed, args.at_once)
    return start_sweep(plan, args.run_dir)
