"""Variants by name: found, refused, added from outside, and their options read from tables, flags and Python."""

import dataclasses
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pixelq
from pixelq.cli import main
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_config, read_recipe, recipe_names, write_config
from pixelq.recipes.validation import validate
from pixelq.recipes.values import FIELDS, OPTIONS, config_from_values, merged, overridden, with_all_options
from pixelq.variants import KINDS, TORSOS, register

RESULTS = Path(__file__).parents[2] / "results"
OLD_RUNS = sorted(file for file in RESULTS.rglob("config.toml") if "network" in tomllib.loads(file.read_text()))
OWN = {
    "torso": {"2013", "2015", "minatar", "mlp", "plain", "impala"},
    "linear": {"plain", "noisy"},
    "memory": {"none", "lstm"},
    "streams": {"plain", "dueling"},
    "head": {"linear", "categorical", "quantile", "implicit_quantile", "fraction_proposal"},
    "loss": {
        *("dqn", "double", "rescaled_double", "lambda_returns", "c51", "qr", "iqn", "fqf", "hl_gauss"),
        *("munchausen", "m_iqn"),
    },
    "sampler": {"uniform", "prioritized"},
    "epsilon_schedule": {"constant", "linear", "exponential", "ladder"},
    "loop": {"replay", "recurrent_replay", "parallel", "recurrent_parallel", "stream"},
}
"""What pixelq has, by kind."""


@dataclass(frozen=True)
class Many:
    """An option of every type that TOML has."""

    count: int = 3
    kappa: float = 1.0
    greedy: bool = False
    label: str = "a"
    shape: Literal["round", "flat"] = "round"
    sizes: tuple[int, ...] = (1, 2)
    weights: tuple[float, ...] = ()
    bound: float | None = None

    def __post_init__(self) -> None:
        if not self.kappa > 0:
            raise ValueError(f"kappa = {self.kappa} must be above 0")


@dataclass(frozen=True)
class Other:
    """Shares a name with the options of every loss on a TD error."""

    error: float = 0.5
    margin: float = 0.1


class Everything:
    """A variant's part, of every kind."""

    uses_priorities = False

    def nothing(self, *arguments: Any) -> None:
        """What a part must have."""

    forward = values = added = draw = learned = state_dict = load_state_dict = nothing


nothing = Everything


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS.values():
        monkeypatch.setattr(kind, "_registered", {})


@pytest.fixture
def mine() -> None:
    """A loss and a head of one's own."""
    register("loss", "mine", loss=nothing, Options=Many)
    register("head", "mine", Head=nothing, Options=Other)


def refused(act: Any, *arguments: Any) -> str:
    """The one line with which it is refused."""
    with pytest.raises(UserError) as caught:
        act(*arguments)
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


# --- names ----------------------------------------------------------------------------------------------------------


def test_every_file_is_a_variant_and_has_the_part_that_its_kind_asks_for() -> None:
    assert set(KINDS) == set(OWN)
    for kind in KINDS.values():
        assert OWN[kind.name] <= set(kind.names())
        for name in kind.names():
            assert callable(getattr(kind.find(name), kind.part))
            assert dataclasses.is_dataclass(kind.options_class(name))
            kind.read_options(name, {})
            assert kind.describe(name)
    assert set(TORSOS) < set(KINDS["torso"].names())


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [
        ("torso", "2014", "2015"),
        ("torso", "minitar", "minatar"),
        ("linear", "plan", "plain"),
        ("memory", "ltsm", "lstm"),
        ("head", "liner", "linear"),
        ("loss", "DQN", "dqn"),
        ("loss", "doubled", "double"),
        ("loss", "lambda", "lambda_returns"),
        ("sampler", "unifrom", "uniform"),
        ("epsilon_schedule", "exponental", "exponential"),
        ("loop", "paralel", "parallel"),
    ],
)
def test_an_unknown_name_offers_the_nearest_and_all(kind: str, typed: str, meant: str) -> None:
    line = refused(KINDS[kind].find, typed)
    assert line.startswith(f"unknown {kind} {typed!r}; did you mean ")
    assert meant in line.partition("?")[0]
    assert all(name in line for name in KINDS[kind].names())
    assert "--import" in line
    for act in (with_all_options, validate):
        assert refused(act, dataclasses.replace(Config(), **{kind: typed})) == line


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["", "zzz", "__init__", "penalty", "../dqn", "dqn.py", "os", "os.path", "pixelq.losses.dqn", "a\nb", "é"]
)
def test_a_name_is_never_a_module_or_a_path(kind: str, name: str) -> None:
    before = set(sys.modules)
    assert f"unknown {kind} {name!r}" in refused(KINDS[kind].find, name)
    assert set(sys.modules) == before


