"""`pixelq record RUN...`: videos of whole games, as MP4 or GIF, of one policy or of several side by side."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from pixelq.cli.arguments import Output, Paths, parse
from pixelq.cli.policy_choice import chosen_policy
from pixelq.errors import UserError
from pixelq.files.plain_files import names_folder, output_path
from pixelq.runs.signals import terminated_as_interrupted
from pixelq.standard_error import tell

if TYPE_CHECKING:
    import torch

    from pixelq.sharing.place import Place
    from pixelq.viewing.video import RecordedGame


@dataclass(frozen=True)
class Args:
    """Make videos of whole games, in colour and at the game's own speed, with the Q-values as bars.

    MP4 (h264), or a looping GIF if --out ends in .gif. Several runs give a video each, or with --grid one video.
    """

    runs: Positional[Paths]
    """Run folders (of `pixelq train` or `pixelq tabular`), policies (file, folder or zip), or hf:owner/name."""
    grid: bool = False
    """All games side by side in one video, without Q-values: several runs on the same seed, or several --episodes."""
    stages: bool = False
    """A grid of one run's policies, from the untrained one to the last (train with --keep-policies N to have many)."""
    saliency: Literal["gradient", "perturbation"] | None = None
    """Show in cyan what the policy looks at: by blurring places (Greydanus 2018), or by the gradient (quicker)."""
    view: bool = False
    """Show what the policy is given beside the game: the frames of its state, or its numbers."""
    episodes: int = 1
    """Games of each run, one video each."""
    epsilon: float | None = None
    """Probability of a random action; none: the run's eval_epsilon, and 0 for a Q-table."""
    seed: int = 0
    """Seed of the first game and its random actions; each further game uses the next one."""
    policy: str = "best"
    """Which policy: best or final of RUN; or the path of another one, which then plays its own game, and whose video
    goes to the run that it belongs to."""
    out: Output = None
    """The video (.mp4 or .gif), of which several get -1, -2, ... in the name; or a folder, in which the names of
    several runs' videos begin with the run's. None: videos in the run."""
    begin_at: int = 0
    """Agent steps that are played before the video begins."""
    max_agent_steps: int | None = None
    """End a video after this many agent steps (15 a second in Atari); none: the run's eval_max_steps."""
    scale: int | None = None
    """Screen pixels per game pixel; none: 2 in Atari (160x210 in most games), else as large as fits the Q-values."""
    width: int | None = None
    """Make a wider video smaller, to this many pixels; none: as it is, a grid 1,920, in a GIF 960."""
    fps: int | None = None
    """Pictures per second, at most; none: in Atari 30, in its GIFs 15; else one per agent step, in GIFs at most 25."""
    colours: int | None = None
    """Colours of a GIF, at most 255: fewer make it smaller; none: 64, which are exact where there are no more."""
    device: Literal["auto", "cpu", "cuda", "mps", "vulkan"] = "auto"
    """Where Q-values are computed."""


def run(argv: list[str]) -> int:
    """Record the games and print their scores."""
    args = parse(Args, argv, "record")
    _check(args)
    # Imported late: torch, the emulator and PyAV take seconds, and a wrong argument should not wait for them.
    from pixelq.machine.device import choose_device
    from pixelq.sharing.checkpoint_policy import playable
    from pixelq.sharing.place import opened
    from pixelq.tabular.table_run import is_table_run

    tables = [run for run in args.runs if is_table_run(run)]
    if tables:
        return _record_tables(args, tables)
    device = choose_device(args.device)[0]
    with terminated_as_interrupted(), ExitStack() as stack:
        open_place = opened if args.stages or args.policy not in ("best", "final") else playable
        places = [stack.enter_context(open_place(run, tell)) for run in args.runs]
        if args.stages:
            return _record_stages(args, places[0], device)
        policies = [_policy_file(args, place) for place in places]
        if args.policy not in ("best", "final"):
            places = [_owner(policies[0])]
        if args.grid:
            return _record_grid(args, places, policies, device)
        names = _distinct([_run_name(place) for place in places])
        for number, (place, policy) in enumerate(zip(places, policies, strict=True)):
            _record_single(args, place, policy, device, number, names)
    return 0


def _check(args: Args) -> None:
    if not args.runs:
        raise UserError("record needs at least one run folder or policy: pixelq record runs/...")
    if args.episodes < 1:
        raise UserError(f"--episodes {args.episodes} is out of range: record at least 1 game")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed} is out of range: it must be at least 0")
    out = None if args.out is None else output_path(args.out, "grid.mp4")
    if out is not None and out.suffix.lower() not in ("", ".mp4", ".gif"):
        raise UserError(f"--out {out}: videos are MP4 or GIF files; name it {out.with_suffix('.mp4')} or .gif")
    if args.policy not in ("best", "final") and len(args.runs) > 1:
        raise UserError(f"--policy {args.policy} plays one policy, and {len(args.runs)} runs are named; name one")
    if args.stages and len(args.runs) > 1:
        raise UserError("--stages shows the policies of one run; give one run, or use --grid for several")
    if args.stages and (args.episodes > 1 or args.policy != "best"):
        raise UserError("--stages plays one game with each policy of the run; leave --episodes and --policy out")
    if args.grid and not args.stages and len(args.runs) * args.episodes < 2:
        raise UserError("--grid needs several games: name several runs, or give --episodes 4")


