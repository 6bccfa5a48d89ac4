"""The one exception a person's mistake may raise."""


class UserError(Exception):
    """A mistake that the person at the keyboard can mend.

    The message is one line: what is wrong, where, and what to do. The command line prints it on stderr and exits
    with code 2; Python callers catch it like any other exception.
    """
