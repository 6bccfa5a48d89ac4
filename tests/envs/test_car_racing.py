"""CarRacing's view, its episodes from seeds, and the options it refuses, on both simulators; all frames are real."""

import importlib.util
import itertools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixelq
from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.car_racing import ACTION_NAMES, CarRacings, road_view
from pixelq.envs.seeded_episodes import NO_SEED, SeededEpisodes
from pixelq.errors import UserError

pytest.importorskip("Box2D", reason="needs pixelq[box2d]")

from gymnasium.envs.box2d.car_racing import CarRacing

from pixelq.envs.car_racing_gymnasium import ShownRoad

needs_envpool = pytest.mark.skipif(importlib.util.find_spec("envpool") is None, reason="needs pixelq[envpool]")
BACKENDS = [pytest.param("gymnasium"), pytest.param("envpool", marks=needs_envpool)]

GAS, BRAKE = ACTION_NAMES.index("GAS"), ACTION_NAMES.index("BRAKE")


def racing(**fields: Any) -> Config:
    defaults = {"game": "CarRacing-v3", "frame_skip": 1, "max_frames_per_episode": 1000}
    return Config(**(defaults | fields))


def races(num_envs: int = 1, **fields: Any) -> CarRacings:
    return CarRacings(racing(**fields), num_envs=num_envs)


