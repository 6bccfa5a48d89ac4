"""What of a recipe goes by how long the run is to be, so that runs of two lengths learn differently."""

from __future__ import annotations

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.loops import has_replay
from pixelq.named_objects import innermost
from pixelq.variants import KINDS

LEARNING_RATE = "the learning rate"
"""As `decided_by_length` names it."""


def decided_by_length(config: Config) -> list[str]:
    """What `config.steps` decides beside the run's end, in words; empty: nothing.

    A learning rate that falls until the run's end, and a sampler that plans until then, such as prioritized replay
    whose beta rises. No schedule of epsilon here goes by the run's length.
    """
    decided = []
    if config.learning_rate_end is not None and not config.learning_rate_steps:
        decided.append(LEARNING_RATE)
    if _sampler_plans(config):
        decided.append(f"how sampler {config.sampler} draws")
    return decided


def _sampler_plans(config: Config) -> bool:
    kind = KINDS["sampler"]
    try:
        if not has_replay(config):
            return False
        options, made_by = kind.read_options(config.sampler, config.sampler_options), kind.find(config.sampler).Sampler
    except UserError:  # a variant that is not imported here
        return False
    plans = hasattr(innermost(made_by), "planned")
    try:
        return bool(getattr(made_by(1, 1, options), "goes_by_steps", plans))
    except Exception:  # a person's own that cannot be so small
        return plans
