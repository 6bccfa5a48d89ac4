"""Epsilon over a run, one file per schedule: `epsilon(config, options)` returns a `pixelq.schedules.Schedule`.

A file may have a dataclass `Options`, and may also say

- `USES`: which of `epsilon_start`, `epsilon_begin`, `epsilon_end` and `epsilon_steps` it goes by; without it, all. What
  it does not use is refused where a person names it;
- `in_words(config, schedule)`: what it does, for a person who compares runs, without `epsilon_begin`; `schedule` is its
  name with its options, in words, too. Without it, the schedule itself is asked at the beginning and the end of a run.
"""