def some_actions(steps: int, seed: int) -> np.ndarray:
    """Much gas, and every action held for a few frames, so that the car moves far."""
    return np.repeat(np.random.default_rng(seed).choice([0, 1, 2, 3, 3, 3, 4], -(-steps // 5)), 5)[:steps]


def start(envs: CarRacings, seed: int) -> np.ndarray:
    return envs.reset_some(np.full(envs.num_envs, seed), np.ones(envs.num_envs, np.bool_))[0]


def course(envs: CarRacings, seed: int, actions: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """All observations and rewards of one race."""
    shown: list[tuple[np.ndarray, ...]] = [(start(envs, seed),)]
    return shown + [envs.step(np.array([action])) for action in actions]


def assert_equal(one: list[tuple[np.ndarray, ...]], other: list[tuple[np.ndarray, ...]]) -> None:
    for step, (a, b) in enumerate(zip(one, other, strict=True)):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True)), f"step {step}"


# --- the view -------------------------------------------------------------------------------------------------------


def slow_view(picture: np.ndarray) -> np.ndarray:
    """The view in exact arithmetic, pixel by pixel."""
    weights = [Fraction("0.2989"), Fraction("0.5870"), Fraction("0.1140")]
    view = np.zeros((84, 84), np.uint8)
    for row, column in itertools.product(range(84), range(84)):
        luminance = sum(w * int(c) for w, c in zip(weights, picture[row, column + 6], strict=True))
        view[row, column] = int(luminance + Fraction(1, 2))
    return view


def test_the_view_of_real_frames_is_the_one_of_exact_arithmetic() -> None:
    car = CarRacing(continuous=False)
    pictures = [car.reset(seed=3)[0]] + [car.step(int(action))[0] for action in some_actions(60, seed=1)]
    for picture in pictures[::20]:
        assert np.array_equal(road_view(picture), slow_view(picture))


def test_the_view_of_every_pair_of_extreme_and_random_colours_is_exact() -> None:
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    picture[:40] = np.array([0, 1, 254, 255], np.uint8)[generator.integers(0, 4, (40, 96, 3))]
    assert np.array_equal(road_view(picture), slow_view(picture))


def test_the_view_has_no_status_bar_and_the_car_in_its_middle() -> None:
    car = CarRacing(continuous=False)
    car.reset(seed=3)
    for _ in range(60):
        picture = car.step(GAS)[0]
    assert (picture[84:, -3:] == 0).all()  # the bar is black where it is empty
    assert (picture[83] > 0).any(axis=1).all()  # and begins below this row
    view = road_view(picture, grayscale=False)
    reds = np.argwhere((view[..., 0].astype(int) - view[..., 1]) > 40)
    assert abs(np.median(reds[:, 1]) - 41.5) < 2


def test_drawing_only_what_is_visible_changes_no_pixel_and_no_reward() -> None:
    for seed in (1, 2):
        plain, quick = CarRacing(continuous=False), ShownRoad()
        assert np.array_equal(road_view(plain.reset(seed=seed)[0]), road_view(quick.reset(seed=seed)[0]))
        for action in some_actions(150, seed):
            picture, *rest = plain.step(int(action))
            other, *others = quick.step(int(action))
            assert np.array_equal(road_view(picture, False), road_view(other, False))
            assert rest == others
        assert np.array_equal(plain._render("rgb_array"), quick._render("rgb_array"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_newest_frame_is_last_and_before_the_start_are_zeros(backend: str) -> None:
    envs = races(backend=backend, frame_stack=3)
    first = start(envs, 1)
    assert (first.shape, first.dtype) == ((1, 3, 84, 84), np.uint8)
    assert not first[:, :2].any()
    assert first[0, 2].any()
    second, *_ = envs.step(np.array([GAS]))
    assert not second[:, 0].any()
    assert np.array_equal(second[:, 1], first[:, 2])
    envs.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_colour_frames_are_the_same_view(backend: str) -> None:
    envs = races(backend=backend, grayscale=False)
    shown = start(envs, 1)
    assert shown.shape == (1, *envs.single_observation_space.shape) == (1, 4, 84, 84, 3)
    padded = np.zeros((96, 96, 3), np.uint8)
    padded[:84, 6:90] = shown[0, -1]
    assert np.array_equal(road_view(padded), start(races(backend=backend), 1)[0, -1])


# --- episodes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_and_actions_repeat_a_race_whatever_was_driven_before(backend: str) -> None:
    actions = some_actions(120, seed=5)
    fresh = course(races(backend=backend), 7, actions)
    used = races(backend=backend)
    for other in (1, 2, 3):
        course(used, other, some_actions(40 + 9 * other, seed=other))
        assert_equal(course(used, 7, actions), fresh)
    assert not np.array_equal(fresh[0][0], start(used, 8))


@pytest.mark.parametrize("backend", BACKENDS)
def test_races_after_the_seeded_one_are_decided_by_the_seed_too(backend: str) -> None:
    def three_races(envs: CarRacings) -> list[tuple[np.ndarray, ...]]:
        shown = course(envs, 11, some_actions(30, seed=1))
        for _ in range(2):
            shown.append((envs.reset_some(np.array([NO_SEED]), np.array([True]))[0],))
            shown += [envs.step(np.array([action])) for action in some_actions(30, seed=2)]
        return shown

    used = races(backend=backend)
    course(used, 3, some_actions(50, seed=4))
    one = three_races(used)
    assert_equal(one, three_races(races(backend=backend)))
    assert not np.array_equal(one[0][0], one[31][0])  # another track


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_race_among_others_is_the_race_alone(backend: str) -> None:
    together = races(3, backend=backend)
    start(together, 1)
    together.reset_some(np.array([7]), np.array([False, True, False]))
    alone = races(backend=backend)
    assert_equal([(start(alone, 7),)], [(together._observations[1:2],)])
    for action in some_actions(25, seed=6):
        everywhere = together.step(np.array([GAS, action, BRAKE]))
        assert_equal([alone.step(np.array([action]))], [tuple(part[1:2] for part in everywhere)])


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_time_limit_truncates_and_does_not_terminate(backend: str) -> None:
    envs = SeededEpisodes(races(backend=backend, max_frames_per_episode=30), 1)
    envs.reset()
    for step in range(1, 31):
        before = envs.observations
        observations, rewards, terminated, truncated, info = envs.step(np.array([BRAKE]))
        assert (bool(terminated[0]), bool(truncated[0])) == (False, step == 30)
        assert step == 1 or rewards[0] == pytest.approx(-0.1, abs=1e-4)
    assert np.array_equal(info["final_obs"][0, :-1], before[0, 1:])  # the last state of the race
    assert not observations[0, :-1].any()  # the first of the next


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_limit_is_a_thousand_steps_by_no_other_clock(backend: str) -> None:
    envs = races(backend=backend, max_frames_per_episode=1_020, frame_skip=20)
    start(envs, 1)
    ends = [envs.step(np.array([BRAKE]))[2:4] for _ in range(51)]
    assert not any(terminated[0] for terminated, _ in ends)
    assert [bool(truncated[0]) for _, truncated in ends] == [False] * 50 + [True]


@needs_envpool
def test_leaving_the_field_terminates_with_minus_a_hundred() -> None:
    envs = races(backend="envpool")
    start(envs, 6)
    for _ in range(900):
        _, rewards, terminated, truncated, _ = envs.step(np.array([GAS]))
        if terminated[0]:
            break
    assert (terminated[0], truncated[0]) == (True, False)
    assert rewards[0] == -100


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_skipped_frame_is_driven_and_its_reward_counted(backend: str) -> None:
    skipping, plain = races(backend=backend, frame_skip=3), races(backend=backend)
    assert np.array_equal(start(skipping, 2), start(plain, 2))
    for action in some_actions(20, seed=3):
        observations, reward, *_ = skipping.step(np.array([action]))
        single = [plain.step(np.array([action])) for _ in range(3)]
        assert reward[0] == pytest.approx(sum(r[0] for _, r, *_ in single))
        assert np.array_equal(observations[0, -1], single[-1][0][0, -1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("num_envs", [1, 2])
def test_saved_races_go_on_to_the_byte(backend: str, num_envs: int) -> None:
    config = racing(backend=backend, max_frames_per_episode=45)
    envs = make_envs(config, num_envs=num_envs, seed=1, threads=1)
    envs.reset()
    for action in some_actions(70, seed=1):
        envs.step(np.full(num_envs, action))
    resumed = make_envs(config, num_envs=num_envs, seed=99)
    resumed.load_state_dict(envs.state_dict())
    assert np.array_equal(resumed.observations, envs.observations)
    for action in some_actions(50, seed=2):
        (*parts, info), (*others, other_info) = (e.step(np.full(num_envs, action)) for e in (envs, resumed))
        assert all(np.array_equal(a, b) for a, b in zip(parts, others, strict=True))
        assert np.array_equal(info["final_obs"], other_info["final_obs"])
    envs.close()
    resumed.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_large_picture_shows_the_window(backend: str) -> None:
    envs = races(backend=backend)
    start(envs, 1)
    envs.step(np.array([GAS]))
    picture = envs.render()
    assert (picture.shape, picture.dtype) == ((400, 600, 3), np.uint8)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5


# --- what it refuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"screen_size": 64}, "screen_size = 64: CarRacing-v3 does not have that; use --screen-size 84"),
        ({"sticky_actions": 0.25}, "sticky_actions = 0.25: CarRacing-v3 does not have that; use --sticky-actions 0"),
        ({"full_action_set": True}, "use --no-full-action-set"),
        ({"opening_fire_max": 3}, "use --opening-fire-max 0"),
    ],
)
def test_an_option_of_other_games_is_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        races(**fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("backend", "module", "extra"), [("gymnasium", "Box2D", "box2d"), ("envpool",) * 3])
def test_a_missing_package_is_one_line_with_the_command_that_installs_it(
    backend: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.startswith((f"pixelq.envs.car_racing_{backend}", "gymnasium.envs.box2d")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as caught:
        make_envs(racing(backend=backend), num_envs=1, seed=1)
    assert str(caught.value).endswith(f"fix it with: python -m pip install 'pixelq[{extra}]'")
    assert "\n" not in str(caught.value)


def test_another_game_has_no_second_simulator() -> None:
    with pytest.raises(UserError, match=r"backend = envpool: only CarRacing-v3 has .*use --backend gymnasium"):
        make_envs(Config(game="pong", backend="envpool"), num_envs=1, seed=1)


def test_its_short_name_is_the_same_game() -> None:
    envs = make_envs(racing(game="car-racing"), num_envs=1, seed=1)
    assert (envs.single_action_space.n, envs.single_observation_space.shape) == (5, (4, 84, 84))


def test_nothing_is_printed_on_standard_output() -> None:
    code = (
        "from pixelq.config import Config; from pixelq.envs import make_envs; "
        "make_envs(Config(game='CarRacing-v3'), num_envs=1, seed=1).reset()"
    )
    path = {"PYTHONPATH": str(Path(pixelq.__file__).parents[1])}
    ended = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True)
    assert ended.stdout == ""
