"""`pixelq watch RUN|FOLDER`: a local web page that shows runs while they train."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pixelq.cli.arguments import parse
from pixelq.errors import UserError
from pixelq.standard_error import tell

NEEDED = ("starlette", "uvicorn", "websockets")


@dataclass(frozen=True)
class Args:
    """Show runs live in the browser: the game, Q-values, what the agent looks at, curves. Nothing is written."""

    folder: Positional[Path] = Path("runs")
    """A run's folder, or one with runs in it, which may be training; or an export (folder or zip), or hf:owner/name."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than this machine's own makes a token, which is part of the printed address."""
    token: bool = False
    """Make one for this machine's own address too, against its other accounts: without it all can see and steer."""
    port: int | None = None
    """Port to listen on; none: the first free one from 8400; 0: any."""
    allow_host: tuple[str, ...] = ()
    """Further host names under which the page is opened, for example through a proxy."""
    share: float = 0.06
    """CPU seconds per second that playing may take while the run trains."""
    rate: float = 8.0
    """Pictures per second, at most, while the run trains."""
    seed: int = 0
    """Seed of the games that are played."""


def run(argv: list[str]) -> int:
    """Serve the page until Ctrl-C."""
    args = parse(Args, argv, "watch")
    if args.port is not None and not 0 <= args.port < 65536:
        raise UserError(f"--port {args.port} is out of range: it must be between 0 and 65535")
    if not 0 < args.share <= 64:
        raise UserError(f"--share {args.share:g} is out of range: it must be above 0 and at most 64 (cores)")
    if not 0.1 <= args.rate <= 60:
        raise UserError(f"--rate {args.rate:g} is out of range: it must be between 0.1 and 60")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed} is out of range: it must be at least 0")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"watch needs {', '.join(missing)}: python -m pip install 'pixelq[watch]'")
    from pixelq.sharing.place import opened
    from pixelq.web.player_link import PlayerSettings
    from pixelq.web.server import serve

    settings = PlayerSettings(share=args.share, rate=args.rate, seed=args.seed)
    with opened(args.folder, tell) as place:
        serve(
            place.path,
            host=args.host,
            port=args.port,
            names=frozenset(args.allow_host),
            token=args.token,
            settings=settings,
            tell=tell,
        )
    return 0
