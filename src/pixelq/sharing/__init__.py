"""Passing policies on: exports with a model card, zips, the Hugging Face hub, programs for other runtimes."""
