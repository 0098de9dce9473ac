"""The divergence microscope: where two runs part, and which of a chip's rules is to blame."""
