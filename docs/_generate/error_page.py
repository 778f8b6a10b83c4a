"""The errors that amiss raises on purpose, with their exit codes, from `amiss.errors`."""

from __future__ import annotations

import inspect

from amiss import errors
from markdown_tables import table

_MARK = "<!-- errors -->"


def error_classes() -> list[type[errors.AmissError]]:
    """Every error of amiss, parents before their children."""
    return [
        item
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, errors.AmissError) and item.__module__ == errors.__name__
    ]


def fill_in_errors(markdown: str) -> str:
    """Put the table of errors where the page has its mark."""
    rows = [
        (
            f"`{error.__name__}`",
            f"`{error.__bases__[0].__name__}`",
            str(error.exit_code),
            (inspect.getdoc(error) or "").split("\n\n")[0],
        )
        for error in error_classes()
    ]
    return markdown.replace(_MARK, table(("error", "is a", "exit code", "when"), rows))
