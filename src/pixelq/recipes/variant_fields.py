"""Which fields of a recipe its schedule of epsilon and its optimizer go by: those that have fields beside `Options`."""

from __future__ import annotations

from pixelq.errors import UserError
from pixelq.variants import KINDS

EPSILON_FIELDS = ("epsilon_start", "epsilon_begin", "epsilon_end", "epsilon_steps")
"""Fields of `Config` that a schedule of epsilon may go by."""
OPTIMIZER_FIELDS = ("optimizer_eps", "rmsprop_decay", "adam_beta1", "adam_beta2", "weight_decay", "amsgrad")
"""Fields of `Config` that an optimizer may go by, beside the learning rate."""
FIELDS_OF = {"epsilon_schedule": EPSILON_FIELDS, "optimizer": OPTIMIZER_FIELDS}
"""Kind of variant -> the fields of `Config` that its variants may go by."""


def used_fields(kind: str, name: str) -> tuple[str, ...]:
    """The fields of `Config` that a variant goes by, of `FIELDS_OF[kind]`.

    One that does not say which goes by all. An optimizer that is a class is not given the recipe, so it goes by none.

    Raises:
        UserError: there is no such variant, or it names other fields.
    """
    found = KINDS[kind].find(name)
    part = getattr(found, KINDS[kind].part)
    if kind == "optimizer" and isinstance(getattr(part, "func", part), type):
        return ()
    uses = tuple(getattr(found, "USES", FIELDS_OF[kind]))
    for field in uses:
        if field not in FIELDS_OF[kind]:
            raise UserError(f"{kind} {name!r}: its USES names {field!r}, which is none of {', '.join(FIELDS_OF[kind])}")
    return uses
