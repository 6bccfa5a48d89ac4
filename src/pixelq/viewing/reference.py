"""Published curves and scores of a game, their protocols, and how a run's protocol differs from them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.errors import UserError

CURVE_COLUMNS = ("game", "agent", "million_frames", "mean_return", "min_run", "max_run", "runs")
SCORE_COLUMNS = ("source", "algorithm", "game", "agent_steps", "score", "spread", "protocol")


@dataclass(frozen=True)
class ReferenceCurve:
    """Training return of a published agent. Point m covers the games that ended in the m-th million frames."""

    agent: str
    million_frames: np.ndarray
    """int64 `(points,)`."""
    mean: np.ndarray
    """Mean over the runs, in points, float64 `(points,)`."""
    low: np.ndarray
    """The lowest run, float64 `(points,)`."""
    high: np.ndarray
    """The highest run, float64 `(points,)`."""
    runs: int


@dataclass(frozen=True)
class PublishedScore:
    """A final score from a paper or a library."""

    source: str
    algorithm: str
    agent_steps: int
    score: float
    spread: float | None
    protocol: str


@dataclass(frozen=True)
class Aspect:
    """One item of the protocol that scores are measured with: that of a run and that of the reference, in words."""

    name: str
    run: str
    reference: str

    @property
    def differs(self) -> bool:
        """Whether run and reference differ in it."""
        return self.run != self.reference


# --- reading --------------------------------------------------------------------------------------------------------


def read_curves(path: Path, game: str) -> dict[str, ReferenceCurve]:
    """Every agent's curve of one game, by agent name, from a CSV with `CURVE_COLUMNS`.

    Raises:
        UserError: the file is missing or damaged, or has no curve of this game.
    """
    rows: dict[str, list[tuple[float, ...]]] = {}
    key = _key(resolve_game(game).name)
    for line, row in _rows(path, CURVE_COLUMNS):
        if _key(row["game"]) == key:
            values = tuple(_number(path, line, row, name) for name in CURVE_COLUMNS[2:])
            rows.setdefault(row["agent"], []).append(values)
    if not rows:
        raise UserError(f"{path}: no curve of {game}; give another file with --reference")
    curves = {}
    for agent, points in rows.items():
        table = np.array(sorted(points))
        million, mean, low, high, runs = table.T
        curves[agent] = ReferenceCurve(agent, million.astype(np.int64), mean, low, high, int(runs.max()))
    return curves


def read_scores(path: Path, game: str) -> list[PublishedScore]:
    """The final scores of one game from a CSV with `SCORE_COLUMNS`; `same` in `protocol` means that of the row above.

    Raises:
        UserError: the file is missing or damaged.
    """
    scores, protocol, key = [], "", _key(resolve_game(game).name)
    for line, row in _rows(path, SCORE_COLUMNS):
        protocol = protocol if row["protocol"] == "same" else row["protocol"]
        if _key(row["game"]) == key:
            scores.append(
                PublishedScore(
                    source=row["source"],
                    algorithm=row["algorithm"],
                    agent_steps=int(_number(path, line, row, "agent_steps")),
                    score=_number(path, line, row, "score"),
                    spread=_number(path, line, row, "spread") if row["spread"] else None,
                    protocol=protocol,
                )
            )
    return scores


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Each row with its line number."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader]
            found = reader.fieldnames or []
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; --reference takes a CSV with the columns {', '.join(columns)}"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from None
    missing = [name for name in columns if name not in found]
    if missing:
        raise UserError(f"{path} line 1: column {missing[0]!r} is missing; it needs {', '.join(columns)}")
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(f"{path} line {line}: not {len(found)} values; fix or delete that line")
    return rows


def _number(path: Path, line: int, row: dict[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise UserError(f"{path} line {line}: {name} = {row[name]!r} is not a number; fix or delete that line")
    return value


def _key(name: str) -> str:
    """The same text for all spellings of a game (beamrider, beam_rider)."""
    return name.replace("_", "").lower()


# --- protocols ------------------------------------------------------------------------------------------------------


def protocol(config: Config, seeds: int) -> list[Aspect]:
    """The protocol of a run's training scores, beside that of Dopamine's published curves.

    Dopamine's side is Castro et al. 2018 (arXiv 1812.06110, section 3) and its code: `atari_lib.AtariPreprocessing`
    (no no-ops, no FIRE, no life loss), `dqn.gin` (epsilon, warm-up, 27,000 agent steps a game) and `networks.py`
    (Flax's padding, Xavier's weights).
    """
    return [
        Aspect("score", "training games", "training games"),
        Aspect("sticky actions", f"{config.sticky_actions:g}", "0.25"),
        Aspect("epsilon while training", _epsilon(config), "1 to 0.01 over 250,000 agent steps, after 20,000 at 1"),
        Aspect("a lost life", "ends the target" if config.life_loss_ends_target else "no signal", "no signal"),
        Aspect("start of a game", _start(config), "as the emulator starts it"),
        Aspect(
            "frames per agent step",
            f"{config.frame_skip}{', maximum of the last two' if config.max_pool else ''}",
            "4, maximum of the last two",
        ),
        Aspect("observation", _observation(config), "4 gray frames of 84x84"),
        Aspect("actions", "all 18" if config.full_action_set else "the game's minimal set", "the game's minimal set"),
        Aspect("longest game", f"{config.max_frames_per_episode:,} frames", "108,000 frames"),
        Aspect(
            "network",
            f"torso {config.torso}, padding {config.padding}, norm {config.norm}, head {config.head}",
            "torso 2015, padding same, norm none, head linear",
        ),
        Aspect("initial weights", config.initialisation, "xavier"),
        Aspect("precision", config.precision, "float32"),
        Aspect("environments", str(config.num_envs), "1"),
        Aspect("optimizer", _step_size(config), "adam 6.25e-05, eps 0.00015"),
        Aspect("runs", str(seeds), "5"),
    ]


def score_differences(config: Config, score: PublishedScore) -> list[str]:
    """How a published score's protocol differs from that of a run's training games, in words.

    Args:
        config: the run's.
        score: the published one.
    """
    differences = []
    epsilon = re.search(r"epsilon (\d*\.?\d+)", score.protocol)
    if epsilon:
        differences.append(f"test games at epsilon {epsilon[1]}")
    elif "training return" not in score.protocol:
        differences.append("training or test games: not stated")
    if "no sticky actions" in score.protocol and config.sticky_actions > 0:
        differences.append(f"no sticky actions, not {config.sticky_actions:g}")
    if "sticky" not in score.protocol and config.sticky_actions > 0:
        differences.append(f"sticky actions not stated, here {config.sticky_actions:g}")
    if "best of" in score.protocol:
        differences.append("the best, not the mean")
    return differences


def _epsilon(config: Config) -> str:
    start, end, steps = config.epsilon_start, config.epsilon_end, config.epsilon_steps
    if config.epsilon_schedule == "constant":
        return f"{start:g} throughout"
    if config.epsilon_schedule == "linear":
        how = f"{start:g} to {end:g} over {steps:,} agent steps"
    else:
        how = f"{start:g} to {end:g} by {config.epsilon_schedule}, {steps:,} agent steps"
    return f"{how}, after {config.epsilon_begin:,} at {start:g}" if config.epsilon_begin else how


def _step_size(config: Config) -> str:
    if config.learning_rate_end is None:
        return f"{config.optimizer} {config.learning_rate:g}, eps {config.optimizer_eps:g}"
    return f"{config.optimizer} {config.learning_rate:g} to {config.learning_rate_end:g}, eps {config.optimizer_eps:g}"


def _start(config: Config) -> str:
    parts = []
    if config.noop_max:
        parts.append(f"up to {config.noop_max} no-op frames")
    if config.fire_on_reset:
        parts.append("FIRE where the game waits for it")
    if config.opening_fire_max:
        parts.append(f"FIRE held for 1 to {config.opening_fire_max} agent steps")
    if config.fire_on_life_loss:
        parts.append("FIRE after every lost life")
    return ", ".join(parts) or "as the emulator starts it"


def _observation(config: Config) -> str:
    colour = "gray" if config.grayscale else "colour"
    return f"{config.frame_stack} {colour} frames of {config.screen_size}x{config.screen_size}"
