"""Gymnasium environments behind `SeededEpisodes`: an episode is its seed and its actions, whatever came before."""

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from pixelq.config import Config
from pixelq.envs import GymnasiumGame, make_envs, resolve_game
from pixelq.envs.generic import GymnasiumEnvs
from pixelq.envs.gymnasium_games import opened_environment
from pixelq.envs.seeded_episodes import EnvironmentFailedError
from pixelq.errors import UserError

IMAGES: dict[str, Any] = {"grayscale": False, "screen_size": 0}
GAMES: dict[str, dict[str, Any]] = {
    "CartPole-v1": {},
    "LunarLander-v3": {},
    "Acrobot-v1": {},
    "MountainCar-v0": {},
    "FrozenLake-v1": {},
    "MinAtar/Breakout-v1": IMAGES,
    "MinAtar/Asterix-v1": IMAGES,
    "MiniGrid-Empty-Random-6x6-v0": IMAGES,
}


def config(game: str, **fields: Any) -> Config:
    plain: dict[str, Any] = {"frame_skip": 1, "frame_stack": 2, "noop_max": 0, "fire_on_reset": False}
    return Config(**(plain | {"game": game} | fields))


def environments(game: str, num_envs: int = 1, **fields: Any) -> GymnasiumEnvs:
    found = resolve_game(game)
    assert isinstance(found, GymnasiumGame)
    return GymnasiumEnvs(config(game, **fields), found, num_envs=num_envs)


ONE = np.ones(1, np.bool_)


def episode(envs: GymnasiumEnvs, seed: int, steps: int = 120) -> str:
    """Digest of all observations and rewards of one episode, played by random actions of its seed."""
    generator = np.random.default_rng(seed)
    observations, _ = envs.reset_some(np.array([seed]), ONE)
    digest = hashlib.sha256(observations.tobytes())
    for _ in range(steps):
        actions = generator.integers(0, envs.single_action_space.n, 1)
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        for part in (observations, rewards, terminated, truncated):
            digest.update(part.tobytes())
        if terminated[0] or truncated[0]:
            break
    return digest.hexdigest()


@pytest.mark.parametrize(("game", "fields"), GAMES.items(), ids=GAMES)
def test_seed_and_actions_repeat_an_episode_to_the_bit_whatever_was_played_before(
    game: str, fields: dict[str, Any]
) -> None:
    fresh = {}
    for seed in range(6):
        envs = environments(game, **fields)
        fresh[seed] = episode(envs, seed)
        envs.close()
    assert len(set(fresh.values())) > 1
    used = environments(game, **fields)
    for seed in (3, 0, 5, 1, 1, 4, 2, 0):
        used.reset_some(np.array([seed + 100]), ONE)
        for step in range(seed):  # leave an episode in the middle
            used.step(np.array([step % used.single_action_space.n]))
        assert episode(used, seed) == fresh[seed], f"seed {seed} after other episodes"
    used.close()


@pytest.mark.parametrize(("game", "fields"), GAMES.items(), ids=GAMES)
def test_every_copy_plays_as_it_would_alone(game: str, fields: dict[str, Any]) -> None:
    together = environments(game, 3, **fields)
    observations, _ = together.reset_some(np.array([11, 12, 13]), np.ones(3, np.bool_))
    alone = [environments(game, **fields) for _ in range(3)]
    for i, one in enumerate(alone):
        assert np.array_equal(one.reset_some(np.array([11 + i]), ONE)[0][0], observations[i])
    generator = np.random.default_rng(0)
    for _ in range(8):
        actions = generator.integers(0, together.single_action_space.n, 3)
        parts = together.step(actions)
        for i, one in enumerate(alone):
            for whole, single in zip(parts, one.step(actions[i : i + 1]), strict=True):
                assert np.array_equal(whole[i], single[0])
        done = parts[2] | parts[3]
        if done.any():
            together.reset_some(np.arange(done.sum()) + 50, done)
            for k, i in enumerate(np.flatnonzero(done)):
                alone[i].reset_some(np.array([50 + k]), ONE)


def test_minatars_last_action_is_one_of_the_things_that_would_leak() -> None:
    """Why every episode of MinAtar gets a new environment: Gymnasium's reset does not clear this."""
    resolve_game("MinAtar/Breakout-v1")
    env: Any = gymnasium.make("MinAtar/Breakout-v1", disable_env_checker=True)
    env.reset(seed=1)
    for _ in range(5):
        env.step(2)
    env.reset(seed=1)
    assert env.unwrapped.game.last_action != 0


