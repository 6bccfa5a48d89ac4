"""Epsilon over a run, one file per schedule: `epsilon(config, options)` returns a `pixelq.schedules.Schedule`."""
