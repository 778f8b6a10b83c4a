"""Who is told of events, and how: channels and the dispatcher."""

import typing

from amiss.watch.alerts._apprise import AppriseChannel
from amiss.watch.alerts._channels import Alert, Channel, LogChannel
from amiss.watch.alerts._dispatcher import Dispatcher
from amiss.watch.alerts._make import CHANNELS, make_channels, send_test
from amiss.watch.alerts._make import channel_class as _channel_class
from amiss.watch.alerts._publisher import StatePublisher
from amiss.watch.alerts._webhook import WebhookChannel

if typing.TYPE_CHECKING:
    from amiss.watch.alerts._mqtt import MqttChannel

__all__ = [
    "CHANNELS",
    "Alert",
    "AppriseChannel",
    "Channel",
    "Dispatcher",
    "LogChannel",
    "MqttChannel",
    "StatePublisher",
    "WebhookChannel",
    "make_channels",
    "send_test",
]


def __getattr__(name: str) -> typing.Any:
    if name != "MqttChannel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _channel_class("mqtt")  # paho-mqtt is an extra of its own
