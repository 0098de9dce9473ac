"""Libraries that only some formats need, and that come with extras of the distribution."""

from importlib import import_module
from typing import Any

from traces.errors import MissingExtraError


def extra(module: str, name: str) -> Any:
    """Import a library that comes with an extra.

    Parameters
    ----------
    module : str
    name : str
        Of the extra.

    Raises
    ------
    MissingExtraError
        If it is not installed; says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs {module.partition('.')[0]}, which is not installed ({error}); "
            f"pip install 'spikefab[{name}]'"
        ) from error
