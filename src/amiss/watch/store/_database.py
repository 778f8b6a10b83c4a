"""Connecting to SQLite or PostgreSQL, and bringing the schema up to date."""

import sqlite3
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from amiss.errors import OutputError, StoreError, UsageError
from amiss.video import redact

BUSY_S = 5.0  # how long a statement waits for another process's lock before the write is put off
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x616D697373  # PostgreSQL's advisory lock: "amiss"

_REFUSALS = (exc.DataError, exc.IntegrityError, ValueError, TypeError, KeyError, OverflowError)


def make_engine(url: str, *, make: bool = True) -> Engine:
    """An engine whose `begin()` on SQLite takes the write lock at once, so that no transaction fails half-way.

    Args:
        url: of the database.
        make: an SQLite file that isn't there.

    Raises:
        UsageError: the URL can't be read, or its driver isn't installed.
        StoreError: the file isn't there, and isn't made.
    """
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):  # the latter: a port that is no number
        raise UsageError("the database URL can't be read; it looks like sqlite:///events.db or "
                         "postgresql://user:password@host/name") from None  # fmt: skip
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, make)
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    arguments: dict[str, Any] = {}
    if parsed.get_backend_name() == "postgresql":
        # a server that vanished without a word is noticed within seconds, not after TCP's two hours
        arguments = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
                     "tcp_user_timeout": 20000}  # fmt: skip
    try:
        engine = create_engine(parsed, pool_pre_ping=True, connect_args=arguments, pool_timeout=BUSY_S)
    except (exc.NoSuchModuleError, ImportError) as error:
        raise UsageError(f"no driver for {describe(parsed)}: {error}") from None
    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _limit_waits)
    return engine


def describe(url: str | URL) -> str:
    """The URL without its password, for messages."""
    return redact(make_url(url).render_as_string(hide_password=True))


def is_refused(error: Exception) -> bool:
    """Whether the data are wrong, so that trying again can't help; all else says that the database can't be had now."""
    if isinstance(error, exc.StatementError) and not isinstance(error, exc.DBAPIError):
        return isinstance(error.orig, _REFUSALS)  # a value that could not be converted
    return isinstance(error, _REFUSALS)


def reason(error: Exception) -> str:
    """One line of what the database said, without SQL and parameters."""
    cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split()) or type(cause).__name__


def migrate(engine: Engine, *, make: bool = True) -> None:
    """Bring the schema up to date.

    Args:
        engine: of the database.
        make: a schema in an empty database.

    Raises:
        StoreError: the schema was made by a newer amiss, or there is none and none is made.
        sqlalchemy.exc.SQLAlchemyError: the database can't be had.
    """
    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # an index of millions of events takes long
        found = set(MigrationContext.configure(connection).get_current_heads())
        if found - known:
            raise StoreError(
                f"the database {describe(engine.url)} was made by a newer amiss (schema {', '.join(sorted(found))}; "
                f"this one knows {max(known)}): upgrade amiss"
            )
        if not found and not make:
            raise _none_yet(engine.url)
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")


def _none_yet(url: URL) -> StoreError:
    return StoreError(
        f"there are no events in {describe(url)}: is `database:` right? `amiss watch` and `amiss serve` make a database"
    )


def _sqlite(url: URL, make: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise UsageError("an SQLite database in memory would lose its events: give a file, as in sqlite:///events.db")
    path = Path(url.database)
    if not make and not path.is_file():
        raise _none_yet(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't make the folder of {path}: {error.strerror or error}") from error
    opened = not make

    def connect() -> sqlite3.Connection:
        # once seen, a database is never made anew: where its disk is gone, events must wait for it
        nonlocal opened
        mode = "rw" if opened else "rwc"
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "journal_size_limit=16777216"):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        opened = True
        return connection

    # none is closed after use: opening one takes longer than most questions
    pool: dict[str, Any] = {"poolclass": QueuePool, "pool_size": 15, "max_overflow": 0, "pool_timeout": BUSY_S}
    engine = create_engine(url.set(query={}), creator=connect, **pool)
    event.listen(engine, "connect", lambda _, record: record.info.update(file=_identity(path)))
    event.listen(engine, "checkout", lambda _, record, __: _same_file(path, record.info["file"]))
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _same_file(path: Path, identity: tuple[int, int] | None) -> None:
    """A connection to a file that was removed or replaced would write into nothing."""
    if _identity(path) != identity:
        raise exc.DisconnectionError("the database file was removed or replaced")


def _limit_waits(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {int(BUSY_S * 1000)}")
        cursor.execute("SET statement_timeout = 60000")
    connection.commit()
