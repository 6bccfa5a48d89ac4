"""From features to a head's numbers of each action, one file per way.

A file has a function `streams(features, num_actions, numbers, hidden, options, layers)`, whose arguments are those of
`Layers.streams`, and may have a dataclass `Options`. It gives a module that is called with features `(B, d)` and the
noise generator and gives `(B, A * k)` in float32. With `TAKES_HIDDEN = True` it makes the torso's last hidden layer
itself, once for each stream; else `hidden` is empty but for heads that make that layer (`Head.TAKES_HIDDEN`).
"""
