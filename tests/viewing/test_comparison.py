import dataclasses
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.recipes.header import read_header
from pixelq.recipes.reading import read_recipe
from pixelq.viewing.comparison import (
    GameComparison,
    differences,
    group_means,
    means_by,
    means_per_million,
    same_words,
    still_differing,
)
from pixelq.viewing.comparison_figure import draw_comparison
from pixelq.viewing.curves import RunCurves, read_run
from pixelq.viewing.emulator_frames import has_emulator, said_frames
from pixelq.viewing.equal_steps import at_equal_steps
from pixelq.viewing.reference import PublishedScore, ReferenceCurve
from pixelq.viewing.run_groups import grouped

CURVE = ReferenceCurve("DQN", np.arange(1, 21), np.arange(20.0), np.arange(20.0) - 1, np.arange(20.0) + 2, 5)
BY_STEPS = dataclasses.replace(CURVE, agent="CleanRL DQN", by_million=False, recipe="cleanrl")
LEVEL = PublishedScore("a paper", "DQN", 50_000_000, 8.0, None, "epsilon 0.05", kind="paper")


def beside(*runs, references=(CURVE,), game="pong", **more):
    return GameComparison(game, grouped(list(runs)), list(references), **more)


def test_a_million_frames_is_250_000_agent_steps_of_four_frames(make_run):
    run = read_run(make_run("run", [1, 3, 5, 7, 9, 11, 13], every=125_000))
    np.testing.assert_array_equal(means_per_million(run, np.array([1, 2, 3])), [2, 6, 10])


def test_the_frame_skip_counts(make_run):
    run = read_run(make_run("run", [1, 3, 5, 7, 9], every=125_000, frame_skip=8))
    np.testing.assert_array_equal(means_per_million(run, np.array([1, 2, 5])), [1, 3, 9])


def test_a_million_that_is_not_played_to_its_end_has_no_mean(make_run):
    run = read_run(make_run("run", [1, 3, 5], every=125_000))
    np.testing.assert_array_equal(means_per_million(run, np.array([1, 2, 3])), [2, np.nan, np.nan])


def test_a_group_has_a_mean_only_where_every_run_has_one(make_run):
    long, short = make_run("a", [2, 4], every=250_000), make_run("b", [6], every=250_000)
    mean, low, high = group_means([read_run(long), read_run(short)], np.array([1, 2]))
    np.testing.assert_array_equal(mean, [4, np.nan])
    half = 12.706 * math.sqrt(8) / math.sqrt(2)  # of two runs: t times their standard deviation over root 2
    np.testing.assert_allclose([low[0], high[0]], [4 - half, 4 + half])
    assert np.isnan([low[1], high[1]]).all()


def test_by_agent_steps_a_run_has_the_mean_of_its_last_100_games_as_far_as_it_has_come(make_run):
    run = read_run(make_run("run", np.arange(150.0), every=10_000))
    ended = np.array([0.039, 0.04, 2, 6])
    np.testing.assert_array_equal(means_by(run, ended), [np.nan, 0, 24.5, 99.5])
    np.testing.assert_array_equal(means_by(run, np.array([6.04])), [np.nan])


def run_of(scores, folder):
    steps = 250_000.0 * np.arange(1, len(scores) + 1)
    episodes = {"agent_step": steps, "score": np.array(scores)}
    return RunCurves(folder, Config(), episodes, {"agent_steps": steps}, {})


@settings(max_examples=25, deadline=None)
@given(scores=st.lists(st.lists(st.integers(-50, 50), min_size=2, max_size=2), min_size=2, max_size=5))
def test_the_interval_is_student_s_t_of_the_runs(tmp_path_factory, scores):
    members = [run_of(one, tmp_path_factory.getbasetemp()) for one in scores]
    mean, low, high = group_means(members, np.array([1, 2]))
    t = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}[len(scores)]  # 97.5% with one degree of freedom less than runs
    half = [t * statistics.stdev(column) / math.sqrt(len(scores)) for column in zip(*scores, strict=True)]
    np.testing.assert_allclose(high - mean, half, atol=1e-9)
    np.testing.assert_allclose(mean - low, half, atol=1e-9)


