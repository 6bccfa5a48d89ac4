"""A run's state on disk: written during training, checked by digests, never half-written."""
