"""The command `amiss`: each command parses, calls a job, prints. One file per group of commands."""

from typing import Annotated

import typer

from amiss._version import __version__
from amiss.cli import _bench, _convert, _data, _detect, _events, _info, _learn, _serve, _teach, _watch, _weights

app = typer.Typer(
    name="amiss",
    help="Weakly supervised video anomaly detection: learn from labels on whole videos when something is amiss.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"amiss {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


for _group in (_detect, _data, _learn, _watch, _events, _teach, _serve, _bench, _convert, _weights, _info):
    _group.add_to(app)


def main() -> None:
    """Entry point of the command `amiss`."""
    app()
