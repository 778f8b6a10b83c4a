"""Channels from their settings, and `amiss alerts test`: does a channel take a message?"""

from __future__ import annotations

from collections.abc import Iterator

from amiss.errors import AlertError, AmissError, UsageError
from amiss.watch._lazy import import_name
from amiss.watch.alerts._apprise import AppriseChannel
from amiss.watch.alerts._channels import Channel, LogChannel, probe_alert
from amiss.watch.alerts._webhook import WebhookChannel
from amiss.watch.config import AppriseSettings, Config, LogSettings, MqttSettings, WebhookSettings


def make_channels(config: Config) -> list[Channel]:
    """The channels, new; they must be closed.

    Raises:
        UsageError: a channel's settings make no sense, or paho-mqtt is not installed.
    """
    cameras = tuple(name for name, camera in config.cameras.items() if camera.enabled)
    made: list[Channel] = []
    try:
        for name in config.channels:
            made.append(_channel(config, name, cameras))
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
        made = _channel(config, name, None)
        try:
            made.open()
            made.send(probe_alert(name))
            yield name, None
        except AlertError as error:
            yield name, str(error)
        finally:
            made.close()


def _channel(config: Config, name: str, cameras: tuple[str, ...] | None) -> Channel:
    """One channel; without cameras it is a visitor's, that tells of no states as a running service may."""
    match config.channels[name]:
        case AppriseSettings() as given:
            return AppriseChannel(name, given.url, attach=given.attach, expire_s=given.expire_s)
        case WebhookSettings() as given:
            return WebhookChannel(
                name, given.url, headers=given.headers, allow_private=given.allow_private, expire_s=given.expire_s
            )
        case LogSettings() as given:
            return LogChannel(name, given.path, expire_s=given.expire_s)
        case MqttSettings() as given:
            channel: Channel = import_name("amiss.watch.alerts._mqtt", "MqttChannel")(
                name,
                given.host,
                given.port,
                username=given.username,
                password=given.password,
                tls=given.tls,
                prefix=given.prefix,
                discovery=given.discovery,
                cameras=cameras or (),
                presence=cameras is not None,
                expire_s=given.expire_s,
            )
            return channel
