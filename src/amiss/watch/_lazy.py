"""The public names that need `amiss[watch]`, imported when they are first used."""

from importlib import import_module
from typing import Any

from amiss.errors import UsageError

_HOME = {
    "Archive": "store._archive",
    "MqttChannel": "alerts._mqtt",
    "ScoreLog": "_score_log",
    "Store": "store._store",
    "WatchService": "_service",
    "calibrate_camera": "_calibrate",
    "open_archive": "store._archive",
    "open_store": "store._store",
    "send_test": "alerts._trial",
    "single_video": "_replay",
}
_EXTRAS = {"paho": "mqtt"}
_OURS = ("alembic", "apprise", "fastapi", "paho", "prometheus_client", "psycopg", "sqlalchemy", "starlette", "uvicorn")


def lazy(name: str) -> Any:
    """The public name of `amiss.watch`.

    Raises:
        AttributeError: there is none.
        UsageError: a package of the extra is not installed.
    """
    if name not in _HOME:
        raise AttributeError(f"module 'amiss.watch' has no attribute {name!r}")
    try:
        return getattr(import_module(f"amiss.watch.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _OURS:
            raise
        extra = _EXTRAS.get(package, "watch")
        raise UsageError(f"{package} is not installed; watching cameras needs pip install 'amiss[{extra}]'") from None
