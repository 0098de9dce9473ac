"""Recorded runs made again offline, from the trace alone: whole, in part, elsewhere, or changed."""
