"""The unattended service: cameras, workers, recorder, store, alerts.

The names below are imported when they are first used, so that what needs only a few of them doesn't need all of
`amiss[watch]`.
"""

import typing

from amiss.watch import _extras
from amiss.watch._event import CameraEvent, CameraState, EventState
from amiss.watch.config import Config, ConfigProblem, load_config, read_config

if typing.TYPE_CHECKING:
    from amiss.watch._calibrate import calibrate_camera
    from amiss.watch._check import StoredCheck, check_stored
    from amiss.watch._replay import single_video
    from amiss.watch._score_history import read_history
    from amiss.watch._score_log import ScoreLog
    from amiss.watch._service import WatchService
    from amiss.watch.alerts import MqttChannel, send_test
    from amiss.watch.store import Archive, Store, open_archive, open_store

__all__ = [
    "Archive",
    "CameraEvent",
    "CameraState",
    "Config",
    "ConfigProblem",
    "EventState",
    "MqttChannel",
    "ScoreLog",
    "Store",
    "StoredCheck",
    "WatchService",
    "calibrate_camera",
    "check_stored",
    "load_config",
    "open_archive",
    "open_store",
    "read_config",
    "read_history",
    "send_test",
    "single_video",
]

_ROOMS = {
    "Archive": "store",
    "MqttChannel": "alerts",
    "ScoreLog": "_score_log",
    "Store": "store",
    "StoredCheck": "_check",
    "WatchService": "_service",
    "calibrate_camera": "_calibrate",
    "check_stored": "_check",
    "open_archive": "store",
    "open_store": "store",
    "read_history": "_score_history",
    "send_test": "alerts",
    "single_video": "_replay",
}


def __getattr__(name: str) -> typing.Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'amiss.watch' has no attribute {name!r}")
    return _extras.import_name(f"amiss.watch.{_ROOMS[name]}", name)
