"""Action masks as environments give them: at every state, across the ends of games, in a resume, and when they err."""

import re

import gymnasium
import numpy as np
import pytest

import masked_games
from masked_games import ACTIONS, Doors
from pixelq.action_masks import random_actions
from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.seeded_episodes import EnvironmentFailedError, NotReproducedError
from pixelq.errors import UserError

CONFIG = {"torso": "mlp", "frame_stack": 2, "frame_skip": 1, "screen_size": 0, "grayscale": False, "noop_max": 0,
          "sticky_actions": 0.0, "fire_on_reset": False, "full_action_set": False}  # fmt: skip


def config(game, **fields):
    return Config(game=game, **CONFIG | fields)


def envs_of(game="MaskedDoors-v0", num_envs=3, seed=1, **fields):
    return make_envs(config(game, **fields), num_envs=num_envs, seed=seed)


def game_of(made, name="Misbehaving-v0"):
    """Register a game of this test's own under a name that the last test's may have had."""
    gymnasium.registry.pop(name, None)
    gymnasium.register(name, made)
    return name


def one_step(envs, generator):
    return envs.step(random_actions(generator, envs.num_envs, ACTIONS, envs.action_masks))


def test_every_observation_has_the_mask_of_its_own_game_and_a_final_one_the_mask_it_ended_with():
    envs, generator = envs_of(), np.random.default_rng(0)
    rooms = [env.unwrapped for env in envs._inner._envs]
    _, info = envs.reset()
    ends = {"terminated": 0, "truncated": 0}
    for _ in range(60):
        now = np.array([room.mask for room in rooms]) == 1
        assert np.array_equal(info["action_mask"], now)
        assert np.array_equal(envs.action_masks, now)
        _, _, terminated, truncated, info = one_step(envs, generator)
        final = info["final_action_mask"]
        assert final[terminated].all()  # nothing follows
        goes_on = ~(terminated | truncated)
        assert np.array_equal(final[goes_on], info["action_mask"][goes_on])
        if truncated.any():
            assert ((final[truncated].sum(axis=1) >= 1) & (final[truncated].sum(axis=1) <= 3)).all()
        ends["terminated"] += terminated.sum()
        ends["truncated"] += truncated.sum()
    assert min(ends.values()) > 3
    envs.close()


def test_games_without_masks_say_nothing_of_them():
    envs = envs_of("CartPole-v1")
    assert envs.reset()[1] == {}
    assert envs.action_masks is None
    assert "action_mask" not in envs.step(np.zeros(3, int))[4]
    assert "action_masks" not in envs.state_dict()
    envs.examine()
    assert envs.masked_actions == 0


def test_an_action_that_is_not_allowed_does_not_reach_the_game():
    envs = envs_of()
    envs.reset()
    with pytest.raises(ValueError, match="must be allowed by the action masks"):
        envs.step(envs.action_masks.argmin(axis=1))


def test_looking_at_a_game_before_a_run_tries_no_shut_door_and_finds_the_masks():
    before = Doors.shut_doors_tried
    envs = envs_of()
    envs.examine()
    assert (envs.decided, envs.masked_actions) == (True, ACTIONS)
    assert Doors.shut_doors_tried == before


class Wrapped(gymnasium.Wrapper):
    """Gives masks as sb3-contrib's `ActionMasker` does: by a method alone."""

    def reset(self, **given):
        shown, info = self.env.reset(**given)
        self.info = dict(info)
        return shown, {}

    def step(self, action):
        *parts, info = self.env.step(action)
        self.info = dict(info)
        return *parts, {}

    def action_masks(self):
        return self.info["action_mask"] == 1


def test_a_method_of_a_wrapper_gives_masks_too():
    plain = envs_of()
    within = envs_of(game_of(lambda: gymnasium.wrappers.TimeLimit(Wrapped(Doors()), 50)))
    generators = [np.random.default_rng(0), np.random.default_rng(0)]
    for envs in (plain, within):
        envs.reset()
    for _ in range(30):
        assert np.array_equal(plain.action_masks, within.action_masks)
        for envs, generator in zip((plain, within), generators, strict=True):
            one_step(envs, generator)


