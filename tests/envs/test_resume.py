"""`state_dict` and `load_state_dict` of `SeededEpisodes`: after a restart everything is the same, to the byte."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cart_poles import CartPoles
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.envs import make_envs, resolve_game
from pixelq.envs.atari import AtariGames
from pixelq.envs.opening import Opening
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import UserError


def assert_they_go_on_alike(one: SeededEpisodes, other: SeededEpisodes, steps: int, seed: int) -> int:
    """Step both with the same actions; return how many episodes ended."""
    random, ends = np.random.default_rng(seed), 0
    assert np.array_equal(one.observations, other.observations)
    for _ in range(steps):
        actions = random.integers(one.single_action_space.n, size=one.num_envs)
        (*parts, info), (*others, other_info) = one.step(actions), other.step(actions)
        assert all(np.array_equal(a, b) for a, b in zip(parts, others, strict=True))
        assert all(np.array_equal(info[key], other_info[key]) for key in ("final_obs", "life_lost", "action"))
        ends += int((parts[2] | parts[3]).sum())
    assert one.state_dict().keys() == other.state_dict().keys()
    for key, value in one.state_dict().items():
        assert np.array_equal(value, other.state_dict()[key])
    return ends


def play(envs: SeededEpisodes, steps: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(steps):
        envs.step(random.integers(envs.single_action_space.n, size=envs.num_envs))


def atari(name: str, num_envs: int, seed: int, *, reseed_after: int, opening: int = 0, **fields) -> SeededEpisodes:
    games = AtariGames(Config(game=name, **fields), resolve_game(name), num_envs=num_envs)
    fire = Opening((games.fire_action(),) * opening, drawn=True) if opening else None
    return SeededEpisodes(games, seed, reseed_after=reseed_after, opening=fire)


@pytest.mark.parametrize("sticky", [0.0, 0.25])
@pytest.mark.parametrize(("name", "num_envs", "cap"), [("breakout", 1, 10_000), ("pong", 3, 300), ("breakout", 8, 300)])
def test_games_resume_to_the_byte_over_many_episodes(name, num_envs, cap, sticky):
    config = Config(game=name, sticky_actions=sticky, max_frames_per_episode=cap, opening_fire_max=5,
                    fire_on_life_loss=True)  # fmt: skip
    envs = make_envs(config, num_envs=num_envs, seed=1)
    envs.reset()
    play(envs, 300 // num_envs + 40, seed=2)
    resumed = make_envs(config, num_envs=num_envs, seed=99)
    resumed.load_state_dict(envs.state_dict())
    assert assert_they_go_on_alike(envs, resumed, 300 // num_envs + 40, seed=3) >= num_envs


@pytest.mark.parametrize("reseed_after", [0, 60])
def test_games_resume_to_the_byte_where_each_has_played_a_different_time_since_its_seed(reseed_after):
    make = {"num_envs": 3, "reseed_after": reseed_after, "opening": 4, "sticky_actions": 0.25}
    envs = atari("breakout", seed=1, **make)
    envs.reset()
    play(envs, 300, seed=2)
    state = envs.state_dict()
    assert len(set(state["lengths"].tolist())) > 1
    assert (state["seeds_drawn"] > 1).all()
    resumed = atari("breakout", seed=99, **make)
    resumed.load_state_dict(state)
    assert_they_go_on_alike(envs, resumed, 100, seed=3)


def test_a_game_stopped_just_after_a_lost_life_presses_fire_when_resumed():
    config = Config(game="breakout", fire_on_life_loss=True)
    envs, resumed = (make_envs(config, num_envs=2, seed=seed) for seed in (1, 99))
    envs.reset()
    while not envs.step(np.full(2, 3))[4]["life_lost"][0]:
        pass
    resumed.load_state_dict(envs.state_dict())
    assert [one.step(np.full(2, 3))[4]["action"][0] for one in (envs, resumed)] == [1, 1]
    assert_they_go_on_alike(envs, resumed, 100, seed=3)


def test_a_resumed_game_can_be_saved_and_resumed_again_at_once_and_at_its_start():
    envs = atari("pong", 2, 1, reseed_after=100)
    envs.reset()
    for round_ in range(3):
        resumed = atari("pong", 2, 99, reseed_after=100)
        resumed.load_state_dict(envs.state_dict())
        assert_they_go_on_alike(envs, resumed, 20 * round_, seed=round_)
        envs = resumed


def test_another_process_goes_on_from_a_file(tmp_path: Path):
    code = """
