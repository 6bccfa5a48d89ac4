import numpy as np
import pytest

from pixelq.tabular.episodes import evaluate, play
from pixelq.tabular.planning import expected_score, value_iteration
from pixelq.tabular.policies import TableAgent, handwritten_policy


def player(name, game, seed=0):
    return handwritten_policy(name, game, np.random.default_rng(seed))


def test_an_episode_is_played_to_its_end(lake):
    agent = TableAgent(value_iteration(lake.model, 0.9), np.random.default_rng(0))
    steps = list(play(agent, lake.make(), seed=3))
    assert [s.state for s in steps] == [0, 4, 8, 9, 13, 14]
    assert [s.next_state for s in steps] == [4, 8, 9, 13, 14, 15]
    assert [s.reward for s in steps] == [0, 0, 0, 0, 0, 1]
    assert [s.terminated for s in steps] == [False] * 5 + [True]
    assert not any(s.truncated for s in steps)


def test_an_episode_that_does_not_end_is_cut(cliff):
    steps = list(play(player("always-left", cliff), cliff.make(), seed=0))
    assert len(steps) == 200
    assert (steps[-1].terminated, steps[-1].truncated) == (False, True)
    assert sum(s.reward for s in steps) == -200


def test_an_evaluation_counts_whole_episodes_and_only_them(slippery_lake):
    games = evaluate(player("random", slippery_lake), slippery_lake, episodes=7, seed=5).games
    assert len(games) == 7
    assert {g.score for g in games} <= {0.0, 1.0}
    assert all(1 <= g.length <= 100 for g in games)


def test_the_same_seed_gives_the_same_episodes(taxi):
    def scores(seed):
        return evaluate(player("random", taxi), taxi, episodes=4, seed=seed).scores.tolist()

    assert scores(1) == scores(1)
    assert scores(1) != scores(2)


@pytest.mark.parametrize(("game", "name"), [("slippery_lake", "random"), ("cliff", "left-right"), ("taxi", "random")])
def test_what_is_played_agrees_with_what_the_table_says(game, name, request):
    game = request.getfixturevalue(game)
    policy = player(name, game, seed=2)
    scores = evaluate(policy, game, episodes=80, seed=9).scores
    exact = expected_score(game.model, policy.probabilities(), game.limit)
    assert abs(scores.mean() - exact) < 4 * max(scores.std(), 0.1) / np.sqrt(len(scores))


def test_epsilon_reaches_the_player(lake):
    agent = TableAgent(value_iteration(lake.model, 0.9), np.random.default_rng(0))
    greedy = evaluate(agent, lake, episodes=20, seed=0)
    random = evaluate(agent, lake, episodes=20, epsilon=1.0, seed=0)
    assert greedy.mean == 1
    assert random.mean < 0.5
    assert (random.epsilon, random.seed) == (1.0, 0)
