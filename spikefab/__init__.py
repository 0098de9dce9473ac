"""spikefab: rehearse a neuromorphic deployment before there is hardware.

The public names come in when they are first used, so that ``import spikefab`` stays light.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "CapacityError": "mapping.errors",
    "Chip": "emulator.chip",
    "Drive": "mapping.drive",
    "Engine": "emulator.engine",
    "Network": "mapping.network",
    "NetworkError": "mapping.errors",
    "NetxError": "mapping.errors",
    "NirError": "mapping.errors",
    "Program": "emulator.program",
    "Samples": "spikefab.data",
    "Stimulus": "emulator.stimulus",
    "Trace": "traces.trace",
    "UnsupportedNodeError": "mapping.errors",
    "compare": "traces.compare",
    "deploy": "spikefab.deploy",
    "deploy_fixed": "spikefab.deploy",
    "import_netx": "mapping.netx_import",
    "import_nir": "mapping.nir_import",
    "load_chip": "emulator.chip_file",
    "load_samples": "spikefab.data",
    "map_network": "mapping.partition",
    "quantise": "mapping.quantise",
    "run_network": "spikefab.run",
    "simulate": "mapping.reference",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'spikefab' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
