"""Health, metrics, live pictures and event pages over HTTP."""

from amiss.watch.http._metrics import Metrics
from amiss.watch.http._preview import Preview
from amiss.watch.http._server import HttpServer
from amiss.watch.http._shown import ShownEvent
from amiss.watch.http._watcher_view import Health, Watched, WatcherView

__all__ = ["Health", "HttpServer", "Metrics", "Preview", "ShownEvent", "Watched", "WatcherView"]
