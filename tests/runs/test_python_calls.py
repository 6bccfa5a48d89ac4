"""`pixelq.train` and `pixelq.resume` with environments, functions, wrappers and variants instead of names."""

import contextlib
import copy
import functools
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import FlattenObservation, TimeLimit, TransformReward
from torch import nn

import pixelq
from pixelq import named_objects
from pixelq.cli import main
from pixelq.envs.given import given_environment
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import UserError
from small_runs import QUICK, Killed, at_agent_step, die, facts, python

OUTSIDE = Path(__file__).parents[1] / "outside"
UNTESTED = {name: value for name, value in QUICK.items() if name != "eval_episodes"} | {"eval_every": 0}


@pytest.fixture
def corridor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of a person's own, which nobody has named yet."""
    monkeypatch.syspath_prepend(str(OUTSIDE))
    monkeypatch.setattr(named_objects, "_NAMED", set())
    imported: list[str] = []
    monkeypatch.setattr(named_objects, "IMPORTED", imported)
    monkeypatch.setattr("pixelq.envs.gymnasium_games.IMPORTED", imported)
    monkeypatch.setattr("pixelq.cli.IMPORTED", imported)
    import pixelq_outside.corridor

    yield pixelq_outside.corridor
    for name in ("pixelq_outside", "pixelq_outside.corridor"):
        sys.modules.pop(name, None)


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- exact resume ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["lambda", "object", "wrapped"])
def test_a_killed_run_goes_on_from_what_is_handed_over_as_if_unbroken(
    how: str, corridor: Any, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubled_again(env: Any) -> Any:
        return corridor.Doubled(env)

    envs = {
        "lambda": lambda: lambda: corridor.Corridor(3.0),
        "object": lambda: corridor.Corridor(3.0),
        "wrapped": lambda: corridor.Corridor,
    }
    around = [corridor.Doubled, doubled_again] if how == "wrapped" else []
    pixelq.train(envs[how](), run_dir="unbroken", wrappers=around, **QUICK)
    with at_agent_step(monkeypatch, 130, die), contextlib.suppress(Killed):
        pixelq.train(envs[how](), run_dir="broken", wrappers=around, **QUICK)
    handed = {"env": envs[how]()} if how in ("lambda", "object") else {}
    result = pixelq.resume("broken", **handed, **({"wrappers": around} if around else {}))
    assert result.complete
    unbroken = facts(Path("unbroken"))
    assert facts(Path("broken")) == unbroken
    assert len(result.curves.games) > 5
    # What the last step of a game pays, and none to twenty steps before it.
    assert result.curves.games.score.max() > {"wrapped": 2.2}.get(how, 1.1)


def test_a_run_of_a_function_goes_on_after_kill_9_from_the_command_line_too(
    corridor: Any, in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "start.py").write_text(
        f"import sys; sys.path.insert(0, {str(OUTSIDE)!r})\n"
        "import json, pixelq\nfrom pixelq_outside.corridor import make_corridor\n"
        "slow = lambda training: __import__('time').sleep(0.3)\n"
        "pixelq.train(make_corridor, run_dir='broken', callbacks=[slow], **json.loads(sys.argv[1]))\n"
    )
    started = python("start.py", json.dumps(QUICK), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if started.poll() is not None or len(list(Path("broken/checkpoints").glob("step-*"))) > 0:
                break
            time.sleep(0.1)
        started.send_signal(signal.SIGKILL)
    finally:
        assert started.wait(30) == -signal.SIGKILL
    assert main(["resume", "broken"]) == 2
    said = capsys.readouterr().err
    assert "it would run the code of the module 'pixelq_outside.corridor'" in said
    assert "pixelq --import pixelq_outside.corridor" in said
    assert main(["--import", "pixelq_outside.corridor", "resume", "broken"]) == 0
    pixelq.train(corridor.make_corridor, run_dir="unbroken", **QUICK)
    assert facts(Path("broken")) == facts(Path("unbroken"))


# --- what a folder can hold -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "game", "keywords", "wrappers"),
    [
        (lambda: gymnasium.make("CartPole-v1"), "CartPole-v1", {}, ()),
        (lambda: gymnasium.make("FrozenLake-v1", is_slippery=False), "FrozenLake-v1", {"is_slippery": False}, ()),
        (lambda: gymnasium.make("CartPole-v1", max_episode_steps=9), "CartPole-v1", {"max_episode_steps": 9}, ()),
        (lambda: gymnasium.make("CartPole-v1", render_mode="rgb_array"), "CartPole-v1", {}, ()),
        (
            lambda: FlattenObservation(gymnasium.make("CartPole-v1")),
            "CartPole-v1",
            {},
            ("gymnasium.wrappers.transform_observation:FlattenObservation",),
        ),
        (lambda: gymnasium.spec("CartPole-v1"), "CartPole-v1", {}, ()),
    ],
    ids=["plain", "keywords", "time limit", "drawn", "wrapped", "spec"],
)  # fmt: skip
def test_an_environment_of_gymnasium_is_its_id_keywords_and_wrappers(
    make: Callable[[], Any], game: str, keywords: dict[str, Any], wrappers: tuple[str, ...]
) -> None:
    given = given_environment(make())
    assert (given.game, given.keywords, given.wrappers, given.handed) == (game, keywords, wrappers, {})


def test_such_an_environment_is_left_as_it_is_and_its_run_needs_nothing_but_its_folder(in_folder: Path) -> None:
    env = FlattenObservation(gymnasium.make("CartPole-v1", max_episode_steps=7))
    observation, _ = env.reset(seed=3)
    pixelq.train(env, run_dir="r", **UNTESTED)
    again, _ = gymnasium.make("CartPole-v1").reset(seed=3)
    assert np.array_equal(observation, again)
    assert np.array_equal(env.unwrapped.state.astype(np.float32), observation)  # not stepped
    result = pixelq.resume("r", steps=240)
    assert result.agent_steps == 240
    assert result.curves.games.length.max() == 7


def test_wrappers_with_arguments_are_kept_in_this_session_with_their_arguments(in_folder: Path) -> None:
    env = TransformReward(gymnasium.make("CartPole-v1"), lambda reward: 5 * reward)
    pixelq.train(env, run_dir="r", wrappers=[lambda inner: TimeLimit(inner, 6)], **UNTESTED)
    games = pixelq.read_curves("r").games
    assert games.length.max() == 6
    assert games.score.max() == 30
    config = pixelq.load("r").config
    assert ":TransformReward(" in config.wrappers[0]
    assert len(config.wrappers) == 2
    said = refused(lambda: pixelq.resume("r", steps=240))
    assert "cannot be imported by its name" in said
    assert "pixelq.resume(run, wrappers=[...])" in said
    assert "it has 2 wrappers" in refused(lambda: pixelq.resume("r", steps=240, wrappers=[lambda inner: inner]))
    assert "its game is CartPole-v1" in refused(lambda: pixelq.resume("r", env=gymnasium.make("Acrobot-v1")))
    again = TransformReward(gymnasium.make("CartPole-v1"), lambda reward: 5 * reward)
    result = pixelq.resume("r", steps=240, env=again, wrappers=[lambda inner: TimeLimit(inner, 6)])
    assert result.agent_steps == 240
    assert result.curves.games.score.max() == 30


@pytest.mark.parametrize(
    ("part", "first", "other"),
    [
        ("optimizer", functools.partial(torch.optim.SGD, momentum=0.5), functools.partial(torch.optim.SGD)),
        ("optimizer", torch.optim.SGD, torch.optim.Adagrad),
        ("env", lambda: gymnasium.make("CartPole-v1"), functools.partial(gymnasium.make, "CartPole-v1")),
        ("wrappers", [functools.partial(TimeLimit, max_episode_steps=9)], [lambda inner: TimeLimit(inner, 9)]),
        ("wrappers", [lambda inner: TimeLimit(inner, 9)] * 2, [lambda inner: inner, FlattenObservation]),
    ],
    ids=["partial", "torch", "env", "wrapper", "one of two wrappers"],
)
def test_a_run_that_goes_on_with_another_part_than_it_was_given_says_both_names(
    part: str, first: Any, other: Any, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game, options = (first, {}) if part == "env" else ("CartPole-v1", {part: first})
    pixelq.train(game, run_dir="r", **UNTESTED | {"steps": 100}, **options)
    again = copy.copy(first) if isinstance(first, functools.partial) else first
    pixelq.resume("r", steps=120, **{part: again})
    assert "in place of" not in capsys.readouterr().err
    assert pixelq.resume("r", steps=140, **{part: other}).agent_steps >= 140
    before, now = (named_objects.name_of(one[-1] if isinstance(one, list) else one) for one in (first, other))
    lines = [line for line in capsys.readouterr().err.splitlines() if "in place of" in line]
    name = part.removesuffix("s")
    assert lines[-1].startswith(f"{name}: goes on with {now}")
    assert f"in place of {before}" in lines[-1]
    assert lines[-1].endswith("the same run only if both compute the same")
    assert len(lines) == 1


def bent(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x)


class Wide(nn.Module):
    """A torso with a function among its arguments."""

    def __init__(self, space: Any, options: Any, layers: Any, activation: Callable[[Any], Any] = torch.relu) -> None:
        super().__init__()
        self.layer, self.activation, self.features = layers.linear(4, 8), activation, 8

    @staticmethod
    def reads_images(options: Any) -> bool:
        """It reads vectors."""
        return False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, 4)` -> `(B, 8)`."""
        return self.activation(self.layer(x, None))  # type: ignore[no-any-return]


def test_a_part_is_handed_to_load_as_to_resume_whatever_its_address_is_now(in_folder: Path) -> None:
    torso = functools.partial(Wide, activation=bent)
    pixelq.train("CartPole-v1", run_dir="r", torso=torso, **UNTESTED | {"steps": 100})
    states = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 1, 4)
    before = pixelq.load("r", torso=torso).q_values(states)
    for file in Path("r").rglob("config.toml"):  # as another process would have written it
        text = file.read_text()
        addresses = set(re.findall("0x[0-9a-f]+", text))
        assert addresses
        file.write_text(re.sub("|".join(addresses), "0x7f0000001234", text))
    assert "hand it over again" in refused(lambda: pixelq.load("r"))
    again = pixelq.load("r", torso=functools.partial(Wide, activation=torch.tanh))
    assert np.array_equal(again.q_values(states), before)
    policy = next(Path("r").rglob("policy.safetensors"))
    assert np.array_equal(pixelq.load(policy, torso=torso).q_values(states), before)


@pytest.mark.parametrize("tabular", [False, True])
def test_a_loaded_policy_takes_its_random_actions_from_the_seed(tabular: bool, in_folder: Path) -> None:
    if tabular:
        assert main(["tabular", "FrozenLake-v1", "--episodes", "2", "--run-dir", "r"]) == 0
        states: np.ndarray = np.zeros(40, np.int64)
    else:
        pixelq.train("CartPole-v1", run_dir="r", **UNTESTED | {"steps": 100})
        states = np.zeros((40, 1, 4), np.float32)
    first, again, other = (pixelq.load("r", seed=seed).act(states, epsilon=1.0).tolist() for seed in (5, 5, 6))
    assert first == again != other
    assert "load: seed = -1 must be a whole number, at least 0" in refused(lambda: pixelq.load("r", seed=-1))


def test_an_object_that_cannot_be_copied_is_the_only_environment_and_is_not_closed(
    corridor: Any, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = corridor.Corridor(1.0)
    env.lock = __import__("threading").Lock()
    quick = {name: value for name, value in UNTESTED.items() if name != "eval_every"}
    assert "num_envs = 4" in refused(lambda: pixelq.train(env, run_dir="r", **quick))
    assert "leave eval_every out" in refused(lambda: pixelq.train(env, run_dir="r", **quick | {"eval_every": 5}))
    assert not Path("r").exists()
    alone = quick | {"num_envs": 1, "batch_size": 5, "steps": 100}
    result = pixelq.train(env, run_dir="r", **alone)
    assert "it is the only environment; evaluation is off" in capsys.readouterr().err
    assert env.steps > 0
    assert not env.closed
    assert len(result.curves.evaluations) == 0
    assert pixelq.resume("r", env=env, steps=150).agent_steps == 150


def test_of_any_other_object_copies_are_made(corridor: Any, in_folder: Path) -> None:
    env = corridor.Corridor(1.5)
    result = pixelq.train(env, run_dir="r", **QUICK)
    assert not hasattr(env, "field")  # never reset
    assert set(result.curves.games.environment.tolist()) == {0, 1, 2, 3}
    assert len(result.curves.evaluations) == 1
    assert result.evaluate(episodes=2).scores.shape == (2,)
    agent = result.agent()
    envs = pixelq.make_envs(agent.config, num_envs=2, seed=1, env=env)
    assert isinstance(envs, SeededEpisodes)
    assert agent.act(envs.reset()[0]).shape == (2,)
    envs.close()


def test_a_script_that_names_the_module_itself_needs_no_function(corridor: Any, in_folder: Path) -> None:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items() if type(value) in (int, str)]
    words = ["--wrappers", "pixelq_outside.corridor:Doubled", "--env-kwargs", "pays=4", *options, "--run-dir", "r"]
    assert main(["train", "pixelq_outside.corridor:make_corridor", *words]) == 0
    assert pixelq.read_curves("r").games.score.max() > 4
    assert main(["eval", "r"]) == 2
    assert main(["--import", "pixelq_outside.corridor", "eval", "r", "--episodes", "2"]) == 0


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("game", ["os:abort", "os:abort()", "pixelq_outside.corridor:make_corridor", "sys:exit()"])
def test_a_text_never_calls_anything(game: str, corridor: Any, in_folder: Path) -> None:
    assert "it would run the code of the module" in refused(lambda: pixelq.train(game))


def test_what_a_named_module_has_imported_is_not_called(
    corridor: Any, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "pixelq_outside.corridor:np"]) == 2
    corridor.abort = __import__("os").abort
    assert main(["train", "pixelq_outside.corridor:abort"]) == 2
    assert "it is of the module posix" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (lambda: gymnasium.make_vec("CartPole-v1", 2), "several environments in one"),
        (lambda: lambda: 3, "it returned a int, which is no gymnasium.Env"),
        (lambda: lambda: 1 / 0, "cannot be made (ZeroDivisionError: division by zero)"),
        (lambda: lambda size: size, "missing 1 required positional argument"),
        (lambda: functools.partial(gymnasium.make, "Nope-v1"), "cannot be made"),
        (lambda: (lambda env: lambda: env)(gymnasium.make("CartPole-v1")), "returned the same environment twice"),
        (lambda: type("Old", (), {"reset": None, "step": None})(), "is no gymnasium.Env; derive it"),
        (lambda: lambda: gymnasium.make("Pendulum-v1"), "its actions are continuous"),
    ],
)
def test_what_is_no_environment_is_one_line(env: Callable[[], Any], words: str, in_folder: Path) -> None:
    assert words in refused(lambda: pixelq.train(env(), **QUICK))
    assert not list(in_folder.iterdir())


@pytest.mark.parametrize(
    ("wrappers", "words"),
    [
        ([3], "wrapper 3: give what makes the wrapper"),
        ([lambda env: 3], "it returned a int"),
        ([lambda env: 1 / 0], "cannot be put around CartPole-v1 (ZeroDivisionError"),
        ([gymnasium.make("CartPole-v1")], "give what makes the wrapper"),
        (FlattenObservation, "must be a list of callables"),
        (["os:system"], "it would run the code of the module 'os'"),
        (["gymnasium.wrappers:Nothing"], "has no Nothing"),
    ],
)
def test_what_is_no_wrapper_is_one_line(wrappers: Any, words: str, in_folder: Path) -> None:
    assert words in refused(lambda: pixelq.train("CartPole-v1", wrappers=wrappers, **QUICK))
    assert not list(in_folder.iterdir())


@pytest.mark.parametrize("game", ["pong", "CarRacing-v3"])
def test_games_that_pixelq_plays_itself_take_no_wrapper_and_say_the_way_out(game: str, in_folder: Path) -> None:
    said = refused(lambda: pixelq.train(game, wrappers=[lambda env: env]))
    assert "pixelq.train(lambda: gymnasium.make('" in said
    assert not list(in_folder.iterdir())


# --- variants -------------------------------------------------------------------------------------------------------


class Flat(nn.Module):
    """All numbers in a row, and a layer."""

    def __init__(self, space: Any, options: Any, layers: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(int(np.prod(space.shape)), 5)
        self.features, self.hidden = 5, ()

    @staticmethod
    def reads_images(options: Any) -> bool:
        return False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(x.flatten(1)))


def test_a_torso_is_handed_over_as_a_class_and_again_for_whatever_needs_its_network(in_folder: Path) -> None:
    class Local(Flat):
        pass

    result = pixelq.train("CartPole-v1", run_dir="r", torso=Local, **QUICK)
    assert result.agent().network.torso.features == 5
    assert result.curves.agent_steps[-1] == 200  # needs no torso
    for call in (lambda: pixelq.load("r"), lambda: pixelq.resume("r", steps=240)):
        assert "pixelq.load(run, torso=...)" in refused(call)
    assert isinstance(pixelq.load("r", torso=Local).network.torso, Local)
    assert pixelq.resume("r", steps=240, torso=Local).agent_steps == 240
    assert "there is no 'nonsense'" in refused(lambda: pixelq.load("r", nonsense=Local))
    assert "has no Torso" in refused(lambda: pixelq.train("CartPole-v1", torso=object()))
    assert "its torso is mlp" in refused(lambda: _plain_run_resumed_with(Local))


def _plain_run_resumed_with(torso: type) -> None:
    pixelq.train("CartPole-v1", run_dir="plain", **UNTESTED | {"steps": 40})
    pixelq.resume("plain", torso=torso)
