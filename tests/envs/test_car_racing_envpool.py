"""EnvPool's CarRacing compared with Gymnasium's on the same track with the same actions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from cpp_random import CppUniform

pytest.importorskip("Box2D", reason="needs pixelq[box2d]")
pytest.importorskip("envpool", reason="needs pixelq[envpool]")

from gymnasium.envs.box2d.car_dynamics import Car
from gymnasium.envs.box2d.car_racing import CarRacing

from pixelq.envs.car_racing import ACTION_NAMES, road_view
from pixelq.envs.car_racing_envpool import STEER_GAS_BRAKE, EnvPoolCars

SEEDS = (5, 8)


@dataclass(frozen=True)
class Pair:
    """One frame of both games."""

    pictures: tuple[np.ndarray, np.ndarray]
    """Gymnasium's, EnvPool's."""
    rewards: tuple[float, float]
    terminated: tuple[bool, bool]
    action: int


def on_one_track(seed: int) -> tuple[CarRacing, EnvPoolCars]:
    """Both games at the start of EnvPool's track of this seed."""
    theirs = EnvPoolCars(1)
    theirs.start(0, seed)
    ours = CarRacing(continuous=False)
    ours._np_random = CppUniform(seed)
    ours.reset()
    return ours, theirs


def side_by_side(seed: int, steps: int = 500) -> Iterator[Pair]:
    """Drive both along the same track with the same actions, until one of them ends."""
    ours, theirs = on_one_track(seed)
    generator = np.random.default_rng(seed)
    for action in np.repeat(generator.choice([3, 3, 3, 1, 2, 0], steps // 5), 5):
        first, reward, over, _, _ = ours.step(int(action))
        seconds, rewards, overs = theirs.drive(np.array([0]), np.array([action]))
        yield Pair((first, seconds[0]), (float(reward), float(rewards[0])), (over, bool(overs[0])), int(action))
        if over or overs[0]:
            return


@pytest.fixture(scope="module")
def drives() -> dict[int, list[Pair]]:
    return {seed: list(side_by_side(seed)) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_actions_give_the_same_rewards_on_the_same_track(drives: dict[int, list[Pair]], seed: int) -> None:
    ours, theirs = np.array([pair.rewards for pair in drives[seed]]).T
    assert np.abs(ours - theirs).max() < 1e-3  # EnvPool adds in float32
    assert (ours > 1).sum() >= 3  # new tiles among them, besides those at the start
    assert {pair.action for pair in drives[seed]} == {0, 1, 2, 3}


def test_the_same_actions_leave_the_field_at_the_same_step(drives: dict[int, list[Pair]]) -> None:
    ends = [pair for drive in drives.values() for pair in drive if any(pair.terminated)]
    assert ends
    assert all(pair.terminated == (True, True) and pair.rewards == (-100, -100) for pair in ends)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_views_differ_by_how_edges_are_drawn(drives: dict[int, list[Pair]], seed: int) -> None:
    for pair in drives[seed][:200:40]:
        ours, theirs = (road_view(picture).astype(int) for picture in pair.pictures)
        difference = np.abs(ours - theirs)
        assert 0 < difference.mean() < 5
        assert (difference > 8).mean() < 0.08
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95


def test_a_tile_that_was_touched_changes_its_shade_only_in_gymnasium() -> None:
    ours, theirs = on_one_track(5)
    assert len(np.unique([tuple(tile.color) for tile in ours.road], axis=0)) == 3  # three shades in turn
    for _ in range(40):
        after = ours.step(3)[0]
        other_after = theirs.drive(np.array([0]), np.array([3]))[0][0]
    touched = [tile for tile in ours.road if tile.road_visited]
    assert len(touched) > 2
    assert {tuple(tile.color) for tile in touched} == {(102, 102, 102)}
    behind = (slice(76, 84), slice(44, 52))  # road behind the car, driven over
    assert np.ptp(after[behind][after[behind].std(axis=-1) < 2]) < np.ptp(
        other_after[behind][other_after[behind].std(axis=-1) < 2]
    )


def test_one_seed_gives_two_different_tracks() -> None:
    theirs = EnvPoolCars(1)
    ours = CarRacing(continuous=False)
    ours.reset(seed=5)
    length = len(ours.track)
    theirs.start(0, 5)
    reward = theirs.drive(np.array([0]), np.array([0]))[1][0] + 0.1  # some tiles of 1000 / tiles each
    tiles = [count * 1000 / reward for count in range(1, 9)]
    assert not any(abs(each - length) < 0.2 for each in tiles)


@pytest.mark.parametrize("action", range(len(ACTION_NAMES)))
def test_an_action_means_what_gymnasium_makes_of_it(action: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, float]] = []
    for name in ("steer", "gas", "brake"):
        monkeypatch.setattr(Car, name, lambda self, value, name=name: calls.append((name, float(value))))
    discrete, continuous = CarRacing(continuous=False), CarRacing(continuous=True)
    discrete.reset(seed=1)
    continuous.reset(seed=1)
    discrete.step(action)
    meant, calls[:] = dict(calls), []
    continuous.step(STEER_GAS_BRAKE[action])
    assert dict(calls) == pytest.approx(meant, abs=1e-7)
    assert sum(value != 0 for value in meant.values()) == (action != 0)


def test_a_new_pool_is_made_for_every_seed() -> None:
    cars = EnvPoolCars(2, threads=1)
    first = cars.start(0, 5)
    assert np.array_equal(cars.start(1, 5), first)
    cars.drive(np.array([0, 1]), np.array([3, 3]))
    assert np.array_equal(cars.start(0, 5), first)
    assert not np.array_equal(cars.start(0, 6), first)
