"""Fields of `Config` that decide how minibatches become a gradient step: of every loop that learns from minibatches."""

from __future__ import annotations

from typing import Any

MINIBATCH_FIELDS: dict[str, Any] = {
    "batch_size": None,
    "reduction": None,
    "gradient_clip": "none",
    "averaged_network_tau": 0.0,
    "compile": False,
}
"""Field -> the value that says what is so without it; None: there is none."""
