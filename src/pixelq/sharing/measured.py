"""The evaluation that an export shows: played anew, or the run's own, if that is of the very same weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from pixelq.checkpoints.digests import policy_digest
from pixelq.errors import UserError
from pixelq.policy import Agent
from pixelq.runs.evaluation import Evaluation
from pixelq.runs.game_report import report_games, scores_told
from pixelq.runs.scores import Episode
from pixelq.sharing.files import EVALUATION, POLICY, READ

EPISODES, SEED_OF_GAMES = 30, 1_000_000
"""What `pixelq eval` plays where nothing else is asked for; with the configuration's `eval_epsilon`."""
MOST_GAMES = 100_000


class Wanted(NamedTuple):
    """What a person asks of the evaluation; None: nothing."""

    episodes: int | None = None
    epsilon: float | None = None
    seed: int | None = None


def measured(
    agent: Agent, file: Path, folder: Path, wanted: Wanted, *, threads: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The numbers of whole test games with a policy, as in `pixelq.runs.game_report`, and `measured_by`.

    Args:
        agent: the policy.
        file: its file.
        folder: where an evaluation of it may lie: eval.json of a run, evaluation.json of an export.
        wanted: what a person asks for.
        threads: emulator threads; 0: one per core.
        tell: called with what is done.

    Raises:
        UserError: the game is not there, or not the one that the policy was trained on.
        EnvironmentFailedError: an environment raised an exception.
    """
    digest = policy_digest(file)
    for name in (EVALUATION, "eval.json"):
        if (report := _earlier(folder / name, digest, agent, wanted)) is not None:
            tell(f"evaluation: that of {name}, which is of this very policy ({report['episodes']} games)")
            return report
    episodes = EPISODES if wanted.episodes is None else wanted.episodes
    epsilon = agent.config.eval_epsilon if wanted.epsilon is None else wanted.epsilon
    seed = SEED_OF_GAMES if wanted.seed is None else wanted.seed
    tell(f"evaluation: playing {episodes} games")
    report = report_games(agent, file, episodes=episodes, epsilon=epsilon, seed=seed, threads=threads, tell=tell)
    return {**report, "policy": POLICY, "measured_by": "pixelq export"}


def _earlier(file: Path, digest: str, agent: Agent, wanted: Wanted) -> dict[str, Any] | None:
    """An evaluation that lies there, if it is of these weights and as wanted; every number that follows from the games
    is worked out anew."""
    try:
        if file.is_symlink() or file.stat().st_size > READ[EVALUATION]:
            return None
        told = json.loads(file.read_bytes())
        if told["policy_digest"] != digest or told["game"] != agent.config.game:
            return None
        games = [
            Episode(int(game["environment"]), _finite(game["score"]), int(game["length"])) for game in told["games"]
        ]
        cut, random, played = int(told["cut_games"]), told["random_agent_measured"], told.get("random_agent_games")
        result = Evaluation(games, _finite(told["epsilon"]), int(told["seed"]), cut)
        asked = [(wanted.episodes, len(games)), (wanted.epsilon, result.epsilon), (wanted.seed, result.seed)]
        if not 1 <= len(games) <= MOST_GAMES or not 0 <= cut <= len(games) or not 0 <= result.epsilon <= 1:
            return None
        if any(want is not None and want != found for want, found in asked):
            return None
        return {
            "policy": POLICY,
            "policy_digest": digest,
            "game": agent.config.game,
            "sticky_actions": agent.config.sticky_actions,
            "env_kwargs": agent.config.env_kwargs,
            **scores_told(result, agent),
            "random_agent_measured": None if random is None else _finite(random),
            "random_agent_games": None if played is None else int(played),
            "games": [asdict(game) for game in games],
            "measured_by": "pixelq eval" if told.get("measured_by") != "pixelq export" else "pixelq export",
        }
    except (OSError, UserError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None  # there is none, or it is damaged: the games are played anew


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)
