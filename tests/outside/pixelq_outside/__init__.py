"""Variants of pixelq's parts, without a line of pixelq changed."""
