"""Kinds of linear layers, one file each: a class `Linear(features, units, options)`, and perhaps `Options`.

A layer is called as `layer(x, noise)`: x `(B, features)`, noise a `torch.Generator` on x's device or None for none (the
layer's mean, as in test games). It has `weight` and `bias`, which the recipe's `initialisation` draws, or a method
`initialise(layers, gain)` of its own.
"""
