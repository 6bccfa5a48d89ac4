"""Reading, writing and checking configurations."""

import dataclasses
import math
import tomllib
import typing
from pathlib import Path
from typing import Any, Literal

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import FIRST, read_config, write_config
from pixelq.recipes.validation import AT_MOST, validate
from pixelq.recipes.values import FIELDS, OPTIONS, RENAMED, config_from_values, with_all_options
from pixelq.variants import KINDS

# --- configurations of every kind -----------------------------------------------------------------------------------

PROBABILITIES = """sticky_actions gamma rmsprop_decay target_tau averaged_network_tau
    epsilon_start epsilon_end eval_epsilon"""
TYPES = typing.get_type_hints(Config)


def of_kind(name: str) -> st.SearchStrategy[Any]:
    """Values of one field that are valid whatever the other fields hold."""
    kind = TYPES[name]
    if name in OPTIONS or name == "env_kwargs":
        return st.just({})
    if name == "wrappers":
        return st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=3).map(tuple)
    if typing.get_origin(kind) is Literal:
        return st.sampled_from(typing.get_args(kind))
    if kind is str:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(1, AT_MOST.get(name, 2**31 - 1))
    if name in ("adam_beta1", "adam_beta2"):
        return st.floats(0, 1, exclude_max=True)
    return st.floats(0, 1) if name in PROBABILITIES.split() else st.floats(1e-300, 1e300)


@st.composite
def torsos(draw: st.DrawFn) -> dict[str, Any]:
    """A torso by name, or with sizes of its own."""
    name = draw(st.sampled_from(["2013", "2015", "minatar", "mlp", "plain"]))
    sizes = st.integers(1, 9)
    layers, hidden = draw(st.lists(st.tuples(sizes, sizes, sizes), max_size=3)), draw(st.lists(sizes, max_size=2))
    channels, kernels, strides = (tuple(column) for column in zip(*layers, strict=True)) if layers else ((), (), ())
    own = {"channels": channels, "kernels": kernels, "strides": strides, "hidden": tuple(hidden)}
    return {"torso": name, "torso_options": own if draw(st.booleans()) else {}}


SIZES, SHARES = st.integers(1, 300), st.floats(0, 1)
ERROR = {"error": st.sampled_from(["squared", "huber"])}
QUANTILES = {"kappa": st.floats(0, 10), "double": st.booleans()}
MUNCHAUSEN = {"munchausen_alpha": SHARES, "temperature": st.floats(1e-3, 10), "log_policy_min": st.floats(-10, 0)}
TAUS = {"taus": SIZES, "target_taus": SIZES, "choosing_taus": st.integers(0, 300)}
CLASSES = {"double": st.booleans(), "priority": st.sampled_from(["cross_entropy", "kl"])}
HISTOGRAM = {"projection": st.sampled_from(["gaussian", "two_hot"]), "sigma_to_bin": st.floats(0.1, 10)}
Options = dict[str, st.SearchStrategy[Any]]
HEADS: dict[str, Options] = {
    "linear": {},
    "categorical": {"atoms": st.integers(2, 300), "v_min": st.floats(-90, -1), "v_max": st.floats(0, 90)},
    "quantile": {"quantiles": SIZES},
    "implicit_quantile": {"acting_taus": SIZES, "cosines": SIZES, "first_cosine": st.sampled_from([0, 1])},
    "fraction_proposal": {"fractions": st.integers(2, 300), "fraction_rate": SHARES},
}
REPLAY, PARALLEL_LOOPS = ("replay", "overlapped", "recurrent_replay"), ("parallel", "recurrent_parallel")
LOSSES: list[tuple[str, str, Options, tuple[str, ...]]] = [
    ("dqn", "linear", ERROR, REPLAY + PARALLEL_LOOPS),
    ("double", "linear", ERROR, REPLAY),
    ("rescaled_double", "linear", ERROR | {"rescale_eps": st.floats(1e-6, 1)}, REPLAY),
    ("munchausen", "linear", ERROR | MUNCHAUSEN, REPLAY + PARALLEL_LOOPS),
    ("c51", "categorical", CLASSES, REPLAY + PARALLEL_LOOPS),
    ("hl_gauss", "categorical", CLASSES | HISTOGRAM, REPLAY + PARALLEL_LOOPS),
    ("qr", "quantile", QUANTILES, REPLAY + PARALLEL_LOOPS),
    ("iqn", "implicit_quantile", QUANTILES | TAUS, REPLAY + PARALLEL_LOOPS),
    ("m_iqn", "implicit_quantile", MUNCHAUSEN | TAUS | {"kappa": st.floats(0, 10)}, REPLAY + PARALLEL_LOOPS),
    ("fqf", "fraction_proposal", QUANTILES | {"entropy": st.floats(0, 9)}, REPLAY + PARALLEL_LOOPS),
    ("lambda_returns", "linear", ERROR | {"trace_lambda": SHARES}, PARALLEL_LOOPS),
    ("td_error", "linear", {}, ("stream",)),
]
"""Losses, the head that each learns, its options, and the loops that can learn with it."""
PRIORITIZED: Options = {
    "priority_exponent": st.floats(0, 10), "priority_eps": SHARES, "beta_start": SHARES, "beta_end": SHARES,
    "beta_begin": st.integers(0, 2**62), "beta_steps": st.integers(0, 2**62), "stratified": st.booleans(),
}  # fmt: skip


