"""`python -m pixelq.train GAME ...`: as `pixelq train GAME ...`, for scripts that start trainings so.

`pixelq.train` is a function of the package. Whoever imports this module puts it in the function's place, and can
call it all the same.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pixelq

if TYPE_CHECKING:
    from pixelq.runs.result import Result


class _Callable(ModuleType):
    """A module that is called as the function of its name."""

    function: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        """As the function `pixelq.train`."""
        result: Result = self.function(*args, **kwargs)
        return result


if __name__ == "__main__":
    from pixelq.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))

this: Any = sys.modules[__name__]
if not hasattr(this, "function"):  # at a reload the package's attribute is this module already
    this.function = vars(pixelq)["train"]
this.__class__ = _Callable
