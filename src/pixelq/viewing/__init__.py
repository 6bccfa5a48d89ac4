"""Curves, comparisons with published scores, and videos of games."""
