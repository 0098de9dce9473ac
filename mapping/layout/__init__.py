"""Neurons onto cores and cores onto the floor, judged by packets times hops."""