# --- variants of one's own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in OWN.items() for name in sorted(names)])
def test_a_name_of_pixelqs_own_cannot_be_taken(kind: str, name: str) -> None:
    before = KINDS[kind].find(name)
    line = refused(lambda: register(kind, name, **{KINDS[kind].part: nothing}))
    assert f"{kind} {name!r} is one of pixelq's own" in line
    assert KINDS[kind].find(name) is before


def test_one_of_ones_own_is_found_and_may_be_replaced(mine: None) -> None:
    loss = KINDS["loss"]
    assert loss.names()[-1] == "mine"
    assert loss.find("mine").loss is nothing
    again = SimpleNamespace(loss=print)
    register("loss", "mine", again)
    assert loss.find("mine") is again
    assert vars(loss.read_options("mine", {})) == {}
    assert loss.names().count("mine") == 1


def test_what_lacks_its_part_or_is_of_no_kind_is_refused() -> None:
    assert "has no Head" in refused(lambda: register("head", "mine", loss=nothing))
    assert "has no loss" in refused(lambda: register("loss", "mine", SimpleNamespace(loss="text")))
    assert "has no Sampler" in refused(lambda: register("sampler", "mine", None))
    wrong = SimpleNamespace(loss=nothing, HEAD_OPTIONS="ends")
    assert "HEAD_OPTIONS must be a table" in refused(lambda: register("loss", "mine", wrong))
    assert "unknown kind of variant 'los'; did you mean loss" in refused(lambda: register("los", "mine", loss=nothing))
    assert all("mine" not in kind.names() for kind in KINDS.values())


class NoDataclass:
    """Options that say nothing of types."""

    kappa = 1.0


@dataclass(frozen=True)
class NoDefault:
    """Options without a default."""

    kappa: float


@pytest.mark.parametrize("options", [NoDataclass, NoDefault, {"kappa": 1.0}, "kappa", None])
def test_options_must_be_a_dataclass_with_defaults(options: Any) -> None:
    register("loss", "mine", loss=nothing, Options=options)
    assert "loss 'mine': its Options must be a dataclass" in refused(KINDS["loss"].read_options, "mine", {})
    assert "loss 'mine'" in refused(lambda: configure("pong", "cleanrl", {"loss": "mine"}))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Entry points of a package: one works, one fails, one is not there, one takes a name of pixelq's."""
    (tmp_path / "strange_loss.py").write_text("Options = None\n\n\ndef loss(*arguments):\n    '''Strange.'''\n")
    (tmp_path / "strange_failure.py").write_text("raise RuntimeError('not\\ntoday')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    named = {"good": "strange_loss", "fails": "strange_failure", "gone": "strange_nothing", "dqn": "strange_failure"}

    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in named.items()] if group == "pixelq.losses" else []

    monkeypatch.setattr("pixelq.variants.entry_points", entry_points)
    yield
    for name in named.values():
        sys.modules.pop(name, None)


def test_an_entry_point_is_imported_when_it_is_named_and_not_before(installed: None) -> None:
    assert set(KINDS["loss"].names()) >= {"good", "fails", "gone"}
    assert "strange_loss" not in sys.modules
    assert "strange_failure" not in sys.modules
    assert KINDS["loss"].find("good").loss.__doc__ == "Strange."
    assert KINDS["loss"].describe("good") == "Strange."


