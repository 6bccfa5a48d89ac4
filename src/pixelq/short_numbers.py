"""Numbers as a person reads them."""


def short(value: float) -> str:
    """As short as it can be said without loss: `0.01`, `1`, `6.25e-05`."""
    said = f"{value:g}"
    return said if float(said) == value else repr(value)
