import xml.etree.ElementTree as ElementTree

import pytest
from matplotlib.figure import Figure
from PIL import Image

from pixelq.errors import UserError
from pixelq.viewing.figures import count_label, powers_on_y, write_figure
from small_disks import files_at_most


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (250, "250"), (5000, "5k"), (250_000, "250k"), (1_000_000, "1M"), (2_500_000, "2.5M"), (1e9, "1B")],
)
def test_counts_are_short(count, text):
    assert count_label(count) == text


@pytest.mark.parametrize("name", ["curve", "curve.png", "curve.svg"])
def test_a_figure_becomes_one_png_and_one_svg_and_nothing_else(tmp_path, name):
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([1, 2])
    png, svg = write_figure(figure, tmp_path / "plots" / name)
    with Image.open(png) as image:
        assert image.size == (220, 110)
        assert len(image.convert("RGB").getcolors(maxcolors=65536)) > 2
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == ["curve.png", "curve.svg"]


def test_a_name_with_a_dot_in_it_is_kept(tmp_path):
    assert write_figure(Figure(figsize=(1, 1)), tmp_path / "run-0.25")[0].name == "run-0.25.png"


def test_a_place_that_cannot_be_written_is_a_mistake_with_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"curve\.png: cannot be written"):
        write_figure(Figure(figsize=(1, 1)), tmp_path / "file" / "curve")


def test_a_full_disk_leaves_no_folder_that_was_made_for_a_figure(tmp_path):
    with files_at_most(100), pytest.raises(UserError, match=r"curve\.png: cannot be written"):
        write_figure(Figure(figsize=(1, 1)), tmp_path / "new" / "deeper" / "curve")
    assert list(tmp_path.iterdir()) == []


def test_no_text_of_a_figure_is_a_formula_neither_a_name_nor_the_ticks_of_a_logarithmic_axis(tmp_path):
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1e-5, 1e-3, 0.2], label=r"$\bad$")
    axes.legend()
    powers_on_y(axes)
    write_figure(figure, tmp_path / "plot")
    svg = (tmp_path / "plot.svg").read_text(encoding="utf-8")
    assert r"<!-- $\bad$ -->" in svg
    assert "<!-- 0.01 -->" in svg
    assert "mathdefault" not in svg
