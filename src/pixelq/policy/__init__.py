"""From Q-values to actions: `EpsilonGreedy` while training, an `Agent` for a policy that lives alone."""

from pixelq.policy.agent import Agent
from pixelq.policy.epsilon_greedy import EpsilonGreedy

__all__ = ["Agent", "EpsilonGreedy"]
