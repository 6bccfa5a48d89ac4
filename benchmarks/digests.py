"""Short deterministic runs of many recipes and the digests of all that they end with, to prove that a change of the
code changes nothing that is computed.

    python benchmarks/digests.py --out before.json          # on the code before
    python benchmarks/digests.py --against before.json      # on the code after

Digests hold for one machine: another processor, torch or number of threads adds sums up in another order.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SHORT = "--steps 6000 --replay-start 1000 --replay-capacity 20000 --checkpoint-every 4000 --eval-every 5000"
CASES = {
    "cleanrl float32": f"pong --recipe cleanrl {SHORT}",
    "cleanrl bf16": f"breakout --recipe cleanrl --num-envs 8 --precision bf16 {SHORT}",
    "nature2015 float32": f"breakout --recipe nature2015 {SHORT}",
    "double2015 bf16": f"seaquest --recipe double2015 --num-envs 4 --n-step 3 --precision bf16 {SHORT}",
    "dopamine float32": f"pong --recipe dopamine --num-envs 4 {SHORT}",
    "minatar float32": f"MinAtar/Breakout-v1 {SHORT}",
    "car-racing float32": "CarRacing-v3 --steps 1500 --replay-start 500 --baseline-episodes 0 --eval-every 0",
    "default bf16": "pong --steps 16384 --eval-every 10000 --eval-episodes 2 --checkpoint-every 8192",
    "default float32": "breakout --steps 8192 --precision float32 --eval-every 0",
    "pqn bf16": "breakout --recipe pqn --precision bf16 --steps 16384 --num-envs 64 --eval-every 0",
    "cartpole float32": "CartPole-v1 --steps 20000",
}


def digests(options: str, folder: Path) -> dict[str, str]:
    """Train, and return the digest of each part of the run's end."""
    pixelq = [sys.executable, "-m", "pixelq"]
    common = ["--deterministic", "--threads", "2", "--device", "cpu", "--eval-episodes", "2", "--run-dir", str(folder)]
    subprocess.run([*pixelq, "train", *options.split(), *common], check=True, stderr=subprocess.DEVNULL)
    found = json.loads(subprocess.check_output([*pixelq, "verify", str(folder), "--json"]))
    newest = max(found["checkpoints"])
    return {**found["checkpoints"][newest], **found["csv"], **{f"policy {k}": v for k, v in found["policies"].items()}}


def main() -> int:
    """Run every case; 1 if a digest is not what it was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--against", type=Path)
    args = parser.parse_args()
    before = json.loads(args.against.read_text()) if args.against else {}
    found: dict[str, dict[str, str]] = {}
    changed = 0
    with tempfile.TemporaryDirectory() as runs:
        for i, (name, options) in enumerate(CASES.items()):
            found[name] = digests(options, Path(runs) / str(i))
            others = [part for part, digest in before.get(name, {}).items() if found[name].get(part) != digest]
            changed += len(others)
            same = "changed: " + ", ".join(others) if others else "the same" if before else "done"
            print(f"{name:<20} {len(found[name])} parts, {same}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
