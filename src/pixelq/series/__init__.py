"""Several runs as one job: seeds side by side, sweeps over hyperparameters, suites of games. Each run is a process."""
