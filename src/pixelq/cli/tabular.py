"""`pixelq tabular ENV`: Q-learning with a table, compared with the exact optimum, and hand-written policies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from pixelq.cli.arguments import Output, parse
from pixelq.command_lines import command_line
from pixelq.errors import UserError
from pixelq.files.plain_files import output_path

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from pixelq.tabular.episodes import Step
    from pixelq.tabular.game import TabularGame
    from pixelq.tabular.measurement import Measurement
    from pixelq.tabular.q_learning import QLearning, Test
    from pixelq.tabular.table_run import TableRun


@dataclass(frozen=True)
class Args:
    """Learn a game with few states with a table of Q-values, and compare it with the exact optimum.

    FrozenLake-v1, FrozenLake8x8-v1, Taxi-v3 and CliffWalking-v1 are such games.
    """

    game: Annotated[Positional[str], arg(metavar="ENV|RUN")] = ""
    """A Gymnasium id; or the run folder of an earlier `pixelq tabular`, whose best table is played."""
    no_slippery: FlagCreatePairsOff[bool] = False
    """FrozenLake without slippery ice: every step goes where it should."""
    policy: str = "q-learning"
    """Who plays: q-learning (learns a table), random, always-left, left-right (each 1/2), or one action (2, right)."""
    alpha: float = 0.2
    """Step size of Q-learning: how far a value moves towards its target."""
    gamma: float = 0.9
    """Discount per agent step."""
    epsilon: float = 1.0
    """Probability of a random action while learning: 1 explores at random, less is epsilon-greedy."""
    steps: int = 1_000_000
    """Maximum number of agent steps of learning."""
    test_every: int = 3_000
    """Agent steps between two tests."""
    test_episodes: int = 20
    """Whole greedy episodes per test; the table with the highest mean score is kept."""
    stop_score: float | None = None
    """Stop when a test's mean score is above this; none: the game's own, at most the best possible."""
    max_episode_steps: int | None = None
    """Cut an episode after this many agent steps; none: the game's own limit, or 200 where it has none."""
    episodes: int = 1000
    """Whole episodes played at the end to evaluate the policy, other ones than those of the tests that chose it."""
    trace_steps: int = 30
    """Maximum number of agent steps of one episode to print; the middle of a longer one is left out."""
    seed: int = 1
    """Seed of exploration, episodes and tests."""
    run_dir: Path | None = None
    """Folder of the run; none: runs/<game>-tabular-<seed>-<time>."""
    video: Output = None
    """Write the printed episode as a video into this file (MP4 or GIF) or folder; needs the extra pixelq[toy-text]."""


LEARNING = ("alpha", "gamma", "epsilon", "steps", "test_every", "test_episodes", "stop_score", "run_dir")
"""Fields that only learning uses."""

GAME = ("policy", "no_slippery", "max_episode_steps")
"""Fields that an earlier run has already set."""


def run(argv: list[str]) -> int:
    """Learn a table, or load one, or take a hand-written policy; then print and evaluate it, and make its video."""
    args = parse(Args, argv, "tabular")
    _check(args)
    # Imported late: torch and PyAV take seconds, and a wrong argument should not wait for them.
    from rich.console import Console

    from pixelq.tabular.video import check_video

    video = None
    if args.video is not None:
        which = "best" if args.policy == "q-learning" else args.policy
        video = output_path(args.video, f"{which}-seed{args.seed}.mp4", "--video")
        check_video(video)
    console = Console(highlight=False)
    if os.path.exists(args.game):
        _replay(args, video, console)
    elif args.policy == "q-learning":
        _learn(args, video, console)
    else:
        _play_handwritten(args, video, console)
    return 0


def _check(args: Args) -> None:
    """Check that values are in range, and that no setting of learning is given where nothing is learned."""
    if not args.game:
        raise UserError("which game? for example: pixelq tabular FrozenLake-v1")
    for name, value, least in (
        ("episodes", args.episodes, 1),
        ("trace-steps", args.trace_steps, 1),
        ("seed", args.seed, 0),
    ):
        if value < least:
            raise UserError(f"--{name} {value} is out of range: it must be at least {least}")
    unused: tuple[str, ...] = ()
    if os.path.exists(args.game):
        unused, why = (*LEARNING, *GAME), f"{args.game} has been learned already; give a Gymnasium id to learn again"
    elif args.policy != "q-learning":
        unused, why = LEARNING, f"--policy {args.policy} learns nothing"
    for name in unused:
        if getattr(args, name) != getattr(Args(), name):
            raise UserError(f"--{name.replace('_', '-')} has no effect here: {why}")


