"""Channels: where messages go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from amiss.settings import LongTime, Settings
from amiss.watch._extras import import_name
from amiss.watch.config._webhook_address import WebhookAddress, check_headers

EXPIRE_S = 86400.0
SEND_S = 60.0
LONGEST_SEND_S = 240.0
"""An alert is claimed for a little longer: no other machine may take one that is still being sent."""


def _with_kind(schema: dict[str, Any]) -> None:
    """A file must say the kind, though callers in Python need not."""
    schema["required"] = ["kind", *schema.get("required", [])]
    del schema["properties"]["kind"]["default"]


class _Channel(Settings):
    model_config = ConfigDict(json_schema_extra=_with_kind)

    expire_s: Annotated[LongTime, Field(gt=0)] = EXPIRE_S
    """A message that could not be sent for so long is given up."""
    timeout_s: Annotated[float, Field(gt=0, le=LONGEST_SEND_S)] = SEND_S
    """An attempt that isn't done in so long, whatever comes meanwhile, is cut off and counts as failed."""


class AppriseSettings(_Channel):
    """Mail, Telegram, ntfy, Signal, a webhook, … : a service of Apprise (github.com/caronc/apprise)."""

    kind: Literal["apprise"] = "apprise"
    """This kind."""
    url: SecretStr
    """Apprise's address of the service, e.g. mailtos://user:password@example.org?to=me@example.org."""
    attach: bool = True
    """Send the snapshot along."""

    def service(self) -> Any:
        """Apprise's service of the URL, new.

        Raises:
            UsageError: Apprise has no such service or can't read the URL, or it is not installed.
        """
        of_url = import_name("amiss.watch.config._apprise_service", "service_of")
        return of_url(self.url.get_secret_value())

    @field_validator("url")
    @classmethod
    def _known_form(cls, url: SecretStr) -> SecretStr:
        if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url.get_secret_value()):
            raise ValueError("must begin with a service of Apprise, such as mailtos://")
        return url

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.service()
        return self


class WebhookSettings(_Channel):
    """An HTTP POST of the event as JSON, with an Idempotency-Key. Redirects are not followed."""

    kind: Literal["webhook"] = "webhook"
    """This kind."""
    url: SecretStr
    """http:// or https:// address; a user and password in it become basic authentication."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Further headers, e.g. Authorization."""
    allow_private: tuple[str, ...] = ()
    """Networks (CIDR) of private addresses that it may go to, e.g. 192.168.1.0/24; public ones are always allowed."""

    def address(self) -> WebhookAddress:
        """The URL taken apart, with the networks that it may reach."""
        return WebhookAddress(self.url.get_secret_value(), self.allow_private)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.address()
        check_headers({name: value.get_secret_value() for name, value in self.headers.items()})
        return self


class MqttSettings(_Channel):
    """An MQTT broker: events as JSON, availability, Home Assistant discovery (needs amiss[mqtt])."""

    kind: Literal["mqtt"] = "mqtt"
    """This kind."""
    host: str
    """Name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    """Its port."""
    username: str | None = None
    """User, if it wants one."""
    password: SecretStr | None = None
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

    kind: Literal["log"] = "log"
    """This kind."""
    path: Path
    """The file; lines are appended."""


_Any = AppriseSettings | WebhookSettings | MqttSettings | LogSettings
ChannelSettings = Annotated[_Any, Field(discriminator="kind")]
CHANNEL_KINDS: tuple[str, ...] = tuple(settings.model_fields["kind"].default for settings in get_args(_Any))