def _record_single(args: Args, place: Place, policy: Path, device: torch.device, number: int, names: list[str]) -> None:
    """Record the games of one policy, a video each; it is that of the run of this number, of those of these names."""
    from pixelq.checkpoints.policy_file import load_agent
    from pixelq.viewing.scene import Look
    from pixelq.viewing.video import record_game

    agent = load_agent(policy, device)
    caption = _described(agent.config, policy, _which(policy))
    for game in range(args.episodes):
        recorded = record_game(
            agent,
            _video_path(args, place, policy, game, number, names),
            seed=args.seed + game,
            look=Look(view=args.view, saliency=args.saliency),
            caption=caption,
            begin_at=args.begin_at,
            max_agent_steps=_most_steps(args, agent.config),
            fps=args.fps,
            **_common(args),
        )
        _say(recorded, "")


def _record_grid(args: Args, places: list[Place], policies: list[Path], device: torch.device) -> int:
    """Record all games of all policies in one video."""
    from pixelq.checkpoints.policy_file import load_agent
    from pixelq.viewing.grid import Cell
    from pixelq.viewing.stages import policy_caption

    cells = []
    for place, policy in zip(places, policies, strict=True):
        agent = load_agent(policy, device)
        kept = place.path.is_dir() and place.given == str(place.path)
        name = (place.path.name if kept else Path(place.given).stem) if len(places) > 1 else ""
        caption = policy_caption(policy, ", ".join(filter(None, (name, _which(policy)))) or "policy")
        for game in range(args.episodes):
            which = f" (seed {args.seed + game})" if args.episodes > 1 else ""
            cells.append(Cell(agent, caption + which, args.seed + game))
    alone = places[0].result("videos/grid.mp4") if len(places) == 1 else Path("grid.mp4")
    return _write_grid(args, cells, alone)


def _record_stages(args: Args, place: Place, device: torch.device) -> int:
    """Record one game of each of a run's policies in one video."""
    from pixelq.viewing.grid import Cell
    from pixelq.viewing.stages import read_stages

    stages = read_stages(place.path, device)
    cells = [Cell(stage.agent, stage.caption, args.seed) for stage in stages]
    return _write_grid(args, cells, place.result(f"videos/stages-seed{args.seed}.mp4"))


def _write_grid(args: Args, cells: list[Any], alone: Path) -> int:
    from pixelq.viewing.grid import record_grid
    from pixelq.viewing.scene import Look
    from pixelq.viewing.video import Timing

    most = [_most_steps(args, cell.agent.config) for cell in cells]
    timing = Timing(args.fps, args.begin_at, None if None in most else max(steps or 0 for steps in most))
    path = alone if args.out is None else output_path(args.out, alone.name)
    path = path if path.suffix else path.with_suffix(".mp4")
    look = Look(values=False, view=args.view, saliency=args.saliency)
    for cell, recorded in zip(cells, record_grid(cells, path, timing=timing, look=look, **_common(args)), strict=True):
        _say(recorded, f" {cell.caption}:")
    return 0


def _common(args: Args) -> dict[str, Any]:
    return {
        "epsilon": args.epsilon,
        "scale": args.scale,
        "width": args.width,
        "colours": args.colours,
        "tell": tell,
    }


def _most_steps(args: Args, config: Any) -> int | None:
    most: int | None = (config.eval_max_steps or None) if args.max_agent_steps is None else args.max_agent_steps
    return most


def _say(recorded: RecordedGame, which: str) -> None:
    end = "" if recorded.finished else " (stopped before the game's end)"
    print(f"{recorded.path}:{which} score {recorded.score:g} in {recorded.agent_steps:,} agent steps{end}")