def test_an_entry_point_that_fails_is_one_line_and_never_stands_for_pixelqs_own(installed: None) -> None:
    with pytest.raises(UserError, match="loss 'fails' of strange_failure cannot be imported"):
        KINDS["loss"].find("fails")  # its message may have several lines; the command line makes them one
    assert "strange_nothing" in refused(KINDS["loss"].find, "gone")
    assert KINDS["loss"].find("dqn").__name__ == "pixelq.losses.dqn"


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("count", 1.0, "a whole number"),
        ("count", True, "a whole number"),
        ("count", "3", "a whole number"),
        ("count", 2**63, "beyond 64 bits"),
        ("kappa", "big", "a number"),
        ("kappa", False, "a number"),
        ("greedy", 1, "true or false"),
        ("label", 1, "text"),
        ("shape", "square", "choose one of round, flat"),
        ("sizes", 3, "a list, each a whole number"),
        ("sizes", [1, 2.5], "a whole number"),
        ("sizes", ["1"], "a whole number"),
        ("weights", [True], "a number"),
        ("weights", "12", "a list, each a number"),
        ("bound", "none", "a number"),
    ],
)
def test_an_option_of_the_wrong_type_is_one_line(option: str, value: Any, wanted: str, mine: None) -> None:
    for overrides in ({option: value}, {"loss_options": {option: value}}):
        line = refused(lambda given: configure("pong", "cleanrl", {"loss": "mine"} | given), overrides)
        assert option in line
        assert wanted in line


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), 0])
def test_an_option_out_of_its_range_is_one_line(value: float, mine: None) -> None:
    line = refused(lambda: configure("pong", "cleanrl", {"loss": "mine", "kappa": value}))
    assert line == f"loss_options: kappa = {float(value)} must be above 0"


def test_the_lambda_of_a_trace_lies_between_0_and_1() -> None:
    for value in (-0.1, 1.1, float("nan"), float("inf")):
        line = refused(lambda given: configure("pong", "pqn", {"trace_lambda": given}), value)
        assert line == f"loss_options: trace_lambda = {value} must be between 0 and 1"
    assert configure("pong", "pqn", {"trace_lambda": 1}).loss_options["trace_lambda"] == 1.0


@pytest.mark.parametrize("values", [{"channels": [4]}, {"hidden": [0]}, {"channels": [-4, 4, 4]}, {"strides": []}])
def test_sizes_that_make_no_torso_are_one_line(values: dict[str, Any]) -> None:
    assert refused(lambda: configure("pong", "pqn", {"torso_options": values})).startswith("torso_options: ")


def test_options_may_have_slots(mine: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True, slots=True)
    class Slotted:
        width: int = 3
        bound: float | None = None

    register("loss", "slotted", loss=lambda *given: None, Options=Slotted)
    config = with_all_options(overridden(read_recipe("cleanrl"), {"loss": "slotted", "width": 4}))
    assert config.loss_options == {"width": 4}
    write_config(config, tmp_path / "config.toml")
    assert read_config(tmp_path / "config.toml").loss_options == {"width": 4}
    assert main(["list", "variants"]) == 0
    assert "--width 3" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["train", "pong", "--recipe", "cleanrl", "--loss", "slotted", "--width", "5", "--help"])
    assert "(default: 3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"loss_options": {"traec_lambda": 1.0}}, "did you mean trace_lambda? (it has error, trace_lambda)"),
        ({"loss_options": {"zzz": 1.0}}, "loss 'lambda_returns' has no option 'zzz' (it has error, trace_lambda)"),
        ({"head_options": {"atoms": 51}}, "head 'linear' has no option 'atoms' (it has none)"),
        ({"loss": "dqn", "loss_options": {"trace_lambda": 1.0}}, "loss 'dqn' has no option 'trace_lambda'"),
        ({"loss_options": {"loss_options": {}}}, "loss_options.loss_options = {} must be a number, text"),
        ({"loss_options": {"error": {"x": 1}}}, "must be a number, text, true or false, or a list of them"),
        ({"loss_options": {"error": [["huber", {}]]}}, "must be a number, text, true or false, or a list of them"),
        ({"loss_options": {3: 1}}, "must be a table of options"),
        ({"loss_options": 3}, "must be a table of options"),
        ({"loss_options": None}, "must be a table of options"),
        ({"traec_lambda": 1.0}, "unknown field 'traec_lambda'; did you mean trace_lambda"),
        ({"network": "2015"}, "'network' is called 'torso' now"),
        ({"average_tau": 0.1}, "'average_tau' is called 'averaged_network_tau' now"),
    ],
)
def test_an_option_that_is_not_there_is_one_line(given: dict[str, Any], part: str) -> None:
    assert part in refused(lambda: configure("pong", "pqn", given))


