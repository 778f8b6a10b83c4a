"""What made a detector: package versions and the revision of amiss."""

import functools
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("amiss", "numpy", "scikit-learn", "torch")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages whose arithmetic a run depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


@functools.cache
def git_revision() -> str | None:
    """The commit that amiss runs from, with `+` where files were changed since; None where it is no git checkout."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
