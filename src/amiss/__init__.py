"""amiss: weakly supervised video anomaly detection."""

from amiss._version import __version__

__all__ = ["__version__"]
