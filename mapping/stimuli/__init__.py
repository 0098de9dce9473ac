"""Recorded spikes and events of cameras as input of a network."""
