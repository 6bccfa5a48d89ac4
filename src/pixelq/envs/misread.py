"""What an environment shows is not what it says."""

from pixelq.errors import UserError


class MisreadError(UserError):
    """An observation is not what its space says, or an action mask is none, so any reading of it would be a guess."""
