"""What `amiss watch` is told: cameras, detector, thresholds, recording, rules, channels; every field documented."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from amiss.files import is_reserved
from amiss.settings import Seconds, Settings
from amiss.watch.config._camera import CameraDefaults, CameraSettings
from amiss.watch.config._channels import ChannelSettings
from amiss.watch.config._cluster import ClusterSettings
from amiss.watch.config._rules import Name, Rule

GB = 10**9
Host = Annotated[str, Field(pattern=r"^[^\s/@]+$", max_length=255)]
_DATABASE = "sqlite:///amiss.db"


class RetentionSettings(Settings):
    """How long clips and snapshots stay. Events themselves, and the media of protected ones, always stay."""

    days: Annotated[float | None, Field(gt=0, le=36500)] = 30.0
    """Older media go; null = never for their age."""
    max_gb: Annotated[float | None, Field(gt=0, le=1e9)] = None
    """The oldest go when all media together are larger (10⁹ bytes); null = no limit."""
    min_free_gb: Annotated[float, Field(ge=0, le=1e9)] = 1.0
    """When the disk has less than this left, the oldest go at once, until twice as much is free."""

    scores_days: Annotated[float, Field(ge=0, le=366)] = 8.0
    """For how long the score of every clip is kept, to say what other thresholds would have raised (12 bytes a clip);
    0 = none are kept."""

    @property
    def max_bytes(self) -> int | None:
        """`max_gb` in bytes."""
        return None if self.max_gb is None else round(self.max_gb * GB)

    @property
    def min_free_bytes(self) -> int:
        """`min_free_gb` in bytes."""
        return round(self.min_free_gb * GB)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class HttpSettings(Settings):
    """Health, metrics, live pictures and, with `amiss serve`, the application over HTTP. `amiss watch` has no login:
    pictures of your cameras are readable by whoever can reach the port."""

    enabled: bool = True
    """false: no server."""
    host: Host = "127.0.0.1"
    """Address to listen on; anything but a loopback address needs `allow_public`."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8720
    """Port; 0 = any free one."""
    allow_public: bool = False
    """Listen on other addresses than loopback. `amiss serve` asks for a login there; `amiss watch` has none: only
    behind a proxy that asks for a password, or inside a container whose port is published to loopback."""
    login: bool = True
    """`amiss serve` asks for a name and a password; false: whoever can reach the port is an administrator, which is
    taken on loopback alone, without a proxy."""
    max_viewers: Annotated[int, Field(ge=0, le=100)] = 4
    """Clients that may look at one camera's pictures at a time."""
    base_url: str | None = None
    """Address under which people reach this server, for links in messages; null = http://host:port. Where it is set,
    and on loopback, requests for any other host are refused."""
    hosts: tuple[Host, ...] = ()
    """Further names and addresses under which people or monitors reach this server, such as a container's name."""
    tls_certificate: Path | None = None
    """File of the server's certificate and those that it was signed with (PEM): speak HTTPS. Needs `tls_key`."""
    tls_key: Path | None = None
    """File of its private key (PEM, without a password)."""
    trusted_proxies: tuple[Host, ...] = ("127.0.0.1", "::1")
    """Addresses of proxies whose word on who a client is (`X-Forwarded-For`, `X-Forwarded-Proto`) is taken."""
    max_upload_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 4000
    """`amiss serve`: the largest video that may be uploaded, in 10⁶ bytes."""
    allow_cameras_at: tuple[str, ...] = ()
    """Networks (CIDR) inside or next to this machine, such as 127.0.0.0/8, at which cameras may be that are added in
    the application; in this file a camera may be anywhere."""
    max_connections: Annotated[int, Field(ge=8, le=10_000)] = 100
    """Connections at a time, viewers among them. Where there are more, those that send no request go first."""
    request_timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 10.0
    """A connection that sends no whole request for so long is cut off."""
    send_timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 20.0
    """A client that takes nothing of its answer for so long is cut off, live viewers too."""

    @field_validator("base_url")
    @classmethod
    def _absolute(cls, url: str | None) -> str | None:
        if url is not None and (not re.fullmatch(r"https?://[^\s/]+\S*", url) or not urlsplit(url).hostname):
            raise ValueError("must begin with http:// or https://, a host and no blanks")
        return url

    @field_validator("allow_cameras_at")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise ValueError("networks look like 192.168.1.0/24") from None
        return networks

    @property
    def known_hosts(self) -> tuple[str, ...] | None:
        """Hosts that requests may be for, besides loopback; None = any, as nobody said under which names it is
        reached."""
        if self.allow_public and self.base_url is None and not self.hosts:
            return None
        own = urlsplit(self.base_url).hostname if self.base_url else None
        return (*self.hosts, *(name for name in (own, self.host) if name not in (None, "0.0.0.0", "::", "[::]")))

    @property
    def is_secure(self) -> bool:
        """Whether people reach this server over HTTPS, by its own certificate or a proxy's."""
        return self.tls_certificate is not None or (self.base_url or "").startswith("https:")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.allow_public and not _is_loopback(self.host):
            raise ValueError(
                f"host is {self.host!r}: everyone who reaches this machine could look through its cameras, as `amiss "
                "watch` has no login. Use 127.0.0.1 and a proxy with a password in front, or say `allow_public: true`; "
                "`amiss serve` asks for a login then"
            )
        names = (self.host, urlsplit(self.base_url).hostname if self.base_url else None, *self.hosts)
        if not self.login and (far := next((name for name in names if name and not _is_loopback(name)), None)):
            raise ValueError(f"login is false, and others can reach this server as {far!r}: leave `login` out")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self


