"""`pixelq export RUN`: a folder or zip to pass on, with a model card; on wish uploaded to the Hugging Face hub."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from pixelq.cli.arguments import Output, flags, parse
from pixelq.cli.policy_choice import chosen_policy
from pixelq.errors import UserError
from pixelq.files.plain_files import output_path
from pixelq.recipes.unused import check_threads
from pixelq.standard_error import tell

if TYPE_CHECKING:
    from pixelq.sharing.bundle import Made

EXPORTS = Path("exports")


@dataclass(frozen=True)
class Args:
    """Put a policy with all that belongs to it into a folder or zip: configuration, evaluation, video, learning curve,
    and a model card as the Hugging Face hub shows it. Nothing is overwritten."""

    run: Positional[Path]
    """Run folder, policy.safetensors, or an export; with --push alone an export's folder is uploaded as it is."""
    output: Output = None
    """The folder to make, or a zip (x.zip); none: exports/<name of the run>."""
    policy: Literal["best", "final"] = "best"
    """Which policy of the run."""
    episodes: int | None = None
    """Whole games of the evaluation; none: those of the run's own, if that was of this very policy, else 30."""
    epsilon: float | None = None
    """Probability of a random action in them; none: the run's eval_epsilon."""
    seed: int | None = None
    """Seed of these games; none: 1000000."""
    video: bool = True
    """Record a game with the Q-values beside it."""
    video_steps: int = 4_500
    """Longest video, in agent steps (15 a second in Atari)."""
    onnx: bool = False
    """Also write policy.onnx, checked by ONNX Runtime on states of the game (extra onnx)."""
    torch_export: bool = False
    """Also write policy.pt2, a program of torch.export, checked likewise in a process without pixelq."""
    torchscript: bool = False
    """Also write policy.torchscript.pt, checked likewise."""
    license: str | None = None
    """Licence of the weights, as the hub calls it (mit, apache-2.0, cc-by-4.0, ...); none: none is named."""
    push: str | None = None
    """Upload to this repository on the hub, owner/name (extra hub); needs a token (`hf auth login`)."""
    private: bool = False
    """A new repository is visible to its owner alone."""
    device: Literal["auto", "cpu", "cuda", "mps", "vulkan"] = "auto"
    """Where Q-values are computed."""
    threads: int = 0
    """CPU threads; 0: one per core."""


def run(argv: list[str]) -> int:
    """Make the export, and upload it if asked to."""
    args = parse(Args, argv, "export")
    _check(args)
    if args.output is not None and re.search(r"\.zip[/\\]+$", args.output, re.I):
        raise UserError(f"--output {args.output}: a zip is a file; leave the slash out, or name a folder")
    from pixelq.tabular.table_run import is_table_run

    if is_table_run(args.run):
        raise UserError(f"{args.run}: a Q-table's run, which is small and text: pass the folder on as it is")
    from pixelq.sharing import hub
    from pixelq.sharing.bundle import check_free, is_export

    again = args.push is not None and args.output is None and is_export(args.run)
    target = EXPORTS / _name(args.run) if args.output is None else output_path(args.output, None, "--output")
    if again:
        _check_nothing_else(args, argv)
    else:
        check_free(target)
        if args.onnx:
            from pixelq.sharing.onnx_program import check_installed

            check_installed()
    if args.push is not None:
        if not sys.stderr.isatty():  # the library reads it when it is loaded; its bars are for people
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        tell(f"signed in as {hub.signed_in()}")
    if again:
        return _upload_again(args)
    made, address = _export(args, target)
    print(f"{target}: {len(made.names)} files; {_score(made.report)}")
    if address:
        print(address)
    return 0


def _score(report: Mapping[str, Any]) -> str:
    """The evaluation in a few words."""
    if report["interval_95"] is None:
        return f"{report['mean']:.2f} in one game"
    low, high = report["interval_95"]
    return f"mean {report['mean']:.2f} of {report['episodes']} games (95% interval {low:.2f} to {high:.2f})"


