"""The exceptions that a person sees as one line."""


class UserError(Exception):
    """A mistake that the person at the keyboard can fix.

    The message is one line: what is wrong, where, and what to do. The command line prints it on stderr and exits
    with code 2; Python callers catch it like any other exception.
    """


class RunError(Exception):
    """Training could not go on: a full disk, a loss that is not a number, an environment that failed.

    The message is one line: what happened, at which agent step, what was saved, and what to do. The command line
    prints it on stderr and exits with code 1.
    """
