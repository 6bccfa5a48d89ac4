"""Small configurations of either loop that train for a second."""

from pixelq.config import Config
from pixelq.recipes.choice import configure

SMALL = {
    "screen_size": 36,
    "batch_size": 4,
    "steps": 400,
    "replay_start": 40,
    "replay_capacity": 400,
    "max_frames_per_episode": 240,
    "noop_max": 4,
    "threads": 1,
    "device": "cpu",
}
FIELDS = {"replay": {"num_envs": 2}, "parallel": {"num_envs": 4, "rollout_length": 5, "batch_size": 10}}


def small(loop: str, **overrides: object) -> Config:
    """A small configuration of either loop that trains for a second."""
    recipe = {"replay": "nature2015", "parallel": "default"}[loop]
    return configure("breakout", recipe, SMALL | FIELDS[loop] | overrides)
