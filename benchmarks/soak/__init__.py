"""Four cameras and a watcher, to whom everything happens; see `run_soak`."""

from soak._run import print_result, run_soak

__all__ = ["print_result", "run_soak"]
