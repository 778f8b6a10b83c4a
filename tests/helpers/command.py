"""The command line, run in the process of the test."""

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from amiss.cli import app


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def amiss(*args: str | Path) -> Ran:
    """Run a command in this process (starting a new one takes seconds)."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)
