"""What a chip's formats and rules do to a network, one effect at a time."""