@pytest.mark.parametrize("steps", [0, 1, 5, 23])
def test_a_resumed_game_has_its_masks_and_goes_on_alike(steps):
    """Also while shorter records wait for longer ones, no shut door is tried."""
    before, first, again = Doors.shut_doors_tried, envs_of(), envs_of(seed=5)
    generator = np.random.default_rng(0)
    first.reset()
    for _ in range(steps):
        one_step(first, generator)
    state = first.state_dict()
    again.load_state_dict(state)
    for _ in range(15):
        assert np.array_equal(first.action_masks, again.action_masks)
        seen = [one_step(envs, np.random.default_rng(steps)) for envs in (first, again)]
        for one, other in zip(seen[0][:4], seen[1][:4], strict=True):
            assert np.array_equal(one, other)
        assert np.array_equal(seen[0][4]["final_action_mask"], seen[1][4]["final_action_mask"])
    assert Doors.shut_doors_tried == before


def test_saved_masks_that_do_not_come_out_are_told_and_damaged_ones_refused():
    envs = envs_of()
    envs.reset()
    state = envs.state_dict()
    other = 1 - state["action_masks"]
    with pytest.raises(NotReproducedError, match="do not lead to the saved action masks") as told:
        envs.load_state_dict(state | {"action_masks": other})
    assert np.array_equal(told.value.last_masks, other == 1)
    for damaged, message in (
        (np.zeros_like(other), "an action mask allows no action"),
        (other.astype(np.int64), "action_masks must be uint8"),
        (other[:, :2], "action_masks must be uint8"),
    ):
        with pytest.raises(UserError, match=message):
            envs.load_state_dict(state | {"action_masks": damaged})


def giving(*masks):
    """A game that gives these masks at its first states, and then the last one again and again; None: none."""

    class Game(Doors):
        def _enter(self):
            shown, _ = super()._enter()
            self.mask = np.ones(ACTIONS, np.int8)
            mask = masks[min(self.room, len(masks) - 1)]
            return shown, {} if mask is None else {"action_mask": mask}

    return Game


GOOD = np.ones(ACTIONS, np.int8)
WRONG = {
    "no action": (
        (GOOD, GOOD, 0 * GOOD),
        "after agent step 2 of its game allows no action, in a game that is not over",
    ),
    "shape": ((GOOD[:3],), "at the start of its game is int8 (3,), and must be int8 or bool (5,)"),
    "floats": ((GOOD, GOOD * 1.0), "after agent step 1 of its game is float64 (5,), and must be int8 or bool (5,)"),
    "twos": ((GOOD * 2,), "at the start of its game holds 2, and may hold only 1 (allowed) and 0 (not allowed)"),
    "words": (("all",), "at the start of its game is <U3 (), and must be int8"),
    "missing later": ((GOOD, GOOD, None), "it gives no action mask after agent step 2 of its game, unlike before"),
    "missing at first": ((None, GOOD), "it gives an action mask after agent step 1 of its game, unlike before"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_mask_is_told_with_game_environment_and_step(case):
    masks, message = WRONG[case]
    name = game_of(giving(*masks))
    envs = envs_of(name, num_envs=2)

    def play():
        envs.reset()
        for _ in range(4):
            envs.step(np.zeros(2, int))

    with pytest.raises(EnvironmentFailedError, match=re.escape(message)) as told:
        play()
    assert str(told.value).startswith(f"environment 0 failed (game {name}: it")
    with pytest.raises(UserError, match=re.escape(message)):
        envs_of(name).examine()  # before anything is written


def test_an_action_that_would_be_repeated_is_refused_where_masks_are_given():
    with pytest.raises(UserError, match=r"frame_skip = 4 would repeat an action .* use --frame-skip 1"):
        envs_of(frame_skip=4).examine()
    envs_of("CartPole-v1", frame_skip=4).examine()


def test_masks_that_allow_all_change_nothing_of_the_play():
    assert masked_games.IDS["OpenDoors-v0"]
    with_masks, without = envs_of("OpenDoors-v0"), envs_of("OpenDoors-v0", env_kwargs={"masks": False})
    with_masks.reset()
    without.reset()
    generators = [np.random.default_rng(0), np.random.default_rng(0)]
    for _ in range(30):
        seen = [one_step(*pair) for pair in zip((with_masks, without), generators, strict=True)]
        for one, other in zip(seen[0][:4], seen[1][:4], strict=True):
            assert np.array_equal(one, other)
    assert with_masks.action_masks.all()
    assert without.action_masks is None
