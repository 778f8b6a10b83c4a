"""The version of amiss, read by the build and by `amiss --version`."""

__version__ = "0.1.0"
