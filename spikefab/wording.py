"""How numbers are told to people; a value that is not known is said so."""


def percent(value: float | None) -> str:
    """Write a share."""
    return "not measured" if value is None else f"{100 * value:.2f} %"


def micro(value: float | None, unit: str, digits: int = 0) -> str:
    """Write a small quantity in millionths of its unit."""
    return "not known" if value is None else f"{1e6 * value:,.{digits}f} µ{unit}"
