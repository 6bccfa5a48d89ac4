from pixelq.viewing.curves import read_run
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
