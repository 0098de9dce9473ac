"""Libraries that only some formats need."""

from importlib import import_module
from typing import Any

from traces.errors import ExportError


def extra(module: str, name: str) -> Any:
    """Import a library that comes with an extra of spikefab.

    Raises
    ------
    ExportError
        If it is not installed; says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ExportError(
            f"this needs {module.partition('.')[0]}, which is not installed ({error}); "
            f"pip install 'spikefab[{name}]'"
        ) from error
