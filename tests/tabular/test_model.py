import gymnasium
import numpy as np
import pytest

from pixelq.errors import UserError
from pixelq.tabular.game import open_game
from pixelq.tabular.model import transition_model


@pytest.mark.parametrize("name", ["FrozenLake-v1", "Taxi-v3", "CliffWalking-v1", "CliffWalkingSlippery-v1"])
def test_the_model_is_the_games_own_table(name):
    game = open_game(name)
    table = game.make().unwrapped.P
    for s in range(game.states):
        for a in range(game.actions):
            wanted = [(float(p), int(to), float(r), bool(end)) for p, to, r, end in table[s][a]]
            m = game.model
            fields = (m.probability[s, a], m.next_state[s, a], m.reward[s, a], m.terminated[s, a])
            assert [row for row in zip(*(f.tolist() for f in fields), strict=True) if row[0] > 0] == wanted


def test_what_is_played_has_the_models_frequencies(slippery_lake):
    env = slippery_lake.make()
    counts = np.zeros(16)
    generator = np.random.default_rng(0)
    for _ in range(600):
        env.reset(seed=int(generator.integers(2**31)))
        counts[env.step(2)[0]] += 1
    m = slippery_lake.model
    wanted = np.zeros(16)
    np.add.at(wanted, m.next_state[0, 2], 600 * m.probability[0, 2])
    assert np.abs(counts - wanted).max() < 5 * np.sqrt(600 / 4)
    assert counts[wanted == 0].sum() == 0


@pytest.mark.parametrize(("game", "states"), [("lake", 11), ("cliff", 37), ("taxi", 400)])
def test_only_states_where_an_action_is_chosen_count(game, states, request):
    visitable = request.getfixturevalue(game).model.visitable()
    assert visitable.sum() == states


def test_only_the_goal_is_a_success(lake):
    success = lake.model.success()
    assert [tuple(x) for x in np.argwhere(success)[:, :2]] == [(14, 2)]


def test_a_game_that_never_ends_has_no_success(corridor_id):
    gymnasium.spec(corridor_id).kwargs["table"] = "endless"
    assert open_game(corridor_id).model.success().sum() == 0


@pytest.mark.parametrize(
    ("table", "start", "message"),
    [
        ({}, [1.0], "is not understood"),
        ({0: {0: [(1.0, 0)]}}, [1.0], "is not understood"),
        ({0: {0: [(1.0, 0, "much", False)]}}, [1.0], "is not understood"),
        ({0: {0: [(0.5, 0, 0, False)]}}, [1.0], "not a probability distribution"),
        ({0: {0: [(1.0, 1, 0, False)]}}, [1.0], "not a probability distribution"),
        ({0: {0: [(1.0, 0, 0, False)]}}, [0.5], "not a probability distribution"),
        ({0: {0: [(1.0, 0, 0, False)]}}, [0.5, 0.5], "not a probability distribution"),
    ],
)
def test_a_damaged_table_is_refused(table, start, message):
    with pytest.raises(UserError, match=message):
        transition_model(table, start, 1, 1, "Mine-v0")
