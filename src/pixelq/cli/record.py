"""`pixelq record RUN`: videos of whole games with the Q-values beside them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from pixelq.cli.arguments import parse
from pixelq.errors import UserError


@dataclass(frozen=True)
class Args:
    """Make videos of whole games, in colour and at the game's own speed, with the Q-values as bars (MP4, h264)."""

    run: Positional[Path]
    """Run folder (of `pixelq train` or `pixelq tabular`), or a policy.safetensors."""
    episodes: int = 1
    """Games, one video each."""
    epsilon: float | None = None
    """Probability of a random action; none: 0.01, and 0 for a Q-table."""
    seed: int = 0
    """Seed of the first game and its random actions; each further game uses the next one."""
    policy: str = "best"
    """Which policy: best or final of the run, or the path of another."""
    out: Path | None = None
    """The video (.mp4), or a folder for it; several games get -1, -2, ... in the name. None: videos in the run."""
    max_agent_steps: int | None = None
    """Stop a video after this many agent steps (15 a second in Atari); none: the run's eval_max_steps."""
    scale: int | None = None
    """Screen pixels per game pixel; none: 2 in Atari (160x210 in most games), else as large as fits the Q-values."""
    fps: Literal[15, 30, 60] | None = None
    """Pictures per second of an Atari video; none: 30. Other games have one picture per agent step, at their rate."""
    device: Literal["auto", "cpu", "cuda", "mps", "vulkan"] = "auto"
    """Where Q-values are computed."""


def run(argv: list[str]) -> int:
    """Record the games and print their scores."""
    args = parse(Args, argv, "record")
    if args.episodes < 1:
        raise UserError(f"--episodes {args.episodes} is out of range: record at least 1 game")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed} is out of range: it must be at least 0")
    if args.out is not None and not args.out.is_dir() and args.out.suffix.lower() not in ("", ".mp4"):
        raise UserError(f"--out {args.out}: videos are MP4 files; name it {args.out.with_suffix('.mp4')}")
    # Imported late: torch, the emulator and PyAV take seconds, and a wrong argument should not wait for them.
    from pixelq.checkpoints.policy_file import load_agent
    from pixelq.device import choose_device
    from pixelq.tabular.table_run import is_table_run
    from pixelq.viewing.video import record_game

    if is_table_run(args.run):
        return _record_table(args)
    policy = _policy_file(args)
    agent = load_agent(policy, choose_device(args.device)[0])
    whole = agent.config.eval_max_steps or None
    for game in range(args.episodes):
        recorded = record_game(
            agent,
            _video_path(args, policy, game),
            seed=args.seed + game,
            epsilon=0.01 if args.epsilon is None else args.epsilon,
            scale=args.scale,
            fps=args.fps,
            max_agent_steps=whole if args.max_agent_steps is None else args.max_agent_steps,
            tell=lambda text: print(text, file=sys.stderr, flush=True),
        )
        end = "" if recorded.finished else " (stopped before the game's end)"
        print(f"{recorded.path}: score {recorded.score:g} in {recorded.agent_steps:,} agent steps{end}")
    return 0


def _record_table(args: Args) -> int:
    """Record episodes of a Q-table."""
    from pixelq.cli.table_runs import record_table

    epsilon = args.epsilon or 0.0
    if not 0 <= epsilon <= 1:
        raise UserError(f"--epsilon {epsilon:g} is out of range: it must be between 0 and 1")
    if args.device != "auto":
        raise UserError("--device has no effect on the video of a Q-table; leave it out")
    if args.policy not in ("best", "final"):
        raise UserError(f"--policy {args.policy}: a Q-table's run has best and final")
    for name in ("scale", "fps", "max_agent_steps"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name.replace('_', '-')} has no effect on the video of a Q-table; leave it out")
    for game in range(args.episodes):
        out = _video_path(args, args.run / args.policy / "q_table", game)
        print(record_table(args.run, args.policy, out, seed=args.seed + game, epsilon=epsilon))
    return 0


def _policy_file(args: Args) -> Path:
    """The policy file that RUN and --policy name together."""
    if args.run.is_file():
        return args.run
    if not (args.run / "config.toml").is_file():
        raise UserError(
            f"{args.run} is not a run folder (it has no config.toml); give a folder that `pixelq train` made"
        )
    if args.policy not in ("best", "final"):
        path = Path(args.policy)
        if not path.exists():
            raise UserError(f"--policy {args.policy}: no such file; choose best, final or a policy.safetensors")
        return path
    from pixelq.checkpoints.policy_file import FILE

    # A run that was never evaluated has no best policy; its final one is used.
    for name in ("best", "final") if args.policy == "best" else ("final",):
        path = args.run / name / FILE
        if path.is_file():
            return path
    hint = "wait for its first evaluation" if args.policy == "best" else "use --policy best"
    raise UserError(f"{args.run}: this run has no {args.policy} policy yet; {hint}, or train it longer")


def _video_path(args: Args, policy: Path, game: int) -> Path:
    if args.out is None or args.out.is_dir():
        folder = args.out or (args.run if args.run.is_dir() else policy.parent) / "videos"
        name = policy.parent.name if args.policy in ("best", "final") and args.run.is_dir() else policy.stem
        return folder / f"{name}-seed{args.seed + game}.mp4"
    out = args.out if args.out.suffix else args.out.with_suffix(".mp4")
    return out if args.episodes == 1 else out.with_stem(f"{out.stem}-{game + 1}")