def test_every_loss_every_head_and_every_loop_is_drawn() -> None:
    assert sorted(loss for loss, *_ in LOSSES) == KINDS["loss"].names()
    assert sorted(HEADS) == sorted({head for _, head, *_ in LOSSES}) == KINDS["head"].names()
    assert {loop for *_, loops in LOSSES for loop in loops} == set(KINDS["loop"].names())


def some(options: Options) -> st.SearchStrategy[dict[str, Any]]:
    """None, some or all of these options."""
    return st.fixed_dictionaries({}, optional=options)


@st.composite
def losses(draw: st.DrawFn, loop: str) -> dict[str, Any]:
    """A loss that the loop can learn with, the head that it learns, and a target network for it."""
    loss, head, options, _ = draw(st.sampled_from([row for row in LOSSES if loop in row[-1]]))
    target = draw(st.sampled_from(["none", "hard", "soft"] if loop in REPLAY else ["none"]))
    if target == "none" and loss in ("double", "rescaled_double"):
        target = "hard"
    if target == "none":
        options = {name: option for name, option in options.items() if name != "double"}
    return {
        "loss": loss, "loss_options": draw(some(options)), "target": target,
        "head": head, "head_options": draw(some(HEADS[head])),
    }  # fmt: skip


@st.composite
def samplers(draw: st.DrawFn, loop: str) -> dict[str, Any]:
    """What draws minibatches where there is a replay."""
    sampler = draw(st.sampled_from(["uniform", "prioritized"] if loop in REPLAY else ["uniform"]))
    return {"sampler": sampler, "sampler_options": draw(some(PRIORITIZED)) if sampler == "prioritized" else {}}


@st.composite
def memories(draw: st.DrawFn, loop: str) -> dict[str, Any]:
    """An LSTM in the two loops that learn from whole sequences."""
    if not loop.startswith("recurrent_"):
        return {"memory": "none"}
    return {"memory": "lstm", "memory_options": draw(some({"units": SIZES}))}