class TeachSettings(Settings):
    """What a detector learns from, besides reviewed events; see `amiss retrain`."""

    data: Path | None = None
    """Manifest of the videos that the first detector learned from; null = it forgets them. Goes with `features`."""
    features: Path | None = None
    """Their features."""
    plain: Annotated[tuple[Path, ...], Field(max_length=1000)] = ()
    """Videos, or folders of them, in which nothing happens: normal examples."""
    recipe: str | None = None
    """How it learns, see `amiss recipes`; null = as the first detector did."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.data is None) != (self.features is None):
            raise ValueError("data and features go together")
        return self


class SearchSettings(Settings):
    """How `amiss serve` finds events."""

    clip: Path | None = None
    """Folder of a CLIP as Hugging Face keeps it, by which events are found by words of what their pictures show (needs
    amiss[transformers]); null = looked for in `$AMISS_WEIGHTS` and in Hugging Face's cache."""


class WorkerSettings(Settings):
    """How the work is done."""

    threads: Annotated[int | None, Field(ge=1, le=1024)] = None
    """CPU threads of the backbone; null = torch's choice."""
    device: str = "auto"
    """Where the backbone runs: auto, cpu, cuda, cuda:1, …"""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """Of the backbone's arithmetic; fp16 runs on CUDA only, int8 needs a network that `amiss weights quantise` made."""
    compile: bool = False
    """Compile the backbone by torch before cameras start, which takes seconds to minutes: pays on a GPU."""
    max_restarts: Annotated[int, Field(ge=1, le=10_000)] = 5
    """A camera's worker that fails is started again; after so many failures within `restarts_within_s` …"""
    restarts_within_s: Annotated[Seconds, Field(gt=0)] = 60.0
    """… it is started only every so many seconds."""
    stop_s: Seconds = 10.0
    """On a stop: longest wait for events to be closed and messages to be sent."""


class Config(Settings):
    """A configuration of `amiss watch`. Relative paths start at the folder of the file."""

    cameras: Annotated[dict[Name, CameraSettings], Field(min_length=1, max_length=2000)]
    """Name → camera."""
    detector: Path | None = None
    """Detector directory, e.g. run/selected; cameras may have their own."""
    weights: Path | None = None
    """File of its backbone's weights, where they are not found by name."""
    defaults: CameraDefaults = CameraDefaults()
    """What holds for every camera that doesn't say otherwise."""
    database: Annotated[SecretStr, Field(json_schema_extra={"default": _DATABASE})] = SecretStr(_DATABASE)
    """SQLAlchemy's address: sqlite:///file or postgresql+psycopg://user:password@host/database."""
    media: Path = Path("media")
    """Folder of clips and snapshots."""
    state: Path = Path("state")
    """Folder of what must outlast a restart besides the database: the spool of events, calibrations."""
    retention: RetentionSettings = RetentionSettings()
    """How long clips and snapshots stay."""
    channels: Annotated[dict[Name, ChannelSettings], Field(max_length=200)] = Field(default_factory=dict)
    """Name → where messages go."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=1000)] = ()
    """Which events are told to whom."""
    http: HttpSettings = HttpSettings()
    """Health, metrics and live pictures."""
    workers: WorkerSettings = WorkerSettings()
    """How the work is done."""
    cluster: ClusterSettings | None = None
    """Watch the cameras on a Ray cluster; null = in this process."""
    teach: TeachSettings = TeachSettings()
    """What detectors learn from, besides reviewed events."""
    search: SearchSettings = SearchSettings()
    """How events are found."""

    @field_validator("cameras")
    @classmethod
    def _folders_of_their_own(cls, cameras: dict[str, CameraSettings]) -> dict[str, CameraSettings]:
        folders: dict[str, str] = {}
        for name in cameras:
            if is_reserved(name):
                raise ValueError(f"a camera can't be named {name!r}: Windows can't have a folder of that name")
            if (twin := folders.setdefault(name.casefold(), name)) != name:
                raise ValueError(
                    f"{twin!r} and {name!r} would have one folder on macOS and Windows; rename one of them"
                )
        return cameras

    @field_validator("database")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        if not re.match(r"^(sqlite|postgresql|postgres|mysql|mariadb)(\+\w+)?://", url.get_secret_value()):
            raise ValueError("must be an address like sqlite:///amiss.db or postgresql+psycopg://user@host/name")
        return url
