"""Errors of loading and running a program."""


class ProgramError(ValueError):
    """A program contradicts itself or its chip; the text lists every problem found."""
