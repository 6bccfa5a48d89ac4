"""Games as `gymnasium.vector.VectorEnv`s whose episodes can be resumed exactly."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

from pixelq.config import Config
from pixelq.envs.games import Game, list_games, resolve_game, rom_file
from pixelq.envs.gymnasium_games import GymnasiumGame
from pixelq.errors import UserError
from pixelq.machine.cores import available_cores
from pixelq.typed_values import checked_seed

if TYPE_CHECKING:
    import numpy as np

    from pixelq.envs.seeded_episodes import SeededEpisodes

__all__ = ["Game", "GymnasiumGame", "list_games", "make_envs", "resolve_game", "rom_file"]

MOST_ENVS = 65_536
"""Environments that step together, and their threads."""


def make_envs(config: Config, *, num_envs: int, seed: int | np.random.SeedSequence, threads: int = 0) -> SeededEpisodes:
    """Return `num_envs` copies of `config.game`, stepped together; call `reset` (or `load_state_dict`) first.

    Rewards are the game's own, and a lost life is reported but does not end an episode, so training and evaluation
    play the same games.

    Args:
        config: `game` and the preprocessing fields.
        num_envs: N; observations are uint8 `(N, stack, H, W)` (`(N, stack, H, W, 3)` in colour) for images, float32
            `(N, stack, d)` for vectors and Discrete observations.
        seed: root of all seeds that the games get.
        threads: emulator threads; 0: as many as cores, at most N. Only Atari games and EnvPool's cars use them.

    Raises:
        UserError: an argument of another kind or range, an unknown game, a missing ROM or extra, spaces that pixelq
            does not learn from, or options that the game does not have.
    """
    # Imported late: names and ROM checks need neither Gymnasium nor the emulator.
    from pixelq.envs.seeded_episodes import SeededEpisodes

    _check(config, num_envs, seed, threads)
    game = resolve_game(config.game)
    _check_wrappers(config, game)
    if game.name == "CarRacing-v3":
        from pixelq.envs.car_racing import CarRacings

        return SeededEpisodes(CarRacings(config, num_envs=num_envs, threads=threads), seed, reseed_after=0)
    if config.backend != "gymnasium":
        raise UserError(f"backend = {config.backend}: only CarRacing-v3 has this backend; use --backend gymnasium")
    if isinstance(game, GymnasiumGame):
        from pixelq.envs.generic import GymnasiumEnvs

        return SeededEpisodes(GymnasiumEnvs(config, game, num_envs=num_envs), seed, reseed_after=0)
    if config.screen_size == 0:
        raise UserError("screen_size = 0: Atari's emulator always resizes its screen; use --screen-size 84")
    from pixelq.envs.atari import AtariGames, opening_fire, reseed_after

    games = AtariGames(config, game, num_envs=num_envs, threads=threads or min(available_cores(), num_envs))
    opening = opening_fire(games, config, game)
    return SeededEpisodes(games, seed, reseed_after=reseed_after(num_envs), opening=opening)


def _check_wrappers(config: Config, game: Game | GymnasiumGame) -> None:
    """Refuse wrappers around games that are played several at once, in no Gymnasium environment.

    Raises:
        UserError: there are some; it says how they can be.
    """
    if not config.wrappers or (isinstance(game, GymnasiumGame) and game.name != "CarRacing-v3"):
        return
    made = f"'ALE/{game.title}-v5'" if isinstance(game, Game) else "'CarRacing-v3', continuous=False"
    raise UserError(
        f"wrappers = {', '.join(config.wrappers)}: {game.name} is played by environments of its own, several at once, "
        "which no wrapper fits around; have a function make Gymnasium's, which is slower: "
        f"pixelq.train(lambda: gymnasium.make({made}), wrappers=...)"
    )


def _check(config: Config, num_envs: Any, seed: Any, threads: Any) -> None:
    """Hold the arguments of `make_envs` to their kinds and ranges: ale-py ends the process over some.

    Raises:
        UserError: one is not as it must be.
    """
    if not isinstance(config, Config):
        raise UserError(f"make_envs: {config!r:.80} is no Config; take agent.config or pixelq.read_recipe(...)")
    for name, value, least in (("num_envs", num_envs, 1), ("threads", threads, 0)):
        if not _is_whole(value) or not least <= value <= MOST_ENVS:
            raise UserError(f"make_envs: {name} = {value!r:.80} must be a whole number from {least} to {MOST_ENVS:,}")
    # A seed sequence is known by its method, so that NumPy need not be imported to name its class.
    if not hasattr(seed, "generate_state"):
        checked_seed(seed, "make_envs")


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number, of Python or NumPy."""
    return isinstance(value, Integral) and not isinstance(value, bool)