# --- what an episode is ---------------------------------------------------------------------------------------------


def test_the_stack_holds_zeros_before_the_start_and_the_newest_frame_last() -> None:
    envs = environments("CartPole-v1", frame_stack=3)
    first, _ = envs.reset_some(np.array([5]), ONE)
    reference = gymnasium.make("CartPole-v1")
    assert np.array_equal(first[0], [np.zeros(4), np.zeros(4), reference.reset(seed=5)[0]])
    assert first.dtype == np.float32
    second = envs.step(np.array([1]))[0]
    assert np.array_equal(second[0], [np.zeros(4), first[0, -1], reference.step(1)[0]])
    assert np.array_equal(first[0, 0], np.zeros(4)), "arrays handed out are not written again"


def test_a_time_limit_truncates_and_a_fall_terminates() -> None:
    envs = make_envs(config("CartPole-v1"), num_envs=1, seed=1)
    envs.reset()
    lengths = {"terminated": 0, "truncated": 0}
    for step in range(1, 2000):
        position, _, angle, spin = envs.observations[0, -1]
        follow = int(angle + 0.3 * spin + 0.02 * position > 0) if not lengths["truncated"] else 1
        _, rewards, terminated, truncated, info = envs.step(np.array([follow]))
        assert not (terminated & truncated).any()
        assert rewards[0] == 1.0
        assert not info["life_lost"].any()
        for name, ends in (("terminated", terminated), ("truncated", truncated)):
            if ends[0] and not lengths[name]:
                lengths[name] = step - sum(lengths.values())
                assert not np.array_equal(info["final_obs"], envs.observations)
    assert lengths["truncated"] == 500
    assert 5 < lengths["terminated"] < 20


def test_a_recipes_cap_truncates_too_and_counts_frames() -> None:
    envs = environments("MountainCar-v0", frame_skip=4, max_frames_per_episode=30)
    envs.reset_some(np.array([1]), ONE)
    ends = [bool(envs.step(np.array([0]))[3][0]) for _ in range(8)]
    assert ends == [False] * 7 + [True]


def test_a_skipped_frame_repeats_the_action_and_adds_up_its_reward() -> None:
    envs = environments("MountainCar-v0", frame_skip=4)
    reference = gymnasium.make("MountainCar-v0")
    reference.reset(seed=3)
    envs.reset_some(np.array([3]), ONE)
    shown, rewards, *_ = envs.step(np.array([2]))
    wanted = [reference.step(2) for _ in range(4)][-1][0]
    assert np.array_equal(shown[0, -1], wanted)
    assert rewards[0] == -4.0


# --- environments of one's own --------------------------------------------------------------------------------------


