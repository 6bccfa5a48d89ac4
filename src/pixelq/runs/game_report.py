"""What whole test games say of a policy, as `pixelq eval` prints it and writes it into eval.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pixelq.checkpoints.digests import policy_digest
from pixelq.policy import Agent
from pixelq.runs.evaluation import Evaluation, evaluate, human_normalized, random_and_human_of

RANDOM_GAMES = 30
"""Most games that a random agent plays beside the policy."""


def report_games(
    agent: Agent, file: Path, *, episodes: int, epsilon: float, seed: int, threads: int,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:  # fmt: skip
    """Play whole games with a policy, and some with a random agent; every number is JSON.

    Args:
        agent: the policy.
        file: its file, whose weights' digest the report holds.
        episodes: whole games.
        epsilon: probability of a random action.
        seed: of the games and of the random actions.
        threads: emulator threads; 0: one per core.
        tell: called with how far the games are.

    Raises:
        UserError: the file is damaged, or the game is not the one that the policy was trained on.
        EnvironmentFailedError: an environment raised an exception.
    """
    config = agent.config
    digest = policy_digest(file)
    result = evaluate(agent, config, episodes=episodes, epsilon=epsilon, seed=seed, threads=threads, tell=tell)
    random = evaluate(
        None, config, episodes=min(episodes, RANDOM_GAMES), epsilon=1.0, seed=seed, threads=threads,
        tell=lambda text: tell(f"random agent: {text}"),
    )  # fmt: skip
    return {
        "policy": str(file),
        "policy_digest": digest,
        "game": config.game,
        "sticky_actions": config.sticky_actions,
        "env_kwargs": config.env_kwargs,
        **scores_told(result, agent),
        "random_agent_measured": random.mean,
        "random_agent_games": len(random.games),
        "games": [asdict(game) for game in result.games],
    }


def scores_told(result: Evaluation, agent: Agent) -> dict[str, Any]:
    """The numbers of an evaluation: how it was played, mean and interval, and published scores beside it."""
    published = random_and_human_of(agent.config)
    return {
        "episodes": len(result.games),
        "epsilon": result.epsilon,
        "seed": result.seed,
        **result.told(),
        "cut_games": result.cut,
        "mean_length_agent_steps": sum(g.length for g in result.games) / len(result.games),
        "human_normalized": human_normalized(result.mean, agent.config),
        "random_agent_published": published[0] if published else None,
        "human_published": published[1] if published else None,
    }
