"""Channels: where messages go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from amiss.settings import Settings


class _Channel(Settings):
    expire_s: Annotated[float, Field(gt=0)] = 86400.0
    """A message that could not be sent for so long is given up."""


class AppriseSettings(_Channel):
    """Mail, Telegram, ntfy, Signal, a webhook, … : a service of Apprise (github.com/caronc/apprise)."""

    kind: Literal["apprise"]
    """This kind."""
    url: Annotated[str, Field(repr=False, pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://")]
    """Apprise's address of the service, e.g. mailtos://user:password@example.org?to=me@example.org."""
    attach: bool = True
    """Send the snapshot along."""


class WebhookSettings(_Channel):
    """An HTTP POST of the event as JSON, with an Idempotency-Key. Redirects are not followed."""

    kind: Literal["webhook"]
    """This kind."""
    url: Annotated[str, Field(repr=False, pattern=r"^https?://")]
    """http:// or https:// address."""
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Further headers, e.g. Authorization."""
    allow_private: tuple[str, ...] = ()
    """Networks (CIDR) of private addresses that it may go to, e.g. 192.168.1.0/24; public ones are always allowed."""


class MqttSettings(_Channel):
    """An MQTT broker: events as JSON, availability, Home Assistant discovery (needs amiss[mqtt])."""

    kind: Literal["mqtt"]
    """This kind."""
    host: str
    """Name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    """Its port."""
    username: str | None = None
    """User, if it wants one."""
    password: Annotated[str | None, Field(repr=False)] = None
    """Password, if it wants one."""
    tls: bool = False
    """Encrypt, and check the broker's certificate."""
    prefix: Annotated[str, Field(pattern=r"^[^#+\s]+$")] = "amiss"
    """First part of all topics."""
    discovery: Annotated[str | None, Field(pattern=r"^[^#+\s]+$")] = "homeassistant"
    """Home Assistant's discovery prefix; null = none."""

    @field_validator("host")
    @classmethod
    def _only_a_host(cls, host: str) -> str:
        if not re.fullmatch(r"[^\s/@]+", host):
            raise ValueError("must be the broker's name or address, with nothing before or after it")
        return host


class LogSettings(_Channel):
    """A file of JSON lines."""

    kind: Literal["log"]
    """This kind."""
    path: Path
    """The file; lines are appended."""


_Any = AppriseSettings | WebhookSettings | MqttSettings | LogSettings
ChannelSettings = Annotated[_Any, Field(discriminator="kind")]
CHANNEL_KINDS = tuple(get_args(settings.model_fields["kind"].annotation)[0] for settings in get_args(_Any))