def test_an_interval_over_seeds_holds_the_true_mean_about_as_often_as_it_says(tmp_path):
    """A percentile bootstrap of two runs is their range, which holds the mean half of the time."""
    generator, held = np.random.default_rng(0), 0
    for _ in range(200):
        members = [run_of([score], tmp_path) for score in generator.normal(5, 2, 2).tolist()]
        _, low, high = group_means(members, np.array([1]))
        held += low[0] <= 5 <= high[0]
    assert 180 <= held <= 199


def test_more_seeds_that_agree_make_the_interval_narrower(tmp_path):
    few, many = ([run_of([score], tmp_path) for score in [0, 10] * count] for count in (1, 8))
    (_, low, high), (_, lower, higher) = (group_means(members, np.array([1])) for members in (few, many))
    assert low[0] < 0 < lower[0] < 5 < higher[0] < 10 < high[0]


def test_a_wide_interval_leaves_the_picture_and_does_not_flatten_the_curves(make_run):
    seeds = [read_run(make_run(f"s{seed}", [10.0 * seed] * 8, every=125_000, seed=seed)) for seed in (1, 2)]
    (axes,) = draw_comparison([beside(*seeds, references=[])]).axes
    (band,) = axes.collections
    assert band.get_paths()[0].get_extents().height > 100
    low, high = axes.get_ylim()
    assert 8 < low < 10 < 20 < high < 22


def test_the_figure_shows_both_at_the_same_frames_and_names_the_differences(make_run):
    run = read_run(make_run("run", [1, 3, 5, 7], every=125_000, sticky_actions=0.25))
    figure = draw_comparison([beside(run)])
    by_label = {x.get_label(): x.get_xydata() for x in figure.axes[0].lines}
    np.testing.assert_array_equal(by_label["reference: DQN (5 runs)"][:2], [[1, 0], [2, 1]])
    np.testing.assert_array_equal(by_label["pong default"][:2], [[1, 2], [2, 6]])
    caption = " ".join(figure.texts[1].get_text().split())
    assert "a lost life ends the target (reference: no signal)" in caption
    assert "epsilon while training 1 to 0.01 over 1,000,000 agent steps (reference: 1 to 0.01 over 250,000" in caption
    assert "sticky" not in caption


def test_the_reference_is_shown_as_far_as_the_runs_have_come(make_run):
    run = read_run(make_run("run", [1, 3, 5, 7], every=125_000))
    axes = draw_comparison([beside(run)]).axes[0]
    assert axes.get_xlim() == pytest.approx((0, 2.08))
    reference = next(x for x in axes.lines if x.get_label().startswith("reference"))
    assert len(reference.get_xdata()) <= 3


def test_a_short_run_fills_the_figure_beside_the_references_first_value(make_run):
    run = read_run(make_run("run", np.arange(8.0), every=10_000))
    axes = draw_comparison([beside(run)]).axes[0]
    end = 80_000 * 4 / 1e6
    assert axes.get_xlim() == pytest.approx((0, 1.04 * end))
    (reference,) = [x for x in axes.lines if x.get_label().startswith("reference")]
    assert set(reference.get_ydata()) == {CURVE.mean[0]}
    assert reference.get_label() == "reference: DQN (5 runs), its first value, at 1 million frames"
    assert max(x.get_xdata()[-1] for x in axes.lines if len(x.get_xdata()) == 8) == pytest.approx(end)


def test_a_run_without_a_game_says_so(make_run):
    figure = draw_comparison([beside(read_run(make_run("run")))])
    assert figure.axes[0].texts[0].get_text() == "no finished game yet"