import hashlib, sys
import numpy as np
from pixelq.config import Config
from pixelq.envs import make_envs
envs = make_envs(Config(game="seaquest", sticky_actions=0.25), num_envs=2, seed=77)
with np.load(sys.argv[1]) as file:
    envs.load_state_dict(dict(file))
digest = hashlib.sha256(envs.observations.tobytes())
for step in range(100):
    digest.update(envs.step(np.array([step % 18, (step * 7) % 18]))[0].tobytes())
print(digest.hexdigest())
"""
    envs = make_envs(Config(game="seaquest", sticky_actions=0.25), num_envs=2, seed=1)
    envs.reset()
    play(envs, 120, seed=0)
    np.savez(tmp_path / "envs.npz", **envs.state_dict())
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "envs.npz")], capture_output=True, text=True, check=True
    )
    digest = hashlib.sha256(envs.observations.tobytes())
    for step in range(100):
        digest.update(envs.step(np.array([step % 18, (step * 7) % 18]))[0].tobytes())
    assert ran.stdout.strip() == digest.hexdigest()


@settings(max_examples=40, deadline=None)
@given(
    num_envs=st.integers(1, 4),
    reseed_after=st.sampled_from([0, 1, 15, 60, 10_000]),
    opening=st.integers(0, 6),
    max_steps=st.integers(1, 40),
    played=st.integers(0, 120),
    seed=st.integers(0, 2**31 - 1),
)
def test_cart_poles_resume_to_the_byte_wherever_they_are_stopped(
    num_envs, reseed_after, opening, max_steps, played, seed
):
    def make(root: int) -> SeededEpisodes:
        right = Opening((1,) * opening, drawn=True) if opening else None
        return SeededEpisodes(CartPoles(num_envs, max_steps), root, reseed_after=reseed_after, opening=right)

    envs = make(seed)
    envs.reset()
    play(envs, played, seed)
    resumed = make(seed + 1)
    resumed.load_state_dict(envs.state_dict())
    assert_they_go_on_alike(envs, resumed, 60, seed=seed)


@pytest.fixture(scope="module")
def saved() -> dict[str, np.ndarray]:
    envs = make_envs(Config(game="seaquest"), num_envs=2, seed=1)
    envs.reset()
    play(envs, 60, seed=0)
    return envs.state_dict()


@pytest.mark.parametrize(
    "fields",
    [
        {"game": "hero"},
        {"sticky_actions": 0.25},
        {"frame_skip": 3},
        {"noop_max": 0},
        {"max_frames_per_episode": 100},
        {"screen_size": 80},
    ],
)
def test_other_settings_are_refused_when_they_change_the_game(saved, fields):
    envs = make_envs(Config(**({"game": "seaquest"} | fields)), num_envs=2, seed=1)
    with pytest.raises(
        UserError, match=r"saved environments: .* resume with the emulator version and the game settings"
    ):
        envs.load_state_dict(saved)


def test_one_changed_action_is_noticed_and_the_games_can_still_be_reset(saved):
    envs = make_envs(Config(game="seaquest"), num_envs=2, seed=1)
    changed = saved | {"actions": saved["actions"].copy()}
    changed["actions"][50:60] = 5
    with pytest.raises(UserError, match="actions of environment 0 do not lead to its saved screen"):
        envs.load_state_dict(changed)
    envs.reset()
    envs.step(np.array([0, 0]))


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("lives", None),
        ("lives", np.zeros(3, np.int64)),
        ("crc32", np.array([-1, 0], np.int64)),
        ("crc32", np.zeros(2)),
        ("actions", np.zeros(0, np.uint8)),
    ],
)
def test_a_damaged_state_is_refused(saved, name, bad):
    envs = make_envs(Config(game="seaquest"), num_envs=2, seed=1)
    with pytest.raises(UserError, match=f"saved environments: {name} must"):
        envs.load_state_dict(saved | {name: bad})


def test_a_state_of_another_number_of_environments_is_refused(saved):
    envs = make_envs(Config(game="seaquest"), num_envs=3, seed=1)
    with pytest.raises(UserError, match="another number of environments"):
        envs.load_state_dict(saved)
