"""Where files lie on this machine is told to admins alone."""

from __future__ import annotations

import re

from amiss.app.accounts import Identity

_DATABASE = re.compile(r"sqlite:/+")
_FOLDERS = re.compile(r"(?<![\w.…/\\])(?:[A-Za-z]:)?[\\/](?:[^\\/\n:;,'\"()]*[^\\/\s:;,'\"()][\\/]+)+")


def told_to(who: Identity | None, text: str) -> str:
    """A message as somebody may read it: of paths, who is no admin sees the last part."""
    return text if who is not None and who.is_at_least("admin") else without_folders(text)


def without_folders(text: str) -> str:
    """The text with the last parts of absolute paths alone; addresses stay."""
    return _FOLDERS.sub("", _DATABASE.sub("sqlite:/", text))
