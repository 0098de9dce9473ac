"""How numbers are told to people and programs; a value that is not known is said so."""

import json
import math
from typing import Any


def percent(value: float | None, digits: int = 2) -> str:
    """Write a share."""
    return "not measured" if value is None else f"{100 * value:.{digits}f} %"


def micro(value: float | None, unit: str, digits: int = 0) -> str:
    """Write a small quantity in millionths of its unit."""
    return "not known" if value is None else f"{1e6 * value:,.{digits}f} µ{unit}"


_PREFIXES = ("", "m", "µ", "n", "p", "f")


def si(value: float | None, unit: str) -> str:
    """Write a small quantity with four digits and the prefix that suits it."""
    if value is None:
        return "not known"
    fitting = [k for k in range(len(_PREFIXES)) if abs(value) * 1000.0**k >= 0.99995]
    k = 0 if value == 0 else fitting[0] if fitting else len(_PREFIXES) - 1
    return f"{value * 1000.0**k:,.4g} {_PREFIXES[k]}{unit}"


def short(name: str, most: int = 28) -> str:
    """Cut a name for a picture."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def printable(text: str) -> str:
    """Replace what no UTF-8 file can hold, such as parts of file names that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Write JSON that every reader takes: what is infinite or not a number becomes null."""
    text = json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return printable(text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy
        return _finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
