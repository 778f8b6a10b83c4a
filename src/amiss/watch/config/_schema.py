"""What `amiss watch` is told: cameras, detector, thresholds, recording, rules, channels; every field documented."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Seconds = Annotated[float, Field(ge=0, le=86400)]
Score = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]

CHANNEL_KINDS = ("apprise", "webhook", "mqtt", "log")
SCHEMES = ("rtsp://", "rtsps://", "http://", "https://", "device:", "/dev/video", "replay:", "folder:")


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class SourceConfig(_Part):
    """How a camera is read."""

    transport: Literal["tcp", "udp"] = "tcp"
    """Of RTSP. UDP loses packets where the network is busy, and pictures with them."""
    open_timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Longest wait for a connection."""
    read_timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Longest wait for the next picture; then the camera counts as stalled and is connected anew."""
    height: Annotated[int | None, Field(ge=16, le=4320)] = None
    """Pictures are made this high before anything else: less work with large pictures, slightly other features;
    null = as they come. Clips of events keep the camera's size."""
    queue_clips: Annotated[int, Field(ge=1, le=256)] = 4
    """Clips that may wait for the backbone. A live camera drops the oldest when they are more, and counts it; files
    wait."""


class GateConfig(_Part):
    """A cheap look at the pictures, so that a still scene doesn't cost the backbone's time."""

    enabled: bool = False
    """true: clips in which nothing moves take the features of the last still clip."""
    threshold: Annotated[float, Field(gt=0, le=255)] = 4.0
    """Largest change, in grey levels 0 to 255, of any part of a still scene."""
    refresh_s: Annotated[float, Field(ge=0)] = 10.0
    """A still scene is run through the backbone this often all the same."""


class AlarmConfig(_Part):
    """When scores become an event: hysteresis on smoothed scores."""

    on: Score | None = None
    """An event opens when the smoothed score reaches it. Default: what `amiss calibrate` found for this camera and
    detector, else the detector's own threshold."""
    off: Score | None = None
    """It closes when the smoothed score falls below it. Default: 0.8 × `on`."""
    smoothing_s: Seconds = 2.0
    """Time constant of the exponential mean over scores."""
    min_length_s: Seconds = 0.0
    """Shorter events are none; one opens when it has lasted so long."""
    merge_gap_s: Seconds = 3.0
    """Quiet stretches up to this long don't end an event."""
    cooldown_s: Seconds = 0.0
    """After an event, no new one opens for so long. (Rules have a cooldown of their own, for messages.)"""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.on is not None and self.off is not None and self.off > self.on:
            raise ValueError(f"off is {self.off}, above on ({self.on}): an event could never stay open")
        return self


class RecordConfig(_Part):
    """Video and picture of an event."""

    enabled: bool = True
    """Keep its video, copied from the camera's stream as it is (not encoded anew), and a picture of its peak."""
    pre_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    """Seconds of video before it."""
    post_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    """Seconds of video after it."""


class CameraDefaults(_Part):
    """What holds for every camera that doesn't say otherwise."""

    source: SourceConfig = SourceConfig()
    """How it is read."""
    gate: GateConfig = GateConfig()
    """Skips still scenes."""
    alarm: AlarmConfig = AlarmConfig()
    """When scores become an event."""
    record: RecordConfig = RecordConfig()
    """What is kept of an event."""
    window_clips: Annotated[int, Field(ge=1, le=4096)] = 32
    """Heads that look at a whole video see this many of the last clips."""
    lookahead_clips: Annotated[int, Field(ge=0, le=64)] = 0
    """Clips such a head waits for before it scores one: better scores, later (64 clips of 16 pictures at 25 a second
    are 41 s)."""


