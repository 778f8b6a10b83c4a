"""Channels from their settings, and `amiss alerts test`: does a channel take a message?"""

from __future__ import annotations

from collections.abc import Iterator

from amiss.errors import AlertError, AmissError, UsageError
from amiss.registry import Registry
from amiss.watch._extras import naming_extras
from amiss.watch.alerts._channels import Channel, probe_alert
from amiss.watch.alerts._publisher import ShowsStates
from amiss.watch.alerts._sending import Sending
from amiss.watch.config import Config

CHANNELS: Registry[type] = Registry(
    "kind of channel",
    {
        "apprise": "amiss.watch.alerts._apprise:AppriseChannel",
        "webhook": "amiss.watch.alerts._webhook:WebhookChannel",
        "mqtt": "amiss.watch.alerts._mqtt:MqttChannel",
        "log": "amiss.watch.alerts._channels:LogChannel",
    },
)
"""By `kind` in the configuration; made with a name and its settings (see `amiss.watch.config`)."""


def channel_class(kind: str) -> type:
    """The channel of a kind, imported when it is first asked for.

    Raises:
        UsageError: a package that it needs is not installed.
    """
    with naming_extras():
        return CHANNELS[kind]


def make_channels(config: Config) -> list[Channel]:
    """The channels, new; they must be closed.

    Raises:
        UsageError: a package that a channel needs is not installed.
    """
    cameras = [name for name, camera in config.cameras.items() if camera.enabled]
    made: list[Channel] = []
    try:
        for name in config.channels:
            made.append(channel := _channel(config, name))
            if isinstance(channel, ShowsStates):
                channel.announce(cameras)
    except AmissError:
        for channel in made:
            channel.close()
        raise
    return made


def send_test(config: Config, channel: str | None = None) -> Iterator[tuple[str, str | None]]:
    """Send a test message to every channel, or to one; yields its name and what was wrong (None = taken).

    Raises:
        UsageError: there is no such channel, or none at all.
    """
    if not config.channels:
        raise UsageError("the configuration has no channels")
    if channel is not None and channel not in config.channels:
        raise UsageError(f"there is no channel {channel!r}; there are {', '.join(config.channels)}")
    for name in config.channels if channel is None else [channel]:
        made = _channel(config, name)
        try:
            made.open()
            Sending(made, probe_alert(name)).wait()
            yield name, None
        except AlertError as error:
            yield name, str(error)
        finally:
            made.close()


def _channel(config: Config, name: str) -> Channel:
    settings = config.channels[name]
    channel: Channel = channel_class(settings.kind)(name, settings)
    return channel
