"""Which fields of a recipe its schedule of epsilon goes by."""

from __future__ import annotations

from pixelq.errors import UserError
from pixelq.variants import KINDS

EPSILON_FIELDS = ("epsilon_start", "epsilon_begin", "epsilon_end", "epsilon_steps")
"""Fields of `Config` that a schedule of epsilon may go by."""


def used_fields(schedule: str) -> tuple[str, ...]:
    """The fields of `Config` that a schedule of epsilon goes by, of `EPSILON_FIELDS`.

    Raises:
        UserError: there is no such schedule, or it names other fields.
    """
    uses = tuple(getattr(KINDS["epsilon_schedule"].find(schedule), "USES", EPSILON_FIELDS))
    for name in uses:
        if name not in EPSILON_FIELDS:
            raise UserError(
                f"epsilon_schedule {schedule!r}: its USES names {name!r}, which is none of {', '.join(EPSILON_FIELDS)}"
            )
    return uses
