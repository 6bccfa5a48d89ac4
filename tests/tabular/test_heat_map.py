import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from PIL import Image

from pixelq.errors import UserError
from pixelq.tabular.game import open_game
from pixelq.tabular.heat_map import draw_heat_map, write_heat_map
from pixelq.tabular.planning import value_iteration


def cells(figure):
    return [
        collection
        for axes in figure.axes
        for collection in axes.collections
        if type(collection) is PolyCollection and axes.get_xlim()[0] == 0
    ]


def words(axes):
    return [(t.get_text(), t.get_color()) for t in axes.texts]


def test_every_action_of_every_state_is_a_triangle_of_its_values_colour(slippery_lake):
    exact = value_iteration(slippery_lake.model, 0.9)
    table = exact * 0.5
    learned, truth = cells(draw_heat_map(table, slippery_lake, 0.9, "lake"))
    counts = slippery_lake.model.visitable()
    assert sorted(learned.get_array()) == sorted(table[counts].ravel())
    assert sorted(truth.get_array()) == sorted(exact[counts].ravel())
    assert learned.norm is truth.norm
    path = learned.get_paths()[list(learned.get_array()).index(table[14, 2])].vertices
    assert path.min(axis=0).tolist() == [2.5, 3.0]  # state 14 is row 3, column 2; its right-hand triangle
    assert path.max(axis=0).tolist() == [3.0, 4.0]


def test_an_action_that_is_not_optimal_is_red(lake):
    table = value_iteration(lake.model, 0.9)
    table[14] = [1, 0, 0, 0]
    figure = draw_heat_map(table, lake, 0.9, "lake")
    arrows = [[w for w in words(axes) if w[0] in "←↑→↓"] for axes in figure.axes[:2]]
    assert [len(a) for a in arrows] == [11, 11]
    assert [a for a in arrows[0] if a[1] != "black"] == [("←", "#d00000")]
    assert all(colour == "black" for _, colour in arrows[1])


def test_the_taxi_has_all_its_maps_twice(taxi):
    figure = draw_heat_map(value_iteration(taxi.model, 0.9), taxi, 0.9, "taxi")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 32
    assert titles[:16] == titles[16:] == [panel.title for panel in taxi.map.panels]
    assert len(figure.axes[0].lines) == 6  # walls


@pytest.mark.parametrize("name", ["lake", "taxi", "cliff"])
def test_arrows_can_be_read_and_the_colours_are_named(name, request):
    game = request.getfixturevalue(name)
    figure = draw_heat_map(value_iteration(game.model, 0.9), game, 0.9, name)
    assert figure.axes[-1].get_ylabel() == "Q(s, a), in discounted points"
    assert figure.texts[1].get_text().startswith("learned; red: not optimal")
    axes = figure.axes[0]
    cell = 72 * figure.get_figwidth() * axes.get_position().width / axes.get_xlim()[1]  # points
    arrows = [text for text in axes.texts if text.get_text() in "←↑→↓PD"]
    assert arrows
    assert all(12 <= text.get_fontsize() <= cell / 2 for text in arrows)


def test_the_taxis_letters_are_explained(taxi):
    figure = draw_heat_map(value_iteration(taxi.model, 0.9), taxi, 0.9, "taxi")
    assert figure.texts[1].get_text() == "learned; red: not optimal; P pickup; D dropoff"


def test_the_scale_spans_greedy_values_not_the_fall_off_the_cliff(cliff):
    exact = value_iteration(cliff.model, 0.9)
    learned, _ = cells(draw_heat_map(exact, cliff, 0.9, "cliff"))
    assert exact[cliff.model.visitable()].min() < -100
    assert learned.norm.vmin == pytest.approx(exact.max(axis=1)[cliff.model.visitable()].min())


def test_a_game_without_directions_has_whole_cells(corridor_id):
    game = open_game(corridor_id)
    exact = value_iteration(game.model, 0.9)
    learned, _ = cells(draw_heat_map(exact, game, 0.9, "corridor"))
    assert learned.get_array().tolist() == pytest.approx([0.81, 0.9, 1.0])
    assert np.ptp(learned.get_paths()[0].vertices, axis=0).tolist() == [1, 1]


def test_the_picture_is_a_whole_png_in_a_new_folder(tmp_path, lake):
    figure = draw_heat_map(np.zeros((16, 4)), lake, 0.9, "lake")
    write_heat_map(figure, tmp_path / "new" / "q.png")
    with Image.open(tmp_path / "new" / "q.png") as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == tuple(int(x * 110) for x in figure.get_size_inches())
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["q.png"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path, lake):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_heat_map(draw_heat_map(np.zeros((16, 4)), lake, 0.9, ""), tmp_path / "file" / "q.png")
