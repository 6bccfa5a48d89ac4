"""A run's state on disk: written beside the training, held to digests, never half there."""
