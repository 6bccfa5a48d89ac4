"""Q-tables: games with a finite number of states, where the network is a table and the exact answer is known.

game = open_game("FrozenLake-v1", slippery=False)
for test in learn(game, QLearning(), exploration=generator_1, episodes=generator_2, tests=generator_3):
    print(test.agent_steps, test.evaluation.mean)
agent = TableAgent(test.q, generator_4)
"""

from __future__ import annotations

from pixelq.tabular.episodes import evaluate, play
from pixelq.tabular.game import TabularGame, open_game
from pixelq.tabular.model import TransitionModel
from pixelq.tabular.optimality import Optimality, measure_optimality
from pixelq.tabular.planning import value_iteration
from pixelq.tabular.policies import BlindPolicy, TableAgent, handwritten_policy
from pixelq.tabular.q_learning import QLearning, Test, learn, q_learning_update
from pixelq.tabular.table_run import load_table

__all__ = [
    "BlindPolicy",
    "Optimality",
    "QLearning",
    "TableAgent",
    "TabularGame",
    "Test",
    "TransitionModel",
    "evaluate",
    "handwritten_policy",
    "learn",
    "load_table",
    "measure_optimality",
    "open_game",
    "play",
    "q_learning_update",
    "value_iteration",
]
