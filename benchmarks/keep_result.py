"""Copy from a run folder what proves a score, with the commit, the machine and the command that repeats it.

    python benchmarks/keep_result.py runs/pong-1 results/pong-default --command "pixelq train pong"

Kept: config.toml, the CSV files, eval.json, the best (or final) policy's weights and metrics, the plot as PNG. Videos
and checkpoints stay behind: `results/` is to remain small.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from pixelq.viewing.run_label import FILE

KEPT = (
    *("config.toml", "episodes.csv", "progress.csv", "evaluations.csv", "baseline.csv", "eval.json"),
    *("plots/progress.png", "plots/episodes.png", FILE),
)
POLICY = ("policy.safetensors", "metrics.json")


def processor() -> str:
    """The processor's name and the bf16 instructions it has, from /proc/cpuinfo; `platform`'s word elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    return f"{names[0]} ({', '.join(sorted(flags & {'avx512_bf16', 'amx_bf16', 'avx512f', 'avx2'}))})"


def machine() -> dict[str, str | int | None]:
    """Where the run was made."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("torch", "ale-py", "gymnasium", "numpy")},
    }


def current_commit() -> str:
    """Hash of the checkout that this file lies in; empty outside one."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()


def keep(run: Path, result: Path, command: str, commit: str, note: str, label: str = "") -> None:
    """Copy the proof and write `proof.json`; with a label also `label.txt`, which plots and tables name the run by."""
    result.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if (run / name).is_file():
            shutil.copy(run / name, result / Path(name).name)
    best = run / "best" if (run / "best" / POLICY[0]).is_file() else run / "final"
    for name in POLICY:
        if (best / name).is_file():
            shutil.copy(best / name, result / name)
    proof = {"command": command, "commit": commit, "policy": best.name, "note": note, "machine": machine()}
    if label:
        (result / FILE).write_text(f"{label}\n", encoding="utf-8")
    (result / "proof.json").write_text(json.dumps(proof, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("result", type=Path, help="folder in results/")
    parser.add_argument("--command", required=True, help="the command that repeats it")
    parser.add_argument("--commit", help="commit of the code that made the run; default: the current one")
    parser.add_argument("--note", default="", help="what a reader must know: sessions, load of the machine, ...")
    parser.add_argument("--label", default="", help="what plots and tables call the run in place of its recipe")
    args = parser.parse_args()
    if not (args.run / "config.toml").is_file():
        sys.exit(f"{args.run}: not a run folder")
    keep(args.run, args.result, args.command, args.commit or current_commit(), args.note, args.label)


if __name__ == "__main__":
    main()