@st.composite
def batches(draw: st.DrawFn, loop: str, sampler: str) -> dict[str, Any]:
    """Environments, stacks, minibatches and a replay that fit each other, and what a sequence is."""
    num_envs, rollout, divisor, stack, n_step = (draw(st.integers(1, most)) for most in (64, 64, 64, 8, 8))
    batch, window, every = num_envs * rollout // math.gcd(num_envs * rollout, divisor), 0, 0
    options: dict[str, Any] = {}
    if loop == "recurrent_parallel":
        batch = rollout * (num_envs // math.gcd(num_envs, divisor))
    if loop == "recurrent_replay":
        length, burn_in, every, sequences = (draw(st.integers(least, 20)) for least in (1, 0, 1, 1))
        options = {"sequence_length": length, "burn_in": burn_in, "sequence_every": every}
        options |= draw(some({"sequence_start": st.sampled_from(["stored", "zero"])}))
        if sampler == "prioritized":
            options |= draw(some({"priority_max_share": SHARES}))
        batch, window = length * sequences, burn_in + length + n_step
    least = num_envs * max(stack + n_step, window)
    capacity = draw(st.integers(4 * max(batch, least) + num_envs * every, 2**62))
    return {
        "num_envs": num_envs, "rollout_length": rollout, "frame_stack": stack, "n_step": n_step, "batch_size": batch,
        "replay_capacity": capacity, "replay_start": draw(st.integers(least, capacity)), "loop_options": options,
    }  # fmt: skip


@st.composite
def valid_configs(draw: st.DrawFn) -> Config:
    """Configurations that `validate` accepts, every field drawn."""
    values = {name: draw(of_kind(name)) for name in ("amsgrad", "deterministic", "compile", "learning_rate")}
    loop = draw(st.sampled_from(sorted(KINDS["loop"].names())))
    values["optimizer"] = draw(st.sampled_from(["rmsprop", "adam", "adamw", "radam", "adadelta"]))
    plain_adam = values["optimizer"] == "adam" and not values["amsgrad"]
    compilable = (plain_adam or values["optimizer"] in ("rmsprop", "radam")) and not values["deterministic"]
    schedule, sampler = draw(st.sampled_from(["constant", "linear", "exponential"])), draw(samplers(loop))
    agreeing = {
        **values,
        **draw(torsos()),
        **draw(losses(loop)),
        **sampler,
        **draw(memories(loop)),
        **draw(batches(loop, sampler["sampler"])),
        "loop": loop,
        "linear": draw(st.sampled_from(["plain", "noisy"])),
        "streams": "plain",
        "wrapper_openings": False,
        "epsilon_schedule": schedule,
        "epsilon_begin": 0 if schedule == "constant" else draw(st.integers(0, 2**62)),
        "compile": values["compile"] and compilable,
        "recipe": draw(st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)),
        "screen_size": draw(st.integers(36, 512)),
        "threads": draw(st.integers(0, 1024)),
        "stop_score": draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        "learning_rate_end": draw(st.none() | st.floats(0, values["learning_rate"])),
    }
    if loop == "stream":
        agreeing |= {"num_envs": 1, "batch_size": 1, "n_step": 1, "optimizer": "obgd", "compile": False}
        agreeing |= {"averaged_network_tau": 0.0, "loop_options": draw(st.sampled_from([{}, {"kappa": 3.0}]))}
    return Config(**agreeing, **{name: draw(of_kind(name)) for name in FIELDS if name not in agreeing})


@settings(max_examples=100, deadline=None)
@given(config=valid_configs())
def test_a_configuration_reads_back_exactly_as_it_was_written(
    config: Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    validate(config)
    file = tmp_path_factory.getbasetemp() / "config.toml"
    write_config(config, file)
    again = read_config(file)
    # repr, too: it tells -0.0 from 0.0 and 1.0 from 1, which == does not.
    assert again == config
    assert repr(again) == repr(config)


# --- names and types ------------------------------------------------------------------------------------------------


def the_line(caught: pytest.ExceptionInfo[UserError]) -> str:
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("learningrate", "learning_rate"),
        ("batch-size", "batch_size"),
        ("replay_size", "replay_start"),
        ("EPSILON_START", "epsilon_start"),
        ("gama", "gamma"),
    ],
)
def test_an_unknown_field_offers_the_nearest_name(typed: str, meant: str) -> None:
    with pytest.raises(UserError) as caught:
        config_from_values({typed: 1}, where="recipe x")
    line = the_line(caught)
    assert line.startswith(f"recipe x: unknown field {typed!r}; did you mean ")
    assert meant in line


