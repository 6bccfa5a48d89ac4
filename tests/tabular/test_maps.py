import numpy as np
import pytest

from pixelq.tabular.game import open_game
from pixelq.tabular.maps import DOWN, LEFT, RIGHT, UP


@pytest.mark.parametrize("name", ["lake", "cliff", "taxi"])
def test_every_move_goes_to_the_neighbour_on_the_map_unless_a_wall_is_between(name, request):
    game = request.getfixturevalue(name)
    moves = 0
    for panel in game.map.panels:
        rows, columns = panel.states.shape
        for (row, column), state in np.ndenumerate(panel.states):
            if not game.model.visitable()[state]:
                continue
            for action, (down, right) in game.map.directions.items():
                to = (row + down, column + right)
                inside = 0 <= to[0] < rows and 0 <= to[1] < columns
                blocked = inside and right != 0 and panel.walls[row, max(column, to[1])]
                wanted = panel.states[to] if inside and not blocked else state
                if inside and panel.letters[to] == "C":
                    wanted = panel.states[-1, 0]  # off the cliff, back to the start
                assert game.model.next_state[state, action, 0] == wanted
                moves += 1
    assert moves == 4 * game.model.visitable().sum()


@pytest.mark.parametrize("name", ["lake", "cliff", "taxi"])
def test_every_state_that_counts_lies_on_the_map_once(name, request):
    game = request.getfixturevalue(name)
    places = np.concatenate([panel.states.ravel() for panel in game.map.panels])
    counted = np.flatnonzero(game.model.visitable())
    assert len(places) == len(set(places.tolist()))
    assert set(counted) <= set(places)


def test_the_taxi_has_sixteen_maps_named_by_passenger_and_destination(taxi):
    titles = [panel.title for panel in taxi.map.panels]
    assert len(set(titles)) == 16
    assert titles[0] == "passenger at R, to G"
    assert titles[-1] == "passenger in the taxi, to B"
    env = taxi.make().unwrapped
    assert taxi.map.state_name(env.encode(3, 1, 4, 2)) == "taxi at row 3, column 1; passenger inside, to Y"
    assert env.encode(2, 4, 0, 1) == taxi.map.panels[0].states[2, 4]


def test_letters_are_where_the_game_has_them(lake, cliff):
    assert ["".join(row) for row in lake.map.panels[0].letters] == ["SFFF", "FHFH", "FFFH", "HFFG"]
    assert "".join(cliff.map.panels[0].letters[3]) == "SCCCCCCCCCCG"
    assert lake.map.state_name(5) == "row 1, column 1 H"


def test_actions_are_known_by_number_name_and_direction(lake, taxi):
    assert lake.map.directions == {0: LEFT, 1: DOWN, 2: RIGHT, 3: UP}
    assert [lake.map.action(w) for w in ("0", "down", "RIGHT", "3", "4", "-1", "jump")] == [
        0,
        1,
        2,
        3,
        None,
        None,
        None,
    ]
    assert [taxi.map.action(w) for w in ("left", "west", "dropoff", "5")] == [3, 3, 5, 5]
    assert [taxi.map.sign(a) for a in range(6)] == ["↓", "↑", "→", "←", "P", "D"]


def test_a_game_without_a_known_map_gets_rows_of_states(corridor_id):
    corridor = open_game(corridor_id).map
    assert corridor.panels[0].states.tolist() == [[0, 1, 2, 3]]
    assert (corridor.actions, corridor.directions, corridor.sign(1)) == (["0", "1"], {}, "1")
    assert corridor.action("left") is None


def test_many_states_without_a_map_fill_rows_of_twelve(corridor_id):
    import gymnasium

    gymnasium.spec(corridor_id).kwargs["length"] = 14
    states = open_game(corridor_id).map.panels[0].states
    assert states[0].tolist() == list(range(12))
    assert states[1].tolist() == [12, 13, *[-1] * 10]
