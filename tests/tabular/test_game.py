import warnings

import gymnasium
import pytest

from pixelq.errors import UserError
from pixelq.tabular.game import open_game


@pytest.mark.parametrize(
    ("name", "states", "actions", "limit"),
    [("FrozenLake-v1", 16, 4, 100), ("FrozenLake8x8-v1", 64, 4, 200), ("Taxi-v3", 500, 6, 200)],
)
def test_a_game_opens_with_its_own_limit(name, states, actions, limit):
    game = open_game(name)
    assert (game.states, game.actions, game.limit) == (states, actions, limit)


def test_a_game_without_a_limit_gets_one(cliff):
    env = cliff.make()
    env.reset(seed=0)
    ends = [env.step(3)[2:4] for _ in range(cliff.limit)]
    assert cliff.limit == 200
    assert ends == [(False, False)] * 199 + [(False, True)]


def test_a_limit_can_be_chosen():
    env = open_game("FrozenLake-v1", limit=3).make()
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(3)] == [False, False, True]


def test_taxi_v3_is_played_whatever_gymnasium_calls_it(taxi):
    assert taxi.name in ("Taxi-v3", "Taxi-v4")
    assert taxi.name in gymnasium.registry


def test_an_id_without_its_version_gets_the_newest_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_game("FrozenLake").name == "FrozenLake-v1"


def test_ice_slips_only_if_it_should(lake, slippery_lake):
    assert (lake.model.probability.max(axis=2) == 1).all()
    assert slippery_lake.model.probability[0].max() < 0.4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Pendulum-v1", r"Pendulum-v1: its actions are continuous \(Box\); a table needs Discrete ones"),
        ("CartPole-v1", r"CartPole-v1: its observations are continuous \(Box\)"),
        ("Blackjack-v1", r"Blackjack-v1: its observations are of a Tuple space"),
        ("FrozenLaek-v1", r"unknown environment 'FrozenLaek-v1'; did you mean FrozenLake-v1"),
        ("frozenlake-v1", r"did you mean FrozenLake-v1"),
        ("Zzz-v0", r"unknown environment 'Zzz-v0'; for example FrozenLake-v1"),
        ("FrozenLake-v0", r"cannot be made \(Environment version v0"),
        ("no_such_module:X-v0", r"cannot be made \(No module named 'no_such_module'"),
        ("not an id!", r"cannot be made \(Malformed"),
    ],
)
def test_what_no_table_can_learn_is_refused_in_one_line(name, message):
    with pytest.raises(UserError, match=message) as error:
        open_game(name)
    assert "\n" not in str(error.value)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    def without_box2d(*_, **__):
        raise gymnasium.error.DependencyNotInstalled("Box2D is not installed, run `pip install 'gymnasium[box2d]'`")

    monkeypatch.setattr(gymnasium, "make", without_box2d)
    with pytest.raises(UserError, match=r"LunarLander-v3: a package that it needs is missing \(.*pip install"):
        open_game("LunarLander-v3")


def test_only_a_game_with_a_slippery_form_takes_the_choice():
    with pytest.raises(UserError, match="has no slippery form; leave --no-slippery out"):
        open_game("Taxi-v3", slippery=False)


def test_a_limit_below_one_is_refused():
    with pytest.raises(UserError, match="--max-episode-steps 0 is out of range"):
        open_game("FrozenLake-v1", limit=0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("absent", r"has no transition table \(env.unwrapped.P\)"),
        ("short", "is not understood"),
        ("half", "not a probability distribution"),
        ("outside", "not a probability distribution"),
        ("shifted", "numbered from 1"),
    ],
)
def test_a_game_with_a_bad_table_is_refused(corridor_id, table, message):
    gymnasium.spec(corridor_id).kwargs["table"] = table
    with pytest.raises(UserError, match=message):
        open_game(corridor_id)