def test_an_unknown_field_far_from_all_is_refused_without_a_guess() -> None:
    with pytest.raises(UserError) as caught:
        config_from_values({"zzzzzzzz": 1}, where="recipe x")
    assert the_line(caught) == "recipe x: unknown field 'zzzzzzzz'"


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("batch_size", 32.0, "a whole number"),
        ("batch_size", "32", "a whole number"),
        ("batch_size", True, "a whole number"),
        ("steps", None, "a whole number"),
        ("gamma", "0.99", "a number"),
        ("gamma", False, "a number"),
        ("gamma", None, "a number"),
        ("gamma", [0.99], "a number"),
        ("learning_rate_end", "none", "a number"),
        ("game", 5, "text"),
        ("clip_reward", 1, "true or false"),
        ("clip_reward", "yes", "true or false"),
        ("torso", 2015, "text"),
        ("loss", 3, "text"),
        ("loss_options", "huber", "a table of options"),
        ("loss_options", ["huber"], "a table of options"),
        ("optimizer", ["adam"], "text"),
        ("gradient_clip", "both", "choose one of none, value, norm"),
        ("gradient_clip", ["norm"], "choose one of none, value, norm"),
        ("device", "gpu", "choose one of auto, cpu, cuda, mps, vulkan"),
        ("loop", True, "text"),
        ("load", "a\udcff", "has bytes that are no letters"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(field: str, value: Any, wanted: str) -> None:
    with pytest.raises(UserError) as caught:
        config_from_values({field: value}, where="recipe x")
    line = the_line(caught)
    assert line.startswith(f"recipe x: {field} = {value!r}")
    assert wanted in line


def test_a_whole_number_does_where_a_number_is_asked() -> None:
    config = config_from_values({"gamma": 1, "stop_score": 19}, where="recipe x")
    assert (config.gamma, type(config.gamma)) == (1.0, float)
    assert (config.stop_score, type(config.stop_score)) == (19.0, float)


@pytest.mark.parametrize("field", ["batch_size", "gamma", "stop_score", "game"])
@pytest.mark.parametrize("value", [10**400, -(10**400), 1 << 20_000, 2**63], ids=["1e400", "-1e400", "2^20000", "2^63"])
def test_a_number_beyond_64_bits_is_refused(field: str, value: int) -> None:
    with pytest.raises(UserError) as caught:
        config_from_values({field: value}, where="recipe x")
    assert the_line(caught) == f"recipe x: {field} is a number beyond 64 bits"


def test_values_given_are_not_changed() -> None:
    values = {"gamma": 1}
    config_from_values(values, where="recipe x")
    assert type(values["gamma"]) is int


# --- ranges ---------------------------------------------------------------------------------------------------------

PARALLEL: dict[str, Any] = {"loop": "parallel", "loss": "lambda_returns", "target": "none", "batch_size": 32}

OUT_OF_RANGE: list[tuple[dict[str, Any], str]] = [
    ({"epsilon_start": 2.0}, "epsilon_start"),
    ({"epsilon_end": -0.01}, "epsilon_end"),
    ({"eval_epsilon": math.nan}, "eval_epsilon"),
    ({"epsilon_steps": 0}, "epsilon_steps"),
    ({"epsilon_begin": -1}, "epsilon_begin"),
    ({"epsilon_schedule": "constant", "epsilon_begin": 1}, "epsilon_begin"),
    ({"batch_size": 0}, "batch_size"),
    ({"batch_size": -32}, "batch_size"),
    ({"steps": 0}, "steps"),
    ({"num_envs": 0}, "num_envs"),
    ({"frame_stack": 0}, "frame_stack"),
    ({"frame_skip": 0}, "frame_skip"),
    ({"n_step": 0}, "n_step"),
    ({"train_every": 0}, "train_every"),
    ({"target_every": 0}, "target_every"),
    ({"screen_size": 35}, "screen_size"),
    ({"screen_size": 513}, "screen_size"),
    ({"noop_max": -1}, "noop_max"),
    ({"seed": -1}, "seed"),
    ({"seed": 2**31}, "seed"),
    ({"threads": -1}, "threads"),
    ({"threads": 2000}, "threads"),
    ({"eval_every": -1}, "eval_every"),
    ({"learning_rate": math.nan}, "learning_rate"),
    ({"learning_rate": math.inf}, "learning_rate"),
    ({"learning_rate": 0.0}, "learning_rate"),
    ({"learning_rate": -1e-4}, "learning_rate"),
    ({"learning_rate_end": 1.0}, "learning_rate_end"),
    ({"learning_rate_end": math.nan}, "learning_rate_end"),
    ({"stop_score": math.inf}, "stop_score"),
    ({"optimizer_eps": 0.0}, "optimizer_eps"),
    ({"weight_decay": -0.1}, "weight_decay"),
    ({"gradient_clip_at": 0.0}, "gradient_clip_at"),
    ({"gamma": 1.01}, "gamma"),
    ({"gamma": math.nan}, "gamma"),
    ({"target_tau": 1.5}, "target_tau"),
    ({"averaged_network_tau": -0.1}, "averaged_network_tau"),
    ({"sticky_actions": 1.5}, "sticky_actions"),
    ({"adam_beta1": -0.1}, "adam_beta1"),
    ({"adam_beta1": 1.0}, "adam_beta1"),  # what is averaged never changes, and its correction divides by 0
    ({"adam_beta2": 1.0}, "adam_beta2"),
    ({"adam_beta2": math.nan}, "adam_beta2"),
    ({"replay_capacity": 31, "replay_start": 20}, "replay_capacity"),  # under the batch
    ({"replay_start": 1_000_001}, "replay_start"),  # over the capacity
    ({"replay_start": 4}, "replay_start"),  # no whole transition yet
    ({"num_envs": 8, "replay_capacity": 100, "replay_start": 50}, "replay_capacity"),
    ({"loss": "double", "target": "none"}, "target"),
    ({"loss": "lambda_returns"}, "loss"),
    (PARALLEL | {"target": "hard"}, "target"),
    (PARALLEL | {"batch_size": 33}, "batch_size"),
    (PARALLEL | {"batch_size": 64}, "batch_size"),  # more than 1 environment x 32 steps
    (PARALLEL | {"epochs": 0}, "epochs"),
]


@pytest.mark.parametrize(("changes", "field"), OUT_OF_RANGE, ids=lambda x: x if isinstance(x, str) else str(x))
def test_a_value_out_of_range_is_one_line_that_names_field_value_and_flag(changes: dict[str, Any], field: str) -> None:
    config = dataclasses.replace(Config(), **changes)
    with pytest.raises(UserError) as caught:
        validate(config)
    line = the_line(caught)
    assert line.startswith(f"{field} = {getattr(config, field)} is out of range: it must be ")
    assert line.endswith(f"--{field.replace('_', '-')}")


EDGES: list[dict[str, Any]] = [
    {"epsilon_start": 1.0, "epsilon_end": 0.0, "gamma": 1.0, "learning_rate_end": 0.0, "noop_max": 0, "eval_every": 0},
    {"batch_size": 32, "replay_capacity": 32, "replay_start": 32},
    {"epsilon_schedule": "constant", "epsilon_steps": 0},
    {"epsilon_begin": 2**62},
    {"seed": 2**31 - 1},
    {"adam_beta1": 0.0, "adam_beta2": math.nextafter(1.0, 0.0)},
    PARALLEL,
    PARALLEL | {"loss": "dqn"},
    PARALLEL | {"loss_options": {"trace_lambda": 0.0}},
    PARALLEL | {"loss_options": {"trace_lambda": 1.0}},
]


@pytest.mark.parametrize("fields", EDGES, ids=str)
def test_the_edges_of_the_ranges_are_welcome(fields: dict[str, Any], tmp_path: Path) -> None:
    config = dataclasses.replace(Config(), **fields)
    validate(config)
    write_config(config, tmp_path / "config.toml")
    assert read_config(tmp_path / "config.toml") == config


# --- files ----------------------------------------------------------------------------------------------------------


def without(name: str, whole: str) -> str:
    """A run's file that lacks a field."""
    return tomli_w.dumps({key: value for key, value in tomllib.loads(whole).items() if key != name})


def test_a_run_file_that_lacks_a_field_of_the_first_day_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    write_config(Config(), file)
    whole = file.read_text()
    for name in FIRST:
        file.write_text(without(name, whole))
        with pytest.raises(UserError) as caught:
            read_config(file)
        assert the_line(caught).startswith(f"{file}: field {name!r} is missing")


def test_a_run_file_that_lacks_a_later_field_reads_as_its_default(tmp_path: Path) -> None:
    """So that a new field is a line in `Config` here, and older runs are still read."""
    file = tmp_path / "config.toml"
    config = with_all_options(Config(env_kwargs={"mode": 1}, wrappers=("gymnasium.wrappers:Autoreset",), episodes=7))
    write_config(config, file)
    whole = file.read_text()
    later = set(FIELDS) - FIRST
    assert {"episodes", "wrappers", "loss_options", "memory"} <= later
    for name in later:
        file.write_text(without(name, whole))
        default = Config() if name not in ("stop_score", "learning_rate_end") else config
        assert read_config(file) == dataclasses.replace(config, **{name: getattr(default, name)}), name


def test_every_run_file_that_is_kept_here_has_the_fields_of_the_first_day() -> None:
    """What came later must not be asked of older runs."""
    kept = sorted((Path(__file__).parents[2] / "results").glob("**/config.toml"))
    assert len(kept) > 20
    for file in kept:
        names = {RENAMED.get(name, name) for name in tomllib.loads(file.read_text(encoding="utf-8"))}
        assert names >= FIRST, file


def test_a_run_file_from_before_a_field_existed_reads_as_what_that_run_did() -> None:
    old = read_config(Path(__file__).parents[2] / "results" / "pong-default" / "config.toml")
    assert (old.episodes, old.baseline_episodes, old.backend) == (0, 0, "gymnasium")


DAMAGED = [
    b"gamma = ",
    b"\xff\xfe\x00",
    b"gamma = 0.9\ngamma = 0.9\n",
    b"[gamma]\n",
    b"steps = 1" + b"0" * 5_000,
    b"steps = " + b"[" * 100_000,
    b"steps = 0x" + b"f" * 5_000,
]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:12]))
def test_a_damaged_run_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_config(file)
    assert str(file) in the_line(caught)


