"""Errors of writing and reading traces."""


class TraceWriteError(OSError):
    """The trace cannot be written on; what was flushed stays readable."""


class TraceFormatError(ValueError):
    """A file is no trace, is damaged, or comes from a newer version."""


class ExportError(ValueError):
    """What was asked for cannot be exported: it is not there, or something is not installed."""


class MissingExtraError(ValueError):
    """A library that only some formats need is not installed."""
