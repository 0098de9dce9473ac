"""The machine: chip descriptions, loaded programs, integer kernels and the event engine."""
