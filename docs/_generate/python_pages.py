"""The Python API: one page per package, on which mkdocstrings puts what the package offers."""

from __future__ import annotations

PACKAGES = ("amiss", *(f"amiss.{room}" for room in (
    "video", "datasets", "evaluation", "backbones", "engines", "features", "heads", "convert", "detection", "results",
    "training", "jobs", "bench", "watch", "watch.alerts",
)))  # fmt: skip
"""Lowest floor first, as in the navigation."""


def python_pages() -> dict[str, str]:
    """Path of the page → its Markdown."""
    return {
        f"reference/python/{package.rpartition('.')[2]}.md": f"# {package}\n\n::: {package}\n" for package in PACKAGES
    }
