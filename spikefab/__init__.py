"""spikefab: rehearse a neuromorphic deployment before there is hardware.

The public names come in when they are first used, so that ``import spikefab`` stays light.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "CapacityError": "mapping.errors",
    "Chip": "emulator.chip",
    "ChipError": "emulator.chip_file",
    "compare": "traces.compare",
    "Convolution": "mapping.linear",
    "cost_trace": "spikefab.cost",
    "DataError": "spikefab.data",
    "Dense": "mapping.linear",
    "DecodedError": "spikefab.nengo_run",
    "deploy": "spikefab.deployment",
    "deploy_fixed": "spikefab.deployment",
    "Drive": "mapping.drive",
    "Engine": "emulator.engine",
    "EngineError": "emulator.errors",
    "explain_difference": "spikefab.microscope.explain",
    "import_nengo": "mapping.nengo_import",
    "import_netx": "mapping.netx_import",
    "import_nir": "mapping.nir_import",
    "Input": "mapping.network",
    "load_chip": "emulator.chip_file",
    "load_network": "mapping.network_file",
    "load_samples": "spikefab.data",
    "map_network": "mapping.deploy",
    "nengo_samples": "spikefab.nengo_run",
    "NengoNetwork": "mapping.nengo_import",
    "Network": "mapping.network",
    "NetworkError": "mapping.errors",
    "NetxError": "mapping.errors",
    "NirError": "mapping.errors",
    "open": "spikefab.replay.recording",
    "OverflowAlarm": "emulator.errors",
    "Population": "mapping.network",
    "prepare": "mapping.reference",
    "Program": "emulator.program",
    "ProgramError": "emulator.errors",
    "Projection": "mapping.network",
    "quantise": "mapping.quantise",
    "RancError": "mapping.errors",
    "Recording": "spikefab.replay.recording",
    "replay_float": "spikefab.replay.whole",
    "replay_part": "spikefab.replay.part",
    "replay_whole": "spikefab.replay.whole",
    "retime": "spikefab.replay.retimed",
    "run_changed": "spikefab.replay.changed",
    "resume_network": "spikefab.run",
    "run_nengo": "spikefab.nengo_run",
    "run_network": "spikefab.run",
    "Samples": "spikefab.data",
    "save_network": "mapping.network_file",
    "simulate": "mapping.reference",
    "Sparse": "mapping.linear",
    "Stimulus": "emulator.stimulus",
    "Trace": "traces.trace",
    "TraceFormatError": "traces.errors",
    "TraceWriteError": "traces.errors",
    "UnsupportedNodeError": "mapping.errors",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'spikefab' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