class CameraConfig(CameraDefaults):
    """A camera. What it doesn't say comes from `defaults`, field by field."""

    url: Annotated[str, Field(repr=False, min_length=1)]
    """rtsp://, rtsps://, http:// or https:// (MPEG-TS, HLS, MJPEG) address; `device:0` or /dev/video0; `replay:FILE`
    (a file as if live; `?loop=1`, `?speed=2`); `folder:DIR` (files put there are scored once)."""
    detector: Path | None = None
    """Detector directory, where it isn't the common one."""
    weights: Path | None = None
    """File of its backbone's weights, where they are not found by name."""
    enabled: bool = True
    """false: not watched."""

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if not url.lower().startswith(SCHEMES):
            raise ValueError(f"must start with one of {', '.join(SCHEMES)}")
        return url


class RetentionConfig(_Part):
    """How long clips and snapshots stay. Events themselves, and the media of protected ones, always stay."""

    days: Annotated[float | None, Field(gt=0)] = 30.0
    """Older media go; null = never for their age."""
    max_gb: Annotated[float | None, Field(gt=0)] = None
    """The oldest go when all media together are larger (10⁹ bytes); null = no limit."""
    min_free_gb: Annotated[float, Field(ge=0)] = 1.0
    """When the disk has less than this left, the oldest go at once."""


class RuleConfig(_Part):
    """Which events are told to whom."""

    name: Name
    """Its name, in the log of deliveries."""
    channels: Annotated[list[Name], Field(min_length=1)]
    """Names of channels."""
    cameras: list[Name] | None = None
    """Names of cameras; null = all."""
    min_score: Score = 0.0
    """Events whose peak is lower are not told."""
    min_length_s: Seconds = 0.0
    """Shorter events are not told. With `on: opened` an event is told as soon as it has lasted so long."""
    hours: Clock | None = None
    """Local time of day, `22:00-06:00` (may cross midnight); null = always."""
    days: list[Day] | None = None
    """Days of the week (on which those hours begin); null = all."""
    time_zone: str | None = None
    """Of hours and days, e.g. Europe/Berlin; null = the machine's."""
    cooldown_s: Annotated[float, Field(ge=0)] = 60.0
    """After an event that was told, none of the same camera (of a folder: in the same file) is told to the same channel
    for so long. A message that could not be sent doesn't count."""
    on: Literal["opened", "closed"] = "opened"
    """Tell it at once, or when it is over and its clip is complete (or known to be missing)."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError("no such time zone; they are named like Europe/Berlin") from None
        return name


class _ChannelConfig(_Part):
    expire_s: Annotated[float, Field(gt=0)] = 86400.0
    """A message that could not be sent for so long is given up."""


class AppriseConfig(_ChannelConfig):
    """Mail, Telegram, ntfy, Signal, a webhook, … : a service of Apprise (github.com/caronc/apprise)."""

    kind: Literal["apprise"]
    """This kind."""
    url: Annotated[str, Field(repr=False, pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://")]
    """Apprise's address of the service, e.g. mailtos://user:password@example.org?to=me@example.org."""
    attach: bool = True
    """Send the snapshot along."""


class WebhookConfig(_ChannelConfig):
    """An HTTP POST of the event as JSON, with an Idempotency-Key. Redirects are not followed."""

    kind: Literal["webhook"]
    """This kind."""
    url: Annotated[str, Field(repr=False, pattern=r"^https?://")]
    """http:// or https:// address."""
    headers: Annotated[dict[str, str], Field(repr=False)] = {}
    """Further headers, e.g. Authorization."""
    allow_private: list[str] = []
    """Networks (CIDR) of private addresses that it may go to, e.g. 192.168.1.0/24; public ones are always allowed."""


class MqttConfig(_ChannelConfig):
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


class LogConfig(_ChannelConfig):
    """A file of JSON lines."""

    kind: Literal["log"]
    """This kind."""
    path: Path
    """The file; lines are appended."""


