"""What commands over a watcher's database share: its configuration, the database, times as people read them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from amiss.watch import Archive, Config

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration (YAML) of `amiss watch`.")]
Reviewer = Annotated[str, typer.Option("--by", help="Who says so.")]


@contextmanager
def archive_of(config: Path) -> "Iterator[tuple[Config, Archive]]":
    """A configuration, and its database as long as this lasts."""
    from amiss.watch import load_config, open_archive

    settings = load_config(config)
    archive = open_archive(settings.database.get_secret_value())
    try:
        yield settings, archive
    finally:
        archive.close()


def local(time: datetime) -> str:
    """In the time of this machine."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"
