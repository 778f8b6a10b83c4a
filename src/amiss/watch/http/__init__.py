"""Health, metrics, live pictures and event pages over HTTP."""

from amiss.watch.http._app import LivePictures, create_app
from amiss.watch.http._metrics import Metrics
from amiss.watch.http._preview import Preview
from amiss.watch.http._server import HttpServer
from amiss.watch.http._shown import ShownEvent
from amiss.watch.http._watcher_view import Health, Watched, WatcherView

__all__ = [
    "Health",
    "HttpServer",
    "LivePictures",
    "Metrics",
    "Preview",
    "ShownEvent",
    "Watched",
    "WatcherView",
    "create_app",
]