def test_an_option_is_given_bare_or_in_its_table_which_says_the_same(mine: None) -> None:
    options = {"count": 7, "kappa": 2, "greedy": True, "label": "b", "shape": "flat", "sizes": [4], "bound": 0.5}
    bare = configure("pong", "cleanrl", {"loss": "mine"} | options)
    assert configure("pong", "cleanrl", {"loss": "mine", "loss_options": options}) == bare
    assert bare.loss_options == {
        "count": 7,
        "kappa": 2.0,
        "greedy": True,
        "label": "b",
        "shape": "flat",
        "sizes": (4,),
        "weights": (),
        "bound": 0.5,
    }
    assert type(bare.loss_options["kappa"]) is float
    half = configure("pong", "cleanrl", {"loss": "mine", "count": 7, "loss_options": {"kappa": 2.0}})
    assert (half.loss_options["count"], half.loss_options["kappa"]) == (7, 2.0)
    twice = {"loss": "mine", "count": 7, "loss_options": {"count": 1}}
    assert "count is said twice, alone and in loss_options" in refused(lambda: configure("pong", "cleanrl", twice))


def test_a_derived_recipe_overrides_its_base_however_each_says_it(mine: None, tmp_path: Path) -> None:
    base, derived = tmp_path / "base.toml", tmp_path / "derived.toml"
    said = ("count = 5\n", "[loss_options]\ncount = 5\n"), ("count = 9\n", "[loss_options]\ncount = 9\n")
    for below in said[0]:
        for above in said[1]:
            base.write_text('base = "cleanrl"\nloss = "mine"\n' + below)
            derived.write_text(f'base = "{base}"\n{above}')
            assert read_recipe(str(derived)).loss_options == {"count": 9}
            derived.write_text(f'base = "{base}"\nloss = "double"\n')
            assert read_recipe(str(derived)).loss_options == {}
    base.write_text('base = "cleanrl"\ntorso = "plain"\nchannels = [8]\nkernels = [8]\nstrides = [4]\n')
    derived.write_text(f'base = "{base}"\ntorso = "2013"\n')
    assert with_all_options(read_recipe(str(derived))).torso_options["channels"] == (16, 32)


def test_a_bare_option_of_two_variants_is_refused_naming_both_tables(mine: None) -> None:
    both = {"head": "mine", "error": "huber"}
    line = refused(lambda: configure("pong", "cleanrl", both))
    assert line == "override: 'error' is an option in head_options and in loss_options; say which"
    config = configure("pong", "cleanrl", {"head": "mine", "loss_options": {"error": "huber"}, "margin": 0.2})
    assert config.loss_options == {"error": "huber"}
    assert config.head_options == {"error": 0.5, "margin": 0.2}