ChannelConfig = Annotated[AppriseConfig | WebhookConfig | MqttConfig | LogConfig, Field(discriminator="kind")]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class HttpConfig(_Part):
    """Health, metrics and live pictures over HTTP. There is no login: pictures of your cameras are readable by whoever
    can reach the port."""

    enabled: bool = True
    """false: no server."""
    host: str = "127.0.0.1"
    """Address to listen on; anything but a loopback address needs `allow_public`."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8720
    """Port; 0 = any free one."""
    allow_public: bool = False
    """Listen on other addresses than loopback: only behind a proxy that asks for a password, or inside a container
    whose port is published to loopback."""
    max_viewers: Annotated[int, Field(ge=0, le=100)] = 4
    """Clients that may look at one camera's pictures at a time."""
    base_url: str | None = None
    """Address under which people reach this server, for links in messages; null = http://host:port."""

    @field_validator("base_url")
    @classmethod
    def _absolute(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^\s/]+\S*", url):
            raise ValueError("must begin with http:// or https://, a host and no blanks")
        return url

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.allow_public and not _is_loopback(self.host):
            raise ValueError(
                f"host is {self.host!r}: everyone who reaches this machine could look through its cameras, as there is "
                "no login. Use 127.0.0.1 and a proxy with a password in front, or say `allow_public: true`"
            )
        return self


class WorkersConfig(_Part):
    """How the work is done."""

    threads: Annotated[int | None, Field(ge=1)] = None
    """CPU threads of the backbone; null = torch's choice."""
    device: str = "auto"
    """Where the backbone runs: auto, cpu, cuda, cuda:1, …"""
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto"
    """Of the backbone's arithmetic; int8 needs a network that `amiss weights quantise` made."""
    max_restarts: Annotated[int, Field(ge=1)] = 5
    """A camera's worker that fails is started again; after so many failures within `restarts_within_s` …"""
    restarts_within_s: Annotated[float, Field(gt=0)] = 60.0
    """… it is started only every so many seconds."""
    stop_s: Annotated[float, Field(ge=0)] = 10.0
    """On a stop: longest wait for events to be closed and messages to be sent."""


class Config(_Part):
    """A configuration of `amiss watch`. Relative paths start at the folder of the file."""

    cameras: Annotated[dict[Name, CameraConfig], Field(min_length=1)]
    """Name → camera."""
    detector: Path | None = None
    """Detector directory, e.g. run/selected; cameras may have their own."""
    weights: Path | None = None
    """File of its backbone's weights, where they are not found by name."""
    defaults: CameraDefaults = CameraDefaults()
    """What holds for every camera that doesn't say otherwise."""
    database: Annotated[str, Field(repr=False)] = "sqlite:///amiss.db"
    """SQLAlchemy's address: sqlite:///file or postgresql+psycopg://user:password@host/database."""
    media: Path = Path("media")
    """Folder of clips and snapshots."""
    state: Path = Path("state")
    """Folder of what must outlast a restart besides the database: the spool of events, calibrations."""
    retention: RetentionConfig = RetentionConfig()
    """How long clips and snapshots stay."""
    channels: dict[Name, ChannelConfig] = {}
    """Name → where messages go."""
    rules: list[RuleConfig] = []
    """Which events are told to whom."""
    http: HttpConfig = HttpConfig()
    """Health, metrics and live pictures."""
    workers: WorkersConfig = WorkersConfig()
    """How the work is done."""

    @field_validator("database")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if not re.match(r"^(sqlite|postgresql|postgres|mysql|mariadb)(\+\w+)?://", url):
            raise ValueError("must be an address like sqlite:///amiss.db or postgresql+psycopg://user@host/name")
        return url


def with_defaults(camera: CameraConfig, defaults: CameraDefaults) -> CameraConfig:
    """The camera with the defaults where it says nothing, field by field, also inside its parts.

    Raises:
        pydantic.ValidationError: camera and defaults don't fit together.
    """
    return CameraConfig.model_validate(_merged(_stated(defaults), _stated(camera)))


def _stated(part: BaseModel) -> dict[str, Any]:
    return part.model_dump(exclude_unset=True)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result
