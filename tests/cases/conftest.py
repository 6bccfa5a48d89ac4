"""Lets the tests of this folder import `odd_games`, whose games are then registered, and gives them an empty folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import odd_games

from run_fixtures import in_folder, no_plots, torch_settings_restored

__all__ = ["in_folder", "no_plots", "odd_games", "torch_settings_restored"]