def test_another_variant_begins_with_its_own_defaults() -> None:
    """What was said of the one before says nothing of it, even where an option has the same name."""
    pqn = configure("pong", "pqn")
    assert pqn.loss_options == {"error": "squared", "trace_lambda": 0.65}
    assert overridden(pqn, {"loss": "lambda_returns"}) == pqn
    assert with_all_options(overridden(pqn, {"loss": "dqn"})).loss_options == {"error": "huber"}
    assert configure("pong", "pqn", {"loss": "dqn", "error": "squared"}).loss_options == {"error": "squared"}
    small = configure("pong", "pqn", {"torso": "2013", "hidden": [32]})
    assert small.torso_options["hidden"] == (32,)
    assert configure("pong", "pqn", {"torso": "2013"}).torso_options["hidden"] == (256,)
    assert with_all_options(overridden(small, {"torso": "2015"})).torso_options["hidden"] == (512,)
    assert overridden(small, {"torso": "2013"}).torso_options["hidden"] == (32,)


def test_a_recipe_of_ones_own_takes_over_the_options_of_its_base_unless_it_names_another_variant(
    tmp_path: Path,
) -> None:
    def options(text: str) -> dict[str, Any]:
        (tmp_path / "mine.toml").write_text(f'base = "pong"\n{text}\n')
        return with_all_options(read_recipe(str(tmp_path / "mine.toml"))).loss_options

    assert options("") == {"error": "squared", "trace_lambda": 0.95}
    assert options("trace_lambda = 0.5") == {"error": "squared", "trace_lambda": 0.5}
    assert options("[loss_options]\ntrace_lambda = 0.5") == {"error": "squared", "trace_lambda": 0.5}
    assert options('loss = "lambda_returns"\n[loss_options]\nerror = "huber"') == {
        "error": "huber",
        "trace_lambda": 0.95,
    }
    assert options('loss = "dqn"') == {"error": "huber"}


def test_merging_changes_neither_side() -> None:
    values = {"loss": "dqn", "loss_options": {"error": "huber"}, "gamma": 0.9}
    over = {"loss_options": {"error": "squared"}}
    assert merged(values, over, "test") == {"loss": "dqn", "loss_options": {"error": "squared"}, "gamma": 0.9}
    assert merged(values, {"loss": "double"}, "test") == {"loss": "double", "loss_options": {}, "gamma": 0.9}
    assert values["loss_options"] == {"error": "huber"}
    assert over == {"loss_options": {"error": "squared"}}


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", recipe_names())
def test_a_shipped_recipe_reads_back_as_it_was_written_with_every_option(recipe: str, tmp_path: Path) -> None:
    config = with_all_options(read_recipe(recipe))
    for table, kind in OPTIONS.items():
        of_variant = kind.options_class(getattr(config, kind.name))
        assert set(getattr(config, table)) == {f.name for f in dataclasses.fields(of_variant)}, table
    write_config(config, tmp_path / "config.toml")
    again = read_config(tmp_path / "config.toml")
    assert again == config
    assert repr(again) == repr(config)
    assert with_all_options(again) == again
    written = tomllib.loads((tmp_path / "config.toml").read_text())
    assert written.get("loss_options", {}) == config.loss_options
    sizes = {name: list(one) if isinstance(one, tuple) else one for name, one in config.torso_options.items()}
    assert written["torso_options"] == sizes


@settings(max_examples=50, deadline=None)
@given(
    options=st.builds(
        Many,
        count=st.integers(-(2**63), 2**63 - 1),
        kappa=st.floats(min_value=0, exclude_min=True),
        greedy=st.booleans(),
        label=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        shape=st.sampled_from(["round", "flat"]),
        sizes=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4).map(tuple),
        weights=st.lists(st.floats(allow_nan=False), max_size=4).map(tuple),
        bound=st.none() | st.floats(allow_nan=False),
    )
)
def test_options_of_every_type_read_back_as_they_were_written(
    options: Many, tmp_path_factory: pytest.TempPathFactory
) -> None:
    register("loss", "mine", loss=nothing, Options=Many)
    config = configure("pong", "cleanrl", {"loss": "mine", "loss_options": vars(options)})
    file = tmp_path_factory.getbasetemp() / "options.toml"
    write_config(config, file)
    again = read_config(file)
    assert repr(again) == repr(config)
    assert KINDS["loss"].read_options("mine", again.loss_options) == options


