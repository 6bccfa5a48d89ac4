"""The fixtures of tests that train; plots are drawn by the runs' own processes."""

from run_fixtures import in_folder, torch_settings_restored

__all__ = ["in_folder", "torch_settings_restored"]
