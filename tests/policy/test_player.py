"""A policy plays plain Gymnasium environments: what it sees there, and does, is what it would in pixelq's own."""

from collections.abc import Iterator
from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import OrderEnforcing

from odd_spaces import Robot, registered_robots
from pixelq.envs import make_envs
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import UserError
from pixelq.networks import build_network
from pixelq.policy import Agent
from pixelq.recipes.choice import configure
from watched_player import states_shown_by

gymnasium.register_envs(ale_py)
SMALL: dict[str, Any] = {"channels": (4, 4, 4), "hidden": (16,)}
CALM: dict[str, Any] = {"hidden": (16,), "noop_max": 0, "sticky_actions": 0.0, "screen_size": 44}
PLAIN: dict[str, Any] = {"frameskip": 1, "repeat_action_probability": 0.0}


class AtariPreprocessing(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What Gymnasium's wrapper of this name does to a step, without OpenCV."""

    frame_skip = 4
    observation_space = spaces.Box(0, 255, (44, 44), np.uint8)

    def reset(self, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        return self._shown(), self.env.reset(**options)[1]

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        for _ in range(self.frame_skip):
            _, *rest = self.env.step(action)
        return self._shown(), *rest  # type: ignore[return-value]

    def _shown(self) -> np.ndarray:
        screen: Any = self.env.unwrapped
        return np.asarray(screen.ale.getScreenGrayscale())[:44, :44]


@pytest.fixture(autouse=True)
def _robots() -> Iterator[None]:
    with registered_robots():
        yield


def opened(game: str, recipe: str | None = None, num_envs: int = 1, **fields: Any) -> tuple[Agent, SeededEpisodes]:
    """A policy with random weights, and its own environments, at their starts."""
    config = configure(game, recipe, fields)
    envs = make_envs(config, num_envs=num_envs, seed=5)
    envs.reset()
    space: Any = envs.single_observation_space
    network = build_network(config, space, int(envs.single_action_space.n), torch.Generator().manual_seed(1))
    return Agent(network, config, torch.device("cpu")), envs


def own_game(agent: Agent, envs: SeededEpisodes, steps: int) -> tuple[list[np.ndarray], list[int], float]:
    """States in which the policy chooses, its actions, and the score of a game, in its own environment."""
    states, actions, score = [], [], 0.0
    for _ in range(steps):
        if envs._opening_left[0] <= 0:  # else an opening, in which the policy has no say
            states.append(envs.observations[0])
        action = agent.act(envs.observations, action_mask=envs.action_masks)
        _, rewards, terminated, truncated, info = envs.step(action)
        actions.append(int(info["action"][0]))
        score += float(rewards[0])
        if terminated[0] or truncated[0]:
            break
    return states, actions, score


def plain_game(
    agent: Agent, env: gymnasium.Env[Any, Any], seed: int, frames: int
) -> tuple[list[np.ndarray], list[Any], float]:
    """The same in a plain environment, one frame at a time: every frame's action."""
    player = agent.player(env)
    states, actions, score = states_shown_by(player), [], 0.0
    observation, info = env.reset(seed=seed)
    player.reset()
    for _ in range(frames):
        actions.append(player.act(observation, info))
        assert env.action_space.contains(actions[-1])
        observation, reward, terminated, truncated, info = env.step(actions[-1])
        score += float(reward)
        if terminated or truncated:
            break
    return states, actions, score


@pytest.mark.parametrize(
    ("game", "recipe", "plain", "fields"),
    [
        ("pong", None, PLAIN, {}),
        ("breakout", None, PLAIN | {"obs_type": "grayscale"}, {}),
        ("breakout", "cleanrl", PLAIN, {"wrapper_openings": True, "fire_on_reset": False}),
        ("ms_pacman", None, PLAIN, {"grayscale": False, "frame_skip": 3}),
        ("seaquest", None, PLAIN | {"full_action_space": True}, {"full_action_set": True, "max_pool": False}),
        ("space_invaders", None, PLAIN, {"screen_size": 84, "opening_fire_max": 1}),
    ],
)
def test_in_atari_it_sees_every_pixel_as_ale_pys_vector_environment_shows_it(
    game: str, recipe: str | None, plain: dict[str, Any], fields: dict[str, Any]
) -> None:
    agent, envs = opened(game, recipe, **(CALM | fields))
    states, actions, score = own_game(agent, envs, 90)
    if game == "breakout":
        assert len(states) <= len(actions) - (1 if agent.config.fire_on_life_loss else 5), "a life was lost"
    env = gymnasium.make(f"ALE/{game.title().replace('_', '')}-v5", **plain)
    skip, presses = agent.config.frame_skip, int(agent.config.fire_on_reset and game != "ms_pacman")
    seen, done, points = plain_game(agent, env, 0, presses + skip * len(actions))
    assert len(seen) == len(states)
    assert all(np.array_equal(a, b) for a, b in zip(seen, states, strict=True))
    assert [int(a) for a in done[presses::skip]] == actions
    assert all(len(set(done[i : i + skip])) == 1 for i in range(presses, len(done), skip))
    assert points == score


@pytest.mark.parametrize(
    ("game", "plain", "fields"),
    [
        ("CartPole-v1", {}, {"hidden": (16,)}),
        ("FrozenLake-v1", {}, {"hidden": (16,), "frame_stack": 3}),
        ("Taxi-v4", {}, {"hidden": (16,), "frame_skip": 1}),
        ("MinAtar/Breakout-v1", {}, {"hidden": (16,)}),
        ("MiniGrid-Empty-5x5-v0", {}, {"hidden": (16,)}),
        ("CarRacing-v3", {"continuous": False}, SMALL),
        ("Robot-v0", {}, SMALL | {"screen_size": 40}),
        ("Robot-v0", {}, SMALL | {"screen_size": 40, "frame_skip": 3, "grayscale": False}),
        ("Robot-v0", {"camera": False}, {"hidden": (16,), "env_kwargs": {"camera": False}}),
    ],
)
def test_elsewhere_it_sees_and_does_exactly_what_it_would_in_its_own_environment(
    game: str, plain: dict[str, Any], fields: dict[str, Any]
) -> None:
    agent, envs = opened(game, **fields)
    seed = int(envs._record.seeds[0])
    steps = 8 if game.startswith("CarRacing") else 60
    states, actions, score = own_game(agent, envs, steps)
    skip = agent.config.frame_skip
    env = gymnasium.make(game, disable_env_checker=True, **plain)
    seen, done, points = plain_game(agent, env, seed, skip * len(actions))
    assert all(np.array_equal(a, b) for a, b in zip(seen, states, strict=True))
    assert points == pytest.approx(score)
    if isinstance(env.action_space, spaces.Discrete):
        assert [int(a) - int(env.action_space.start) for a in done[::skip]] == actions


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_several_environments_are_played_as_each_alone(mode: AutoresetMode) -> None:
    """Games of 9 frames, so that episodes end in the middle of an agent step; also one begins a step later."""
    fields: dict[str, Any] = {"hidden": (16,), "frame_stack": 2, "frame_skip": 2, "env_kwargs": {"camera": False}}
    agent, _ = opened("Robot-v0", **fields)
    envs = SyncVectorEnv([lambda: Robot(camera=False)] * 3, autoreset_mode=mode)
    alone = [Robot(camera=False) for _ in range(3)]
    players = [agent.player(env) for env in alone]
    player = agent.player(envs)
    observations, infos = envs.reset(seed=3)
    player.reset()
    shown = [env.reset(seed=3 + i)[0] for i, env in enumerate(alone)]
    over = np.zeros(3, np.bool_)
    for _ in range(40):
        actions = player.act(observations, infos)
        assert envs.action_space.contains(actions)
        chosen = list(gymnasium.vector.utils.iterate(envs.action_space, actions))
        observations, _, terminated, truncated, infos = envs.step(actions)
        for i, env in enumerate(alone):
            if over[i] and mode is AutoresetMode.NEXT_STEP:
                shown[i], _ = env.reset()
                players[i].reset()
                continue
            action = players[i].act(shown[i])
            assert all(np.array_equal(a, b) for a, b in zip(action, chosen[i], strict=True))
            shown[i], _, done, _, _ = env.step(action)
            assert done == terminated[i]
            if done and mode is AutoresetMode.SAME_STEP:
                shown[i], _ = env.reset()
                players[i].reset()
        over = terminated | truncated
        player.ended(over)
        if over.any() and mode is AutoresetMode.DISABLED:
            observations, infos = envs.reset(options={"reset_mask": over})
            for i in np.flatnonzero(over):
                shown[i], _ = alone[i].reset()
                players[i].reset()


def test_a_seed_decides_the_random_actions_of_an_agent_and_of_each_of_its_players() -> None:
    agent, _ = opened("Taxi-v4", hidden=(16,))
    env = gymnasium.make("Taxi-v4")
    observation, _ = env.reset(seed=1)

    def actions(player: Any) -> list[int]:
        return [player.act(observation) for _ in range(40)]

    first, again, other = (actions(agent.player(env, epsilon=1.0, seed=seed)) for seed in (5, 5, 6))
    assert first == again != other
    state = np.zeros((1, *agent.observation_space.shape), agent.observation_space.dtype)
    agents = [Agent(agent.network, agent.config, agent.acting.device, seed) for seed in range(30)]
    assert len({int(one.act(state, epsilon=1.0)[0]) for one in agents}) > 1
    for seed in (-1, "x", 1.5, True):
        with pytest.raises(UserError, match=r"player: seed = .* must be a whole number, at least 0"):
            agent.player(env, seed=seed)  # type: ignore[arg-type]


def test_no_ops_are_drawn_within_the_recipes_number_and_fire_is_one_of_them() -> None:
    agent, _ = opened("breakout", **(CALM | {"noop_max": 6}))
    env = gymnasium.make("ALE/Breakout-v5", **PLAIN)
    player, lengths = agent.player(env, seed=3), set()
    observation, info = env.reset(seed=1)
    for _ in range(20):
        player.reset()
        game = player._games[0]
        player.act(observation, info)
        assert game.action == 1  # FIRE
        lengths.add(1 + len(game._single))
    assert lengths == {1, 2, 3, 4, 5, 6}


def test_a_player_is_told_of_ends_in_truth_values_of_all_its_environments() -> None:
    agent, _ = opened("Taxi-v4", hidden=(16,))
    player = agent.player(SyncVectorEnv([lambda: gymnasium.make("Taxi-v4")] * 3))
    for tell in (player.reset, player.ended):
        for where in ([0, 2], "x", None, [True, False], np.zeros((3, 1), bool)):
            with pytest.raises(UserError, match=r"where episodes begin|of 2 environments, and it plays 3"):
                tell(where)
        tell(np.array([True, False, True]))


class Asked(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Says by a method alone that one action is allowed, another after each step."""

    only = 0

    def step(self, action: Any) -> Any:
        assert action == self.only
        self.only = (self.only + 1) % 6
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return observation, reward, terminated, truncated, {}

    def reset(self, **options: Any) -> Any:
        return self.env.reset(**options)[0], {}

    def action_masks(self) -> np.ndarray:
        return np.arange(6) == self.only


def several_taxis(*wrappers: Any) -> SyncVectorEnv:
    return SyncVectorEnv([lambda wrapper=wrapper: wrapper(gymnasium.make("Taxi-v4")) for wrapper in wrappers])  # type: ignore[misc]


@pytest.mark.parametrize("within", [lambda envs: envs, gymnasium.wrappers.vector.RecordEpisodeStatistics])
def test_masks_of_a_method_decide_too_in_one_environment_and_in_several(within: Any) -> None:
    agent, _ = opened("Taxi-v4", hidden=(16,))
    env = gymnasium.wrappers.TimeLimit(Asked(gymnasium.make("Taxi-v4")), 100)
    player = agent.player(env)
    observation, info = env.reset(seed=1)
    player.reset()
    for step in range(8):
        action = player.act(observation, info)
        assert action == step % 6
        observation, *_, info = env.step(action)
    envs = within(several_taxis(Asked, Asked, Asked))
    several = agent.player(envs)
    observations, infos = envs.reset(seed=1)
    for step in range(8):
        actions = several.act(observations, infos)
        assert actions.tolist() == [step % 6] * 3
        observations, *_, infos = envs.step(actions)


class Silent(Asked):
    """Has the method, and no mask."""

    def action_masks(self) -> None:  # type: ignore[override]
        return None


class WithoutMasks(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Leaves out Taxi's own."""

    def step(self, action: Any) -> Any:
        return *self.env.step(action)[:4], {}

    def reset(self, **options: Any) -> Any:
        return self.env.reset(**options)[0], {}


def test_a_method_without_a_mask_allows_all_and_masks_of_some_environments_are_refused() -> None:
    agent, _ = opened("Taxi-v4", hidden=(16,))
    envs = several_taxis(Silent, WithoutMasks)
    q = agent.player(envs).act(*envs.reset(seed=1))
    envs = several_taxis(WithoutMasks, WithoutMasks)
    assert q.tolist() == agent.player(envs).act(*envs.reset(seed=1)).tolist()
    for mixed in (
        several_taxis(Asked, WithoutMasks),
        several_taxis(Asked, Silent),
        several_taxis(OrderEnforcing, WithoutMasks),
    ):
        with pytest.raises(UserError, match="the action mask of environment 1 is missing, and others have one"):
            agent.player(mixed).act(*mixed.reset(seed=1))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ([1, [2]], "is a list, and must be int8 or bool"),
        ([1, 1], r"is int64 \(2,\), and must be int8 or bool \(6,\)"),
        ([0] * 6, "allows no action"),
        ([0.5] * 6, "is float64"),
        (3, r"is int64 \(\)|a mask for each of 2"),
    ],
)
def test_what_is_no_mask_is_refused_with_the_environment_that_gives_it(mask: Any, words: str) -> None:
    class Wrong(Asked):
        def action_masks(self) -> Any:
            return mask

    agent, _ = opened("Taxi-v4", hidden=(16,))
    env, envs = Wrong(gymnasium.make("Taxi-v4")), several_taxis(Asked, Wrong)
    (alone, _), (together, _) = env.reset(seed=1), envs.reset(seed=1)
    given: Any = {"action_mask": [[1] * 6, mask]} if mask != 3 else {"action_mask": 3}
    for player, shown, info, of in (
        (agent.player(env), alone, {}, ""),
        (agent.player(env), alone, {"action_mask": mask}, ""),
        (agent.player(envs), together, {}, " of environment 1"),
        (agent.player(envs), together, given, " of environment 1"),
    ):
        with pytest.raises(UserError, match=f"player: (the action mask{of}|action_mask must be) ?({words})") as caught:
            player.act(shown, info)
        assert "\n" not in str(caught.value)


def test_where_the_info_has_masks_of_some_environments_alone_the_others_are_asked() -> None:
    class AtFirst(Asked):
        def reset(self, **options: Any) -> Any:
            return self.env.reset(**options)[0], {"action_mask": self.action_masks()}

    agent, _ = opened("Taxi-v4", hidden=(16,))
    envs = several_taxis(Asked, AtFirst)
    observations, infos = envs.reset(seed=1)
    assert infos["_action_mask"].tolist() == [False, True]
    assert agent.player(envs).act(observations, infos).tolist() == [0, 0]


def test_masks_as_lists_count_in_several_environments_too() -> None:
    class Lists(WithoutMasks):
        def reset(self, **options: Any) -> Any:
            return self.env.reset(**options)[0], {"action_mask": [0, 0, 1, 0, 0, 0]}

    agent, _ = opened("Taxi-v4", hidden=(16,))
    envs = several_taxis(Lists, Lists)
    assert agent.player(envs).act(*envs.reset(seed=1)).tolist() == [2, 2]


def test_masks_in_the_info_decide_what_is_chosen() -> None:
    agent, _ = opened("Taxi-v4", hidden=(16,))
    env = gymnasium.make("Taxi-v4")
    player = agent.player(env)
    observation, _ = env.reset(seed=1)
    for only in range(6):
        player.reset()
        assert player.act(observation, {"action_mask": np.eye(6, dtype=np.int8)[only]}) == only
    envs = SyncVectorEnv([lambda: gymnasium.make("Taxi-v4")] * 3)
    several, masks = agent.player(envs), np.eye(6, dtype=np.int8)[[4, 0, 3]]
    assert several.act(envs.reset(seed=1)[0], {"action_mask": masks}).tolist() == [4, 0, 3]
    for shown in (observation, np.zeros((2, 2))):
        with pytest.raises(UserError, match="is not what 3 environments show") as caught:
            several.act(shown)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("game", "env", "words"),
    [
        ("pong", lambda: gymnasium.make("ALE/Pong-v5"), "plays 4 frames in a step .* frameskip=1"),
        ("pong", lambda: AtariPreprocessing(gymnasium.make("ALE/Pong-v5", frameskip=1)), "plays 4 frames in a step"),
        ("pong", lambda: gymnasium.make("ALE/Pong-v5", **PLAIN, full_action_space=True), "full_action_space=False"),
        ("pong", lambda: gymnasium.make("ALE/Pong-v5", **PLAIN, obs_type="ram"), "obs_type='rgb'"),
        ("pong", lambda: gymnasium.make("CartPole-v1"), r"shows float32 \(4,\)"),
        ("pong", lambda: make_envs(configure("pong"), num_envs=1, seed=0), "agent.act"),
        ("CarRacing-v3", lambda: gymnasium.make("CarRacing-v3"), "continuous=False"),
        ("CartPole-v1", lambda: gymnasium.make("LunarLander-v3"), r"float32 \(1, 8\), and the policy was trained on"),
        ("CartPole-v1", lambda: "CartPole-v1", "is no environment"),
    ],
)
def test_an_environment_that_is_not_as_the_policy_needs_it_is_refused_with_what_to_do(
    game: str, env: Any, words: str
) -> None:
    agent, _ = opened(game, **({"hidden": (16,)} if game.startswith("CartPole") else CALM | {"screen_size": 84}))
    with pytest.raises(UserError, match=words) as caught:
        agent.player(env())
    assert "\n" not in str(caught.value)


def test_the_environments_own_frame_skip_is_taken_if_a_person_says_so() -> None:
    agent, _ = opened("pong", **CALM)
    env = AtariPreprocessing(gymnasium.make("ALE/Pong-v5", **PLAIN))
    player = agent.player(env, frame_skip=1)
    observation, info = env.reset(seed=1)
    shown = []
    for _ in range(6):
        action = player.act(observation, info)
        shown.append(observation)
        observation, _, _, _, info = env.step(action)
    # The first one stood before FIRE was pressed; every other is a frame of its own.
    assert np.array_equal(player._games[0].state, shown[-4:])
    with pytest.raises(UserError, match="frame_skip = 0"):
        agent.player(env, frame_skip=0)


def test_a_policy_that_presses_fire_after_a_lost_life_asks_for_the_lives() -> None:
    agent, _ = opened("breakout", **(CALM | {"fire_on_life_loss": True}))
    env = gymnasium.make("ALE/Breakout-v5", **PLAIN)
    player = agent.player(env)
    observation, _ = env.reset(seed=1)
    with pytest.raises(UserError, match=r"player.act\(observation, info\)"):
        player.act(observation)