def test_each_game_has_its_panel_and_seeds_have_an_interval(make_run):
    seeds = [read_run(make_run(f"s{seed}", [seed] * 4, every=125_000, seed=seed)) for seed in (1, 2, 3)]
    other = read_run(make_run("b", [5, 6], every=250_000, game="breakout"))
    figure = draw_comparison([beside(*seeds), beside(other, game="$breakout$", references=[])])
    pong, breakout = figure.axes
    by_label = {line.get_label(): line.get_ydata() for line in pong.lines}
    np.testing.assert_array_equal(by_label["pong default, 3 seeds"][:2], [2, 2])
    assert "95% interval of the mean over seeds (Student's t)" in " ".join(figure.texts[1].get_text().split())
    assert breakout.get_ylabel().startswith("$breakout$: score")
    assert not [line for line in breakout.lines if line.get_label().startswith("reference")]


def test_a_paper_s_score_is_a_level_and_one_far_off_is_only_named(make_run):
    run = read_run(make_run("run", np.arange(8.0), every=125_000))
    far = dataclasses.replace(LEVEL, score=400.0)
    axes = draw_comparison([beside(run, references=[], levels=[LEVEL, far])]).axes[0]
    labels = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert set(labels["DQN, 8 after 50M agent steps: a paper"]) == {8.0}
    assert len(labels["not in this picture: DQN, 400 after 50M agent steps: a paper"]) == 0
    assert axes.get_ylim()[1] < 20


def test_a_curve_of_a_library_has_the_protocol_of_its_recipe(make_run):
    own = {name: value for name, value in vars(read_recipe("cleanrl")).items() if name != "game"}
    same = [read_run(make_run(f"s{seed}", [1], game="pong", **own | {"seed": seed})) for seed in range(5)]
    assert differences([beside(*same, references=[BY_STEPS])]) == [
        "pong cleanrl and CleanRL DQN: the same settings; what still differs is listed in recipe cleanrl."
    ]
    (sentence,) = differences([beside(same[0], references=[BY_STEPS]), beside(same[1], references=[BY_STEPS])])
    assert sentence.endswith("they differ in runs 1 (reference: 5).")


def test_what_still_differs_from_a_library_is_what_its_recipes_file_says():
    told = still_differing([BY_STEPS, CURVE, dataclasses.replace(BY_STEPS, agent="CleanRL C51", recipe="cleanrl-c51")])
    header = read_header("cleanrl")
    assert len(header.differences) > 1
    first, *points = told[: 1 + len(header.differences)]
    assert first.startswith("whatever its settings, a run differs from CleanRL DQN in what recipe cleanrl lists. Sour")
    assert points == [f"recipe cleanrl: {point}" for point in header.differences]
    assert any(text.startswith("recipe cleanrl-c51: [T] holds the probabilities") for text in told)
    assert still_differing([CURVE]) == []  # Dopamine's own settings are known, and are no recipe's
    of_its_base = dataclasses.replace(BY_STEPS, recipe="dopamine-c51")
    points = [text for text in still_differing([of_its_base]) if text.startswith("recipe ")]
    assert points == [f"recipe dopamine: {point}" for point in read_header("dopamine").differences]
    assert same_words(of_its_base).endswith("; what still differs is listed in recipe dopamine")
    both = dataclasses.replace(BY_STEPS, recipe="cleanrl-c51")
    assert same_words(both).endswith("listed in recipe cleanrl-c51 and cleanrl")
    of_base = [text for text in still_differing([both]) if text.startswith("recipe cleanrl: ")]
    assert of_base == [f"recipe cleanrl: {point}" for point in header.differences]
    assert same_words(CURVE) == "the same protocol"


def test_a_run_has_its_dots_where_the_reference_has_no_points(make_run):
    run = read_run(make_run("run", np.arange(1.0, 27.0), every=250_000))
    thin = np.array([1, 2, 20, 30])
    curve = dataclasses.replace(CURVE, million_frames=thin, mean=thin * 1.0, low=thin - 1.0, high=thin + 1.0)
    axes = draw_comparison([beside(run, references=[curve])]).axes[0]
    (dots,) = (line.get_xydata() for line in axes.lines if line.get_label() == "pong default")
    np.testing.assert_array_equal(dots, np.stack([np.arange(1, 27)] * 2, axis=1))