def _record_tables(args: Args, tables: list[Path]) -> int:
    """Record episodes of Q-tables."""
    from pixelq.cli.table_runs import record_table

    if len(tables) < len(args.runs):
        raise UserError(f"{tables[0]} is a Q-table's run, and the others are not; record them one after the other")
    epsilon = args.epsilon or 0.0
    if not 0 <= epsilon <= 1:
        raise UserError(f"--epsilon {epsilon:g} is out of range: it must be between 0 and 1")
    if args.policy not in ("best", "final"):
        raise UserError(f"--policy {args.policy}: a Q-table's run has best and final")
    unused = {name: getattr(args, name) for name in ("grid", "stages", "saliency", "view", "begin_at")}
    unused |= {
        name: getattr(args, name) is not None for name in ("scale", "width", "fps", "max_agent_steps", "colours")
    }
    for name, given in {"device": args.device != "auto", **unused}.items():
        if given:
            raise UserError(f"--{name.replace('_', '-')} has no effect on the video of a Q-table; leave it out")
    names = _distinct([run.resolve().name for run in tables])
    for number, run in enumerate(tables):
        for game in range(args.episodes):
            name = f"{args.policy}-seed{args.seed + game}.mp4"
            out = run / "videos" / name if args.out is None else _named(args.out, name, args, game, number, names)
            print(record_table(run, args.policy, out, seed=args.seed + game, epsilon=epsilon))
    return 0


def _policy_file(args: Args, place: Place) -> Path:
    """The policy file that RUN and --policy name together."""
    run = place.path
    if run.is_file() and args.policy not in ("best", "final"):
        raise UserError(f"--policy {args.policy}: {run} is a policy already; leave one of them out")
    if run.is_file():
        return chosen_policy(place, args.policy)
    from pixelq.checkpoints.policy_file import FILE

    if not (run / "config.toml").is_file():
        raise UserError(f"{run} is not a run folder (it has no config.toml); give a folder that `pixelq train` made")
    if args.policy not in ("best", "final"):
        path = Path(args.policy)
        if not path.exists():
            raise UserError(f"--policy {args.policy}: no such file; choose best, final or a policy.safetensors")
        return path / FILE if path.is_dir() else path
    try:
        return chosen_policy(place, args.policy)
    except UserError:
        if args.policy != "best":
            raise
    raise UserError(f"{run}: this run has no best policy yet; wait for its first evaluation, or train it longer")


def _owner(policy: Path) -> Place:
    """The run that a policy belongs to, or else the folder it lies in: where its video goes."""
    from pixelq.checkpoints.kept_policies import FOLDER
    from pixelq.sharing.place import Place

    folder = policy.parent
    above = folder.parent.parent if folder.parent.name == FOLDER else folder.parent
    in_run = (folder.name in ("best", "final") or folder.parent.name == FOLDER) and (above / "config.toml").is_file()
    folder = above if in_run else folder
    return Place(str(policy), folder, folder, "")


def _which(policy: Path) -> str:
    """The policy in a word: best, final, what its file is called, or nothing if that says nothing."""
    from pixelq.checkpoints.policy_file import FILE

    for name in (policy.parent.name, policy.stem):
        if name in ("best", "final"):
            return name
    return "" if policy.name == FILE else policy.stem


def _described(config: Any, policy: Path, which: str) -> str:
    """Whose policy plays: recipe, seed, which one, after how many agent steps."""
    from pixelq.viewing.stages import policy_caption

    name = f"recipe {config.recipe}, seed {config.seed}"
    return policy_caption(policy, f"{name}, {which} policy" if which else name)


def _video_path(args: Args, place: Place, policy: Path, game: int, number: int, names: list[str]) -> Path:
    if args.policy not in ("best", "final"):
        which = _which(policy) or (policy.stem if policy.parent == place.path else policy.parent.name)
    else:
        which = policy.parent.name if place.path.is_dir() and policy.parent != place.path else policy.stem
    name = f"{which}-seed{args.seed + game}.mp4"
    return place.result("videos/" + name) if args.out is None else _named(args.out, name, args, game, number, names)


def _named(out: str, name: str, args: Args, game: int, number: int, names: list[str]) -> Path:
    """Where a video goes that is one of the several for which --out names a place.

    Args:
        out: a file, whose name gets the video's number; or a folder, in which each has a name of its own.
        name: the video's where its run is the only one.
        args: how many games of each run.
        game: its number among those of its run.
        number: of the run.
        names: of all runs, all different.
    """
    if names_folder(out):
        return output_path(out, name if len(names) == 1 else f"{names[number]}-{name}")
    path = output_path(out, name)
    path = path if path.suffix else path.with_suffix(".mp4")
    videos = args.episodes * len(names)
    return path if videos == 1 else path.with_stem(f"{path.stem}-{number * args.episodes + game + 1}")


def _run_name(place: Place) -> str:
    """What a person calls the run that a policy is of: its folder, the zip, owner-name."""
    if place.prefix:
        return place.prefix.removesuffix("-")
    path = Path(place.given).resolve()
    return _owner(path).path.name if path.is_file() else path.name


def _distinct(names: list[str]) -> list[str]:
    """The names, of which equal ones (also where a disk takes capitals for the same) are numbered from the second."""
    found: list[str] = []
    for name in names:
        taken, one, number = {other.casefold() for other in found}, name, 1
        while one.casefold() in taken:
            number += 1
            one = f"{name}-{number}"
        found.append(one)
    return found
