"""A run from start to end: its parts, folder, signals, evaluations, failures."""
