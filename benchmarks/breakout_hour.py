"""An hour of Breakout with the default recipe: its curve against wall-clock time, beside CleanRL's PQN.

    python benchmarks/breakout_hour.py --out results/breakout-hour

Trains the recipe that `pixelq train pong` uses, unchanged but for --steps: as many agent steps as two cores play in an
hour, because the learning rate falls to 0 over them. Test games (30, at the recipe's eval_epsilon) every million agent
steps are counted in the hour; the best policy then plays 30 games with other seeds, off the clock.

CleanRL's figure is the one of its documentation: `pqn_atari_envpool.py` on Breakout, 2015 network, 10M agent steps. Its
scores are those of training games under its own preprocessing, so the line is a mark and not a race.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

from keep_result import current_commit, keep, machine
from pixelq.viewing.curves import moving_mean, read_run
from pong_clock import ENVIRONMENT, play_again

CLEANRL_PQN = 384.9
"""Points after 10M agent steps, from CleanRL's documentation of PQN."""


def draw(run: Path, file: Path) -> None:
    """Training scores and test means against minutes."""
    curves = read_run(run)
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    games, tests = curves.episodes, curves.evaluations
    axes.plot(games["seconds"] / 60, moving_mean(games["score"], 100), label="last 100 training games")
    minutes = [float(curves.progress["seconds"][curves.progress["agent_steps"] <= s][-1]) / 60
               for s in tests["agent_steps"]]  # fmt: skip
    axes.plot(minutes, tests["mean"], "o", label="30 test games")
    axes.axhline(CLEANRL_PQN, color="gray", linestyle="--", label=f"CleanRL's PQN after 10M agent steps: {CLEANRL_PQN}")
    axes.set_xlabel("minutes of wall-clock time, test games counted")
    axes.set_ylabel("score")
    axes.set_title(f"Breakout, default recipe, {int(curves.progress['agent_steps'][-1]):,} agent steps")
    axes.grid(True, color="#e3e5e8")
    axes.legend()
    figure.savefig(file, dpi=110)


def main() -> None:
    """Train or finish the run, and keep what proves it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=7_400_000, help="agent steps that take an hour here")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", type=Path, help="where the run is made, or one to finish or only to keep")
    parser.add_argument("--out", type=Path, required=True, help="where the figures and the curve go")
    args = parser.parse_args()
    run = args.run or Path(tempfile.mkdtemp()) / "run"
    options = ["breakout", "--recipe", "default", "--steps", str(args.steps), "--seed", str(args.seed)]
    options += ["--eval-every", "1000000", "--eval-episodes", "30"]
    if not (run / "final").is_dir():
        begun = (run / "config.toml").is_file()
        arguments = ["resume", str(run)] if begun else ["train", *options, "--run-dir", str(run)]
        subprocess.run([sys.executable, "-m", "pixelq", *arguments], env=ENVIRONMENT, check=True)
    again = play_again(run, 30)
    commit = current_commit()
    command = f"python benchmarks/breakout_hour.py --steps {args.steps} --out {args.out}"
    keep(run, args.out, command, commit, "two cores; see hour.json")
    curves = read_run(run)
    found = {
        "command": f"pixelq train {' '.join(options)}",
        "commit": commit,
        "machine": machine(),
        "seconds_of_training": float(curves.progress["seconds"][-1]),
        "agent_steps": int(curves.progress["agent_steps"][-1]),
        "test_means": curves.evaluations["mean"].tolist(),
        "best_policy_again": again,
        "cleanrl_pqn_10m": CLEANRL_PQN,
    }
    (args.out / "hour.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(run, args.out / "hour.png")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
