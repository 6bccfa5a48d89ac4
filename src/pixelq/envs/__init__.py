"""Games as `gymnasium.vector.VectorEnv`s whose episodes can be resumed exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixelq.envs.games import Game, list_games, resolve_game, rom_file

if TYPE_CHECKING:
    import numpy as np

    from pixelq.config import Config
    from pixelq.envs.seeded_episodes import SeededEpisodes

__all__ = ["Game", "list_games", "make_envs", "resolve_game", "rom_file"]


def make_envs(config: Config, *, num_envs: int, seed: int | np.random.SeedSequence, threads: int = 0) -> SeededEpisodes:
    """Return `num_envs` copies of `config.game`, stepped together; call `reset` (or `load_state_dict`) first.

    Rewards are the game's own and a lost life is only reported, so training and evaluation play the same games.

    Args:
        config: `game` and the preprocessing fields.
        num_envs: N; observations are uint8 `(N, stack, H, W)` (`(N, stack, H, W, 3)` in colour).
        seed: root of all seeds the games are given.
        threads: emulator threads; 0: as many as cores, at most N.

    Raises:
        UserError: an unknown game, a missing ROM, or an opening FIRE in a game that has none.
    """
    # Imported late: names and ROM checks need neither Gymnasium nor the emulator.
    from pixelq.envs.atari import AtariGames, opening_fire, reseed_after
    from pixelq.envs.seeded_episodes import SeededEpisodes

    game = resolve_game(config.game)
    games = AtariGames(config, game, num_envs=num_envs, threads=threads)
    fire = opening_fire(games, config, game)
    return SeededEpisodes(
        games,
        seed,
        reseed_after=reseed_after(num_envs),
        opening_action=fire,
        opening_max=config.opening_fire_max,
    )