def test_a_run_file_out_of_range_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    write_config(dataclasses.replace(Config(), learning_rate=math.nan), file)
    with pytest.raises(UserError, match="learning_rate = nan is out of range"):
        read_config(file)


def test_a_run_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UserError) as caught:
            read_config(path)
        assert str(path) in the_line(caught)


@pytest.mark.parametrize("variant", list(OPTIONS.values()), ids=lambda kind: kind.name)
@pytest.mark.parametrize("value", [None, 5, True, ["lstm"], {}])
def test_a_variant_that_is_no_text_is_refused_also_where_an_option_stands_beside_it(variant: Any, value: Any) -> None:
    with pytest.raises(UserError) as caught:
        config_from_values({"units": 8, variant.name: value}, "override")
    assert f"override: {variant.name} = {value!r} must be text" in the_line(caught)


# --- a game and a recipe --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("game", "sticky"), [("pong", 0.0), ("ALE/Pong-v5", 0.25), ("PongNoFrameskip-v4", 0.0), ("MsPacman", 0.0)]
)
def test_a_full_id_decides_over_the_recipe_how_sticky_actions_are(game: str, sticky: float) -> None:
    config = configure(game, "cleanrl")
    assert (config.game, config.sticky_actions) == (game, sticky)
    assert configure(game, "cleanrl", {"sticky_actions": 0.5}).sticky_actions == 0.5


def test_a_game_on_the_command_line_replaces_the_recipes() -> None:
    assert configure("seaquest", "lapan-pong").game == "seaquest"
