"""The fixtures of tests that train."""

from run_fixtures import in_folder, no_plots, torch_settings_restored

__all__ = ["in_folder", "no_plots", "torch_settings_restored"]
