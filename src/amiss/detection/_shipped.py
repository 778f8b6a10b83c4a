"""The detector that comes with amiss, for those who have none of their own yet."""

from pathlib import Path


def shipped_detector() -> Path:
    """Folder of a small detector that learned fights and drawn scenes; what it finds is in docs/explanations.

    `python benchmarks/shipped_detector.py` makes it.
    """
    return Path(__file__).parent / "shipped"
