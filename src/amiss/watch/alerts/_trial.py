"""`amiss alerts test`: does a channel take a message?"""

from __future__ import annotations

from collections.abc import Iterator

from amiss.errors import AlertError, UsageError
from amiss.watch._factory import visiting_channel
from amiss.watch.alerts._channels import probe_alert
from amiss.watch.config._schema import Config


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
        made = visiting_channel(config, name)
        try:
            made.open()
            made.send(probe_alert(name))
            yield name, None
        except AlertError as error:
            yield name, str(error)
        finally:
            made.close()
