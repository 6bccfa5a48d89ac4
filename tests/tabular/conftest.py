"""Small games; lets the tests of this folder import `corridors`."""

import sys
from pathlib import Path

import gymnasium
import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def corridor_id():
    """A Gymnasium id of `corridors.Corridor`, registered while the test runs."""
    from corridors import Corridor

    gymnasium.register("PixelqCorridor-v0", entry_point=Corridor, max_episode_steps=20)
    yield "PixelqCorridor-v0"
    del gymnasium.registry["PixelqCorridor-v0"]


@pytest.fixture(scope="session")
def lake():
    """FrozenLake without slippery ice."""
    from pixelq.tabular.game import open_game

    return open_game("FrozenLake-v1", slippery=False)


@pytest.fixture(scope="session")
def slippery_lake():
    from pixelq.tabular.game import open_game

    return open_game("FrozenLake-v1")


@pytest.fixture(scope="session")
def cliff():
    from pixelq.tabular.game import open_game

    return open_game("CliffWalking-v1")


@pytest.fixture(scope="session")
def taxi():
    from pixelq.tabular.game import open_game

    return open_game("Taxi-v3")
