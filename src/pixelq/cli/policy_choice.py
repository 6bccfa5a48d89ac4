"""Which policy of a run `--policy best` or `final` means, for eval, record and export alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pixelq.errors import UserError

if TYPE_CHECKING:
    from pixelq.sharing.place import Place


def chosen_policy(place: Place, which: str) -> Path:
    """The file of the policy that is asked for, never of another in its stead.

    Args:
        place: a run, a folder with a policy, or a policy's file.
        which: `best`, of a run that was never evaluated its final one, and of what holds one policy alone that one;
            or `final`.

    Raises:
        UserError: it is not there.
    """
    from pixelq.checkpoints.policy_file import FILE, find_policy

    if which == "best":
        return find_policy(place.path)
    file = place.path if place.path.is_file() else place.path / which / FILE
    if not file.is_file() or file.parent.name != which:
        raise UserError(f"{place.given}: has no {which} policy; leave --policy {which} out, or train it to its end")
    return file
