import itertools

from hypothesis import given
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.viewing.curves import RunCurves, read_run
from pixelq.viewing.run_groups import grouped


def labels(*folders):
    return {label: [run.folder.name for run in runs] for label, runs in grouped([read_run(f) for f in folders]).items()}


def test_runs_that_differ_only_in_their_seed_are_one_group(make_run):
    a, b = make_run("a", seed=1), make_run("b", seed=2, threads=4, log_every=100, steps=5)
    assert labels(a, b) == {"pong default": ["a", "b"]}


def test_a_label_names_the_fields_that_tell_two_groups_apart(make_run):
    a, b = make_run("a"), make_run("b", learning_rate=3e-4)
    c = make_run("c", recipe="cleanrl", learning_rate=3e-4)
    assert labels(a, b, c) == {
        "pong default, learning_rate=0.0001": ["a"],
        "pong default, learning_rate=0.0003": ["b"],
        "pong cleanrl": ["c"],
    }


def test_the_length_of_a_run_tells_runs_apart_only_where_the_learning_rate_falls_over_it(make_run):
    a, b = make_run("a", steps=1000, learning_rate_end=0.0), make_run("b", steps=2000, learning_rate_end=0.0)
    assert labels(a, b) == {"pong default, steps=1000": ["a"], "pong default, steps=2000": ["b"]}


def test_the_length_of_a_run_tells_runs_apart_where_priorities_are_weighted_by_it(make_run):
    a, b = make_run("a", steps=1000, sampler="prioritized"), make_run("b", steps=2000, sampler="prioritized")
    c, d = make_run("c", recipe="cleanrl", steps=1000), make_run("d", recipe="cleanrl", steps=2000)
    assert list(labels(a, b, c, d).values()) == [["a"], ["b"], ["c", "d"]]


def run_of(name, folder, **config):
    return RunCurves(folder / name, Config(**config), {}, {}, {})


def test_values_are_the_same_however_they_are_written(make_run):
    a = make_run("a", env_kwargs={"mode": 1, "difficulty": 0})
    b = make_run("b", env_kwargs={"difficulty": 0, "mode": 1})
    c = make_run("c", game="CartPole-v1", env_kwargs={"gravity": -10})
    d = make_run("d", game="CartPole-v1", env_kwargs={"gravity": -10.0})
    assert labels(a, b, c, d) == {"pong default": ["a", "b"], "CartPole-v1 default": ["c", "d"]}


values = st.dictionaries(st.sampled_from(["mode", "difficulty"]), st.sampled_from([0, 1, 0.0, True, "1"]), max_size=2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "a b"]), st.sampled_from(["b c", "c", "a, seed=1"]), values),
        max_size=6,
    )
)
def test_no_run_vanishes_whatever_games_recipes_and_keywords_are_called(tmp_path_factory, configs):
    folder = tmp_path_factory.getbasetemp()
    runs = [run_of(str(i), folder, game=g, recipe=r, env_kwargs=k) for i, (g, r, k) in enumerate(configs)]
    groups = grouped(runs)
    assert sorted(int(run.folder.name) for members in groups.values() for run in members) == list(range(len(runs)))
    for one, other in itertools.pairwise(run for members in groups.values() for run in members):
        together = any(one in members and other in members for members in groups.values())
        same = (one.config.game, one.config.recipe) == (other.config.game, other.config.recipe)
        assert together <= same
