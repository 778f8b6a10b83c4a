"""What needs an extra is imported when it is first used; where its package is missing, the error names the extra."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from amiss.errors import UsageError, how_to_install

_EXTRAS = {"paho": "mqtt", "argon2": "web"}
_WATCH = ("alembic", "apprise", "fastapi", "prometheus_client", "psycopg", "sqlalchemy", "starlette", "uvicorn")


@contextmanager
def naming_extras() -> Iterator[None]:
    """Imports in here raise UsageError where a package of an extra is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in (*_WATCH, *_EXTRAS):
            raise
        extra = _EXTRAS.get(package, "watch")
        what = "the application" if extra == "web" else "watching cameras"
        raise UsageError(f"{package} is not installed; {what} needs {how_to_install(extra)}") from None


def import_name(module: str, name: str) -> Any:
    """`name` of a module; see `naming_extras`."""
    with naming_extras():
        return getattr(import_module(module), name)
