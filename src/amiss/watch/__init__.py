"""The unattended service: cameras, workers, recorder, store, alerts.

The names below are imported when they are first used, so that what needs only a few of them doesn't need all of
`amiss[watch]`.
"""

import typing

from amiss.watch import _lazy
from amiss.watch._event import CameraEvent, CameraState, EventState
from amiss.watch.config._file import ConfigProblem, load_config, read_config
from amiss.watch.config._schema import Config

if typing.TYPE_CHECKING:
    from amiss.watch._calibrate import calibrate_camera
    from amiss.watch._replay import single_video
    from amiss.watch._score_log import ScoreLog
    from amiss.watch._service import WatchService
    from amiss.watch.alerts._mqtt import MqttChannel
    from amiss.watch.alerts._trial import send_test
    from amiss.watch.store._archive import Archive, open_archive
    from amiss.watch.store._store import Store, open_store

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
    "WatchService",
    "calibrate_camera",
    "load_config",
    "open_archive",
    "open_store",
    "read_config",
    "send_test",
    "single_video",
]


def __getattr__(name: str) -> typing.Any:
    return _lazy.lazy(name)