class Odd(gymnasium.Env[Any, Any]):
    """Actions from 5 on, states from -2 on; raises at action 6; ends and is cut at once at 7."""

    observation_space = gymnasium.spaces.Discrete(3, start=-2)
    action_space: gymnasium.Space[Any] = gymnasium.spaces.Discrete(3, start=5)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return -2, {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        if action == 6:
            raise ArithmeticError("the motor burns")
        return 0, 2.5, action == 7, action == 7, {}


@pytest.fixture(autouse=True)
def _odd_is_registered() -> Iterator[None]:
    gymnasium.register("Odd-v0", entry_point=Odd)
    yield
    gymnasium.registry.pop("Odd-v0")


def test_actions_and_states_may_be_numbered_from_anywhere() -> None:
    envs = environments("Odd-v0", 2)
    assert envs.single_action_space == gymnasium.spaces.Discrete(3)
    observations, _ = envs.reset_some(np.array([1, 1]), np.ones(2, np.bool_))
    assert observations[:, -1].tolist() == [[1.0, 0.0, 0.0]] * 2
    observations, rewards, terminated, truncated, _ = envs.step(np.array([0, 2]))
    assert observations[:, -1].tolist() == [[0.0, 0.0, 1.0]] * 2
    assert (rewards.tolist(), terminated.tolist(), truncated.tolist()) == ([2.5, 2.5], [False, True], [False, False])


def test_an_exception_says_which_environment_raised_it() -> None:
    envs = make_envs(config("Odd-v0"), num_envs=4, seed=1)
    envs.reset()
    with pytest.raises(EnvironmentFailedError, match=r"environment 2 failed \(ArithmeticError: the motor burns\)"):
        envs.step(np.array([0, 0, 1, 0]))


class Panic(BaseException):
    """As native libraries raise them: no Exception."""


def playing(monkeypatch: pytest.MonkeyPatch, step: Any) -> Any:
    """Odd-v0 whose `step` is another, at its start."""
    monkeypatch.setattr(Odd, "step", step)
    envs = make_envs(config("Odd-v0"), num_envs=1, seed=1)
    envs.reset()
    return envs


def raises(error: BaseException) -> Any:
    def step(self: Any, action: int) -> Any:
        raise error

    return step


@pytest.mark.parametrize("error", [Panic("the core burns"), SystemExit(3), GeneratorExit(), MemoryError()])
def test_whatever_a_game_raises_is_its_failure(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    envs = playing(monkeypatch, raises(error))
    with pytest.raises(EnvironmentFailedError, match=rf"environment 0 failed \({type(error).__name__}"):
        envs.step(np.array([0]))


def test_ctrl_c_in_a_game_stays_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        playing(monkeypatch, raises(KeyboardInterrupt())).step(np.array([0]))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((0, 1.0, False, {}), "its step.. returned 4 values"),
        (None, "its step.. returned a NoneType"),
        (np.zeros(5), "its step.. returned a ndarray"),
        ((0, [1.0, 2.0], False, False, {}), r"its reward is \[1.0, 2.0\], which is no number"),
        ((0, None, False, False, {}), "its reward is None, which is no number"),
        ((0, "1", False, False, {}), "its reward is '1', which is no number"),
        ((0, 10**400, False, False, {}), "its reward is 1000.*, which is no number"),
        ((0, 1.0, np.array([False, True]), False, {}), "its terminated is array.*, which is neither true nor false"),
        ((0, 1.0, False, np.array([False, True]), {}), "its truncated is array.*, which is neither true nor false"),
    ],
)
def test_what_step_returns_is_held_to_gymnasiums_form(parts: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    envs = playing(monkeypatch, lambda self, action: parts)
    with pytest.raises(EnvironmentFailedError, match=rf"environment 0 failed \({words}"):
        envs.step(np.array([0]))


@pytest.mark.parametrize(
    "reward",
    [*(2, 2.0, np.float32(2), np.array(2), np.array([2.0]), [2]), Fraction(2), Decimal("2.0"), torch.tensor(2.0)],
)
def test_a_reward_may_be_any_one_number(reward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    envs = playing(monkeypatch, lambda self, action: (0, reward, np.bool_(False), np.array([False]), {}))
    _, rewards, *_ = envs.step(np.array([0]))
    assert rewards.tolist() == [2.0]


@pytest.mark.parametrize(
    ("parts", "words"),
    [(None, "a NoneType"), (np.zeros(2), "a ndarray"), ((0, {}, 1), "3 values"), (0, "a int")],
)
def test_what_reset_returns_is_held_to_gymnasiums_form(parts: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "reset", lambda self, *, seed=None, options=None: parts)
    with pytest.raises(EnvironmentFailedError, match=rf"its reset\(\) returned {words}"):
        make_envs(config("Odd-v0"), num_envs=1, seed=1).reset()


def test_a_game_that_fails_when_it_is_closed_has_done_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def close(self: Any) -> None:
        raise RuntimeError("gone")

    monkeypatch.setattr(Odd, "close", close)
    envs = environments("Odd-v0", 2)
    envs.close()
    found = resolve_game("Odd-v0")
    assert isinstance(found, GymnasiumGame)
    with opened_environment(found) as env:
        assert env.action_space == Odd.action_space


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (gymnasium.spaces.Box(-1, 1, (2,)), "continuous"),
        (gymnasium.spaces.Text(2), "Text"),
        (gymnasium.spaces.Discrete(1025), "1,025 actions"),
    ],
)
def test_other_actions_are_refused_by_name(
    actions: gymnasium.Space[Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Odd, "action_space", actions)
    with pytest.raises(UserError, match=words):
        environments("Odd-v0")


@pytest.mark.parametrize("fields", [{"sticky_actions": 0.25}, {"opening_fire_max": 3}, {"full_action_set": True}])
def test_what_only_an_atari_emulator_can_do_is_refused_with_the_flag(fields: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(fields))) as caught:
        environments("CartPole-v1", **fields)
    assert next(iter(fields)).replace("_", "-") in str(caught.value)