def _export(args: Args, target: Path) -> tuple[Made, str]:
    """Write the export; the address where it was uploaded, empty if it was not."""
    from pixelq.machine.device import choose_device, prepare_cpu
    from pixelq.sharing.bundle import Choice, copied, fill, new_export
    from pixelq.sharing.measured import Wanted
    from pixelq.sharing.place import opened

    choice = Choice(
        evaluation=Wanted(args.episodes, args.epsilon, args.seed),
        video_steps=args.video_steps if args.video else 0,
        onnx=args.onnx,
        torch_export=args.torch_export,
        torchscript=args.torchscript,
        license=args.license.lower() if args.license else None,
        name=args.push.rpartition("/")[2] if args.push else _name(target),
        repository=args.push,
    )
    device, _ = choose_device(args.device)
    threads = prepare_cpu(args.threads)
    address = ""
    with opened(args.run, tell) as place, new_export(target) as folder:
        file = chosen_policy(place, args.policy)
        agent = copied(file, folder, device)
        made = fill(folder, agent, _run_of(place.path, file), choice, threads=threads, tell=tell)
        if args.push and target.suffix.lower() == ".zip":
            address = _upload(args, folder, made.names)
    if args.push and not address:
        address = _upload(args, target, made.names)
    return made, address


def _check_nothing_else(args: Args, argv: list[str]) -> None:
    """Refuse options that an export which lies there cannot heed.

    Raises:
        UserError: there is one.
    """
    useless = [name for name in flags(argv) if name.removeprefix("no_") not in ("push", "private")]
    if useless:
        raise UserError(
            f"--{useless[0].replace('_', '-')}: {args.run} is an export, which --push uploads as it is; leave "
            "this out, or name a new one with --output"
        )


def _upload_again(args: Args) -> int:
    """Upload an export that lies there."""
    from pixelq.checkpoints.policy_file import load_agent
    from pixelq.sharing.bundle import exported_names

    load_agent(args.run)  # a damaged one is not passed on
    print(_upload(args, args.run, exported_names(args.run)))
    return 0


def _upload(args: Args, folder: Path, names: list[str]) -> str:
    from pixelq.sharing import hub

    assert args.push is not None
    target = hub.hub_id(args.push)
    assert target is not None
    tell(f"uploading {len(names)} files to {target}")
    return hub.upload(folder, target, names, private=args.private, message="Exported by pixelq")


def _run_of(path: Path, file: Path) -> Path:
    """The folder of the run that a policy's file belongs to: CSV files and evaluation lie there."""
    if path.is_dir():
        return path
    in_run = file.parent.name in ("best", "final") and (file.parent.parent / "config.toml").is_file()
    return file.parent.parent if in_run else file.parent


def _name(path: Path) -> str:
    """A name for what lies at a path: letters, digits, dots, dashes and underscores."""
    name = path.resolve().name if str(path) in (".", "..") else path.name
    name = re.sub(r"\.(zip|safetensors)$", "", name, flags=re.I)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "policy"


def _check(args: Args) -> None:
    from pixelq.sharing.hub import hub_id

    if args.episodes is not None and args.episodes < 1:
        raise UserError(f"--episodes {args.episodes} is out of range: play at least 1 game")
    if args.epsilon is not None and not 0 <= args.epsilon <= 1:
        raise UserError(f"--epsilon {args.epsilon} is out of range: it must be between 0 and 1")
    if args.seed is not None and args.seed < 0:
        raise UserError(f"--seed {args.seed} is out of range: it must be at least 0")
    if args.video_steps < 1:
        raise UserError(f"--video-steps {args.video_steps} is out of range: at least 1, or --no-video")
    check_threads(args.threads)
    if args.license is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,49}", args.license):
        raise UserError(f"--license {args.license!r:.60}: not a licence's short name, such as mit or apache-2.0")
    if args.push is None and args.private:
        raise UserError("--private has no effect without --push; leave it out")
    if args.push is not None:
        found = hub_id(args.push.removeprefix("hf:"))
        if found is None or found.revision is not None:
            raise UserError(f"--push {args.push!r:.120}: no name of a repository on the hub; it is owner/name")