def test_a_grey_band_is_explained_only_where_one_is_drawn(make_run):
    run = read_run(make_run("run", [1, 3, 5, 7], every=125_000))
    unknown = np.full(20, np.nan)
    late = np.where(np.arange(20) < 10, np.nan, CURVE.low)
    some = np.where(np.arange(20) < 1, np.nan, CURVE.low)
    cases = {
        "all": (CURVE.low, ", grey band = lowest to highest run."),
        "none": (unknown, "."),
        "only beyond the picture": (late, "."),
        "some": (some, ", grey band = lowest to highest run where they are known."),
    }
    for name, (low, words) in cases.items():
        curve = dataclasses.replace(CURVE, low=low, high=low + 3)
        figure = draw_comparison([beside(run, references=[curve])])
        caption = " ".join(figure.texts[1].get_text().split())
        assert f"Reference: mean of its runs{words}" in caption, name
        assert bool(figure.axes[0].collections) == ("grey band" in words), name


def test_a_game_without_an_emulator_is_drawn_against_agent_steps_beside_a_curve_at_as_many(make_run):
    run = read_run(make_run("run", np.arange(8.0), every=10_000, game="CartPole-v1", frame_skip=1))
    curve = dataclasses.replace(BY_STEPS, million_frames=np.array([0.08, 0.16, 4.0]), mean=np.array([1.0, 2.0, 3.0]))
    curve = dataclasses.replace(curve, low=curve.mean, high=curve.mean)
    axes = draw_comparison([beside(run, references=[curve], game="CartPole-v1")]).axes[0]
    assert axes.get_xlabel() == "agent steps"
    assert axes.get_xlim() == pytest.approx((0, 1.04 * 80_000))
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    # A published agent step has four frames: 80,000 frames are 20,000 agent steps, and the run has played as many.
    np.testing.assert_allclose(lines["reference: CleanRL DQN (5 runs)"][:2], [[20_000, 1], [40_000, 2]])
    (x,) = {line.get_xdata()[-1] for line in axes.lines if line.get_label() == "CartPole-v1 default"}
    assert x == pytest.approx(80_000)
    assert axes.child_axes == []  # no second axis of agent steps
    late = dataclasses.replace(curve, million_frames=curve.million_frames + 1)
    labels = [
        line.get_label() for line in draw_comparison([beside(run, references=[late], game="CartPole-v1")]).axes[0].lines
    ]
    assert "reference: CleanRL DQN (5 runs), its first value, at 270,000 agent steps" in labels
    np.testing.assert_allclose(means_by(run, np.array([0.04, 0.32])), [0, 3.5])


@pytest.mark.parametrize(
    ("beside_it", "title"),
    [
        ({"references": [CURVE]}, "pong: runs beside published curves"),
        ({"references": [], "levels": [LEVEL]}, "pong: runs beside published scores"),
        ({"references": []}, "pong: scores of training games"),
    ],
)
def test_the_title_names_published_things_only_where_there_are_some(beside_it, title, make_run):
    run = read_run(make_run("run", [1, 3, 5, 7], every=125_000))
    assert draw_comparison([beside(run, **beside_it)]).texts[0].get_text() == title


def test_frames_are_told_only_of_games_that_have_an_emulator(make_run):
    pole = Config(game="CartPole-v1", frame_skip=1)
    assert [said_frames(one) for one in (pole, dataclasses.replace(pole, frame_skip=4), Config())] == [
        "",
        "1 agent step = 4 steps of the environment.",
        "1 agent step = 4 frames.",
    ]
    assert not has_emulator("NobodyMadeThis-v0")
    runs = [read_run(make_run(name, np.arange(8.0), every=10_000, game=name)) for name in ("CartPole-v1", "pong")]
    table = at_equal_steps([beside(run, references=[], game=run.config.game) for run in runs])
    assert {row.game: row.million_frames for row in table.rows if row.game == "pong"} == {"pong": 0.32}
    assert [np.isnan(row.million_frames) for row in table.rows if row.game == "CartPole-v1"] == [True]
