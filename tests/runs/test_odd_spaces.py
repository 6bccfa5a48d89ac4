"""Games whose observations and actions have parts: trained by the loops, resumed to the byte, evaluated, recorded."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import gymnasium
import numpy as np
import pytest

import pixelq
import small_runs
from odd_spaces import registered_robots
from pixelq.errors import UserError
from pixelq.recipes.choice import configure, recipe_for
from pixelq.runs.evaluation import evaluate
from pixelq.runs.session import resume, start
from pixelq.viewing.video import record_game
from small_runs import Killed, at_agent_step, die, facts

SMALL: dict[str, Any] = {k: v for k, v in small_runs.SMALL.items() if k not in ("screen_size", "noop_max")} | {
    "steps": 160,
    "eval_every": 80,
    "checkpoint_every": 40,
    "frame_skip": 1,
    "frame_stack": 2,
    "hidden": (8,),
}
REPLAY = {"target_every": 40}
PARALLEL: dict[str, Any] = {"num_envs": 4, "rollout_length": 5, "batch_size": 10, "learning_rate_end": None}
PARALLEL |= dict.fromkeys(("replay_start", "replay_capacity", "target_every"))
NUMBERS: dict[str, Any] = {"env_kwargs": {"camera": False}}
NORMALISED = {"normalise_observations": True}
IMAGE: dict[str, Any] = {"channels": (4, 4, 4), "screen_size": 40}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "numbers-replay": ("cleanrl", REPLAY | NUMBERS | {"torso": "mlp"}),
    "numbers-replay-several-prioritized-3-steps-normalised": (
        "cleanrl",
        REPLAY | NUMBERS | NORMALISED | {"torso": "mlp", "num_envs": 3, "n_step": 3, "prioritized": True},
    ),
    "numbers-parallel-normalised": ("gymnasium", PARALLEL | NUMBERS | NORMALISED),
    "image-and-numbers-replay": ("gymnasium-pixels", REPLAY | IMAGE),
    "image-and-numbers-replay-normalised-in-colour": (
        "gymnasium-pixels",
        REPLAY | IMAGE | NORMALISED | {"grayscale": False, "num_envs": 2},
    ),
    "image-and-numbers-parallel": ("pqn", PARALLEL | IMAGE),
}


@pytest.fixture(autouse=True)
def _robots() -> Iterator[None]:
    with registered_robots():
        yield


def config_of(case: str, **more: Any) -> Any:
    recipe, fields = CASES[case]
    given = {name: value for name, value in (SMALL | fields | more).items() if value is not None}
    return configure("Robot-v0", recipe, given)


@pytest.mark.parametrize("case", CASES)
def test_a_killed_and_resumed_run_ends_as_an_unbroken_one_and_its_policy_plays(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(case)
    start(config, Path("unbroken"))
    for i, step in enumerate((57, 121)):
        with at_agent_step(monkeypatch, step, die), contextlib.suppress(Killed):
            resume(Path("broken")) if i else start(config, Path("broken"))
    resume(Path("broken"))
    assert facts(Path("broken")) == facts(Path("unbroken"))
    agent: Any = pixelq.load("broken")
    if config.normalise_observations:
        counted = [agent.network.normalisation.count]
        if agent.network.numbers_normalisation is not None:
            counted.append(agent.network.numbers_normalisation.count)
        assert min(counted) > 60
    result = evaluate(agent, agent.config, episodes=3, epsilon=0.0, seed=1)
    assert [game.length for game in result.games] == [9, 9, 9]
    player, env = agent.player(made := gymnasium.make("Robot-v0", **config.env_kwargs)), made
    observation, info = env.reset(seed=0)
    for _ in range(9):
        observation, _, terminated, _, info = env.step(player.act(observation, info))
    assert terminated


def test_a_video_names_the_combinations(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(config_of("image-and-numbers-parallel", eval_every=0), Path("r"))
    names: list[list[str]] = []
    from pixelq.viewing.q_panel import QPanel

    made = QPanel.__init__

    def noted(self: QPanel, height: int, title: str, actions: list[str], *rest: Any, **more: Any) -> None:
        names.append(actions)
        made(self, height, title, actions, *rest, **more)

    monkeypatch.setattr(QPanel, "__init__", noted)
    recorded = record_game(pixelq.load("r"), Path("v.mp4"), seed=1)  # type: ignore[arg-type]
    assert recorded.agent_steps == 9
    assert len(names[0]) == 24
    assert names[0][:3] == ["((0, 0), 5, (0))", "((0, 0), 5, (1))", "((0, 0), 6, (0))"]
    with av.open("v.mp4") as video:
        assert len([*video.decode(video=0)]) >= 9


def test_it_learns_which_choices_of_a_combination_pay(in_folder: Path) -> None:
    """Two of three choices count, whatever is seen: chance is 7.5 of 18 points, the best 18."""
    fields: dict[str, Any] = {"steps": 600, "hidden": (16,), "eval_every": 0, "checkpoint_every": 0, "gamma": 0.0}
    fields |= {"epsilon_start": 1.0, "epsilon_end": 1.0, "batch_size": 32, "learning_rate": 1e-2}
    fields |= {"replay_capacity": 1_000, "train_every": 4, "clip_reward": False}
    start(config_of("numbers-replay", **fields), Path("r"))
    agent: Any = pixelq.load("r")
    score = evaluate(agent, agent.config, episodes=10, epsilon=0.0, seed=3).mean
    assert score > 16


def test_more_than_256_actions_are_recorded_and_played_again(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    actions = gymnasium.spaces.MultiBinary(10)
    from odd_spaces import Robot

    gymnasium.register("ManyKeys-v0", entry_point=lambda **keywords: Robot(camera=False, actions=actions, **keywords))
    try:
        config = configure("ManyKeys-v0", "cleanrl", SMALL | REPLAY | {"torso": "mlp", "eval_every": 0})
        start(config, Path("unbroken"))
        with at_agent_step(monkeypatch, 121, die), contextlib.suppress(Killed):
            start(config, Path("broken"))
        resume(Path("broken"))
        assert facts(Path("broken")) == facts(Path("unbroken"))
        assert pixelq.load("broken").network.num_actions == 1024  # type: ignore[union-attr]
    finally:
        gymnasium.registry.pop("ManyKeys-v0")


def test_what_a_game_shows_decides_its_recipe_and_which_options_have_an_effect() -> None:
    from pixelq.envs import resolve_game
    from pixelq.recipes.unused import check_used

    game: Any = resolve_game("Robot-v0")
    assert recipe_for(game) == "gymnasium-pixels"
    assert recipe_for(game, {"camera": False}) == "gymnasium"
    check_used(configure("Robot-v0", None, {"screen_size": 40}), ["screen_size"])
    with pytest.raises(UserError, match="shows numbers"):
        check_used(configure("Robot-v0", None, NUMBERS | {"screen_size": 40}), ["screen_size"])
    with pytest.raises(UserError, match="use --torso"):
        start(configure("Robot-v0", None, {"torso": "mlp", "device": "cpu"}), Path("never"))
    assert not Path("never").exists()


def test_a_number_beside_an_image_that_is_not_finite_ends_the_run_at_once(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from odd_spaces import Robot
    from pixelq.envs import make_envs
    from pixelq.envs.seeded_episodes import EnvironmentFailedError

    envs = make_envs(config_of("image-and-numbers-replay"), num_envs=2, seed=1)
    envs.reset()
    shown = Robot._shown

    def broken(self: Any) -> Any:
        return shown(self) | {"arm": (np.array([0.0, np.nan], np.float32), np.int64(1))}

    monkeypatch.setattr(Robot, "_shown", broken)
    with pytest.raises(EnvironmentFailedError, match="a number of its observation is nan at agent step 1 of its game"):
        envs.step(np.array([0, 0]))