def _learn(args: Args, video: Path | None, console: Console) -> None:
    from pixelq.tabular.heat_map import draw_heat_map, write_heat_map
    from pixelq.tabular.measurement import measure
    from pixelq.tabular.planning import value_iteration
    from pixelq.tabular.q_learning import QLearning
    from pixelq.tabular.table_run import create_table_run

    settings = QLearning(
        args.alpha, args.gamma, args.epsilon, args.steps, args.test_every, args.test_episodes, args.stop_score
    )
    settings.check()
    game = _open(args, console)
    value_iteration(game.model, settings.gamma)  # raises now, before the work, if gamma has no exact answer
    folder = create_table_run(game, settings, args.seed, args.run_dir)
    best, last = _run_tests(game, settings, args.seed, folder, console)
    result = measure(best.q, game, settings.gamma, episodes=args.episodes, seed=args.seed, video=video)
    picture = folder.path / "plots" / "q_table.png"
    title = f"{game.name}, best table (agent step {best.agent_steps:,}, seed {args.seed})"
    write_heat_map(draw_heat_map(best.q, game, settings.gamma, title), picture)
    folder.finish(last, result.optimality, result.evaluation)
    _show_table(args, game, settings.gamma, best.q, result, video, console)
    again = command_line("tabular", folder.path, game=args.game)
    print(f"{picture}: the table as a heat map; play it again with: {again}")


def _run_tests(
    game: TabularGame, settings: QLearning, seed: int, folder: TableRun, console: Console
) -> tuple[Test, Test]:
    """Learn, print and write each test, and return the best and the last one."""
    import numpy as np

    from pixelq.tabular.q_learning import learn, stop_score

    exploration, episodes, tests = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    best = last = None
    for last in learn(game, settings, exploration=exploration, episodes=episodes, tests=tests):
        folder.add(last)
        mean, played = last.evaluation.mean, len(last.evaluation.games)
        higher = best is None or mean > best.evaluation.mean
        if last.best:
            best = last
        if higher:
            console.print(
                f"agent step {last.agent_steps:9,}: mean of {played} greedy episodes {mean:.3f}, the best so far"
            )
    assert best is not None  # there is at least one agent step, and a test after the last one
    assert last is not None
    stop = stop_score(game, settings)
    if last.solved:
        console.print(f"learned: above the stop score {stop:.4g} at agent step {last.agent_steps:,}\n")
    else:
        console.print(f"not above the stop score {stop:.4g} in {last.agent_steps:,} agent steps\n")
    return best, last


def _replay(args: Args, video: Path | None, console: Console) -> None:
    from pixelq.tabular.measurement import measure
    from pixelq.tabular.table_run import load_table

    loaded = load_table(Path(args.game))
    game, gamma = loaded.game, loaded.settings.gamma
    console.print(f"{game.name}, best table of {args.game}\n", soft_wrap=True, markup=False)
    result = measure(loaded.table, game, gamma, episodes=args.episodes, seed=args.seed, video=video)
    _show_table(args, game, gamma, loaded.table, result, video, console)


def _play_handwritten(args: Args, video: Path | None, console: Console) -> None:
    import numpy as np

    from pixelq.tabular.measurement import evaluate_on_new_seeds, single_episode
    from pixelq.tabular.planning import expected_score, success_rate
    from pixelq.tabular.policies import handwritten_policy
    from pixelq.tabular.terminal import print_evaluation

    game = _open(args, console)
    player = handwritten_policy(args.policy, game, np.random.default_rng(args.seed))
    _show_episode(args, game, single_episode(player, game, args.seed, video), video, console)
    print_evaluation(console, evaluate_on_new_seeds(player, game, args.episodes, args.seed))
    pi = player.probabilities()
    score, rate = expected_score(game.model, pi, game.limit), success_rate(game.model, pi, game.limit)
    console.print(f"exactly: expected score {score:.4f}, success rate {rate:.4f}")


def _open(args: Args, console: Console) -> TabularGame:
    from pixelq.tabular.game import open_game

    game = open_game(args.game, False if args.no_slippery else None, args.max_episode_steps)
    if game.name != args.game:
        console.print(f"{args.game} is called {game.name} in the installed Gymnasium", markup=False)
    return game


def _show_table(
    args: Args, game: TabularGame, gamma: float, table: np.ndarray, result: Measurement, video: Path | None,
    console: Console,
) -> None:  # fmt: skip
    from pixelq.tabular.terminal import print_evaluation, print_map, print_optimality

    print_map(console, table, game, gamma, result.episode)
    _show_episode(args, game, result.episode, video, console)
    print_optimality(console, result.optimality, game, gamma)
    print_evaluation(console, result.evaluation)


def _show_episode(args: Args, game: TabularGame, episode: list[Step], video: Path | None, console: Console) -> None:
    from pixelq.tabular.terminal import print_trace

    print_trace(console, episode, game, args.trace_steps)
    if video is not None:
        console.print(f"{video}: this episode as a video", markup=False, soft_wrap=True)
    console.print()
