"""Whether a database is whole, by what it says of itself."""

from dataclasses import dataclass

from sqlalchemy import func, select, text

from amiss.watch.store._archive import Archive
from amiss.watch.store._tables import metadata, reviews, users

_MOST_TOLD = 20  # faults that SQLite tells


@dataclass(frozen=True)
class DatabaseCheck:
    """What was found."""

    reviews: int
    users: int
    problems: tuple[str, ...]
    """What is damaged."""


def check_database(archive: Archive) -> DatabaseCheck:
    """Read every row.

    Raises:
        StoreError: the database can't be had, or not be read.
    """
    with archive.reading() as connection:
        counts = {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in metadata.sorted_tables
        }
        problems = []
        if archive.engine.dialect.name == "sqlite":
            said = connection.scalars(text(f"PRAGMA integrity_check({_MOST_TOLD})"))
            problems = [f"the database is damaged: {line}" for line in said if line != "ok"]
            lost = {row[0] for row in connection.execute(text("PRAGMA foreign_key_check"))}
            problems += [f"rows of {table} belong to no event or user" for table in sorted(lost)]
    return DatabaseCheck(counts[reviews.name], counts[users.name], tuple(problems))