def test_a_run_of_a_variant_that_is_not_there_is_refused_naming_it(tmp_path: Path, mine: None) -> None:
    file = tmp_path / "config.toml"
    write_config(configure("pong", "cleanrl", {"loss": "mine"}), file)
    assert read_config(file).loss == "mine"
    KINDS["loss"]._registered.clear()
    assert "unknown loss 'mine'" in refused(read_config, file)


def test_there_are_old_runs_to_read() -> None:
    assert len(OLD_RUNS) >= 24


@pytest.mark.parametrize("file", OLD_RUNS, ids=lambda file: str(file.parent.relative_to(RESULTS)))
def test_an_old_run_reads_as_what_it_was(file: Path) -> None:
    old = tomllib.loads(file.read_text())
    config = read_config(file)
    assert with_all_options(config).torso_options == configure("pong", "pqn", {"torso": old["network"]}).torso_options
    moved = {"network": config.torso, "error": config.loss_options["error"]}
    if config.loss == "lambda_returns":
        moved["trace_lambda"] = config.loss_options["trace_lambda"]
    if "average_tau" in old:
        moved["average_tau"] = config.averaged_network_tau
    for name, value in old.items():
        if name == "trace_lambda" and config.loss != "lambda_returns":
            assert name not in config.loss_options  # it had no effect
        else:
            assert moved.get(name, getattr(config, name, None)) == value, name
    before = {"padding": "valid", "linear": "plain", "head": "linear", "sampler": "uniform", "epsilon_begin": 0}
    for name in set(FIELDS) - set(old) - set(OPTIONS) - {"torso", "averaged_network_tau"}:
        default = getattr(Config(), name) if "None" not in str(FIELDS[name].type) else None
        assert getattr(config, name) == before.get(name, default), name


def test_an_old_configuration_is_refused_where_it_was_wrong(tmp_path: Path) -> None:
    text = (RESULTS / "pong-default" / "config.toml").read_text()
    file = tmp_path / "config.toml"
    for before, after, part in (
        ('network = "2013"', 'network = "2014"', "unknown torso '2014'"),
        ('network = "2013"', 'network = "2013"\ntorso = "2013"', "'network' is called 'torso' now"),
        ('error = "squared"', 'error = "cubed"', "choose one of squared, huber"),
        ("trace_lambda = 0.9", "trace_lambda = 9.0", "trace_lambda = 9.0 must be between 0 and 1"),
        ('loss = "lambda_returns"', 'loss = "lambda"', "unknown"),
        ('loss = "lambda_returns"', "loss = 3", "loss"),
    ):
        assert before in text
        file.write_text(text.replace(before, after))
        assert part in refused(read_config, file)


# --- runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        *(({name: "plain"}, f"{name} may not change within a run") for name in KINDS),
        *(({table: {"error": "huber"}}, f"{table} may not change within a run") for table in OPTIONS),
        ({"steps": 5, "seed": 2}, "seed may not change within a run"),
        ({"error": "huber"}, "error"),
        ({"nonsense": 1}, "nonsense"),
    ],
    ids=str,
)
def test_a_resumed_run_keeps_its_variants_and_their_options(changes: dict[str, Any], part: str, tmp_path: Path) -> None:
    write_config(configure("pong", "cleanrl"), tmp_path / "config.toml")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    assert part in refused(lambda: pixelq.resume(tmp_path, **changes))
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_values_that_are_given_are_not_changed() -> None:
    values: dict[str, Any] = {"loss": "dqn", "loss_options": {"error": "huber"}, "torso_options": {"hidden": [1]}}
    config = config_from_values(values, where="recipe x")
    assert config.torso_options == {"hidden": (1,)}
    config.loss_options["error"] = "squared"
    assert values == {"loss": "dqn", "loss_options": {"error": "huber"}, "torso_options": {"hidden": [1]}}
