"""Optuna, which is an extra, without its own lines on the terminal."""

from __future__ import annotations

from typing import Any

from pixelq.errors import UserError


def optuna_module() -> Any:
    """Optuna, quiet.

    Raises:
        UserError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UserError("a sweep needs Optuna; install it with: python -m pip install 'pixelq[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
