"""Names that need an extra, imported when they are first used."""

from importlib import import_module
from typing import Any

from amiss.errors import UsageError

_EXTRAS = {"paho": "mqtt"}
_OURS = ("alembic", "apprise", "fastapi", "paho", "prometheus_client", "psycopg", "sqlalchemy", "starlette", "uvicorn")


def import_name(module: str, name: str) -> Any:
    """`name` of a module.

    Raises:
        UsageError: a package of an extra is not installed.
    """
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _OURS:
            raise
        extra = _EXTRAS.get(package, "watch")
        raise UsageError(f"{package} is not installed; watching cameras needs pip install 'amiss[{extra}]'") from None
