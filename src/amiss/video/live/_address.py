"""Addresses of live sources, checked and taken apart."""

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote_to_bytes

from amiss.errors import UsageError
from amiss.video._redact import redact

Kind = Literal["network", "device", "replay", "folder"]
NETWORK = ("rtsp", "rtsps", "http", "https")
FORMS = "rtsp://…, rtsps://…, http://…, https://…, device:0, replay:FILE[?loop=1&speed=1], folder:DIR"


@dataclass(frozen=True)
class Address:
    """A checked address of a camera."""

    kind: Kind
    where: str
    """What libav opens, or the folder."""
    shown: str
    """Without credentials, for people."""
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    """For libav."""
    loop: bool = False
    speed: float = 1.0


def parse_address(url: str, transport: str = "tcp") -> Address:
    """Take an address apart.

    Raises:
        UsageError: of no known form; the message has no credentials.
    """
    shown = redact(url)
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme in NETWORK and rest.startswith("//") and len(rest) > 2:
        if any(c.isspace() or c in '"<>' or not c.isprintable() for c in url):
            raise UsageError(f"{shown}: an address has no blanks, quotes or brackets; write them as %20, %22, …")
        if transport not in ("tcp", "udp"):
            raise UsageError(f"transport is {transport!r}; allowed are 'tcp' and 'udp'")
        return Address("network", url, shown, None, _network_options(scheme, transport))
    if scheme == "device" and rest:
        return _device(rest, shown)
    if url.startswith("/dev/"):
        return _device(url, shown)
    if scheme == "replay" and rest:
        return _replay(rest, shown)
    if scheme == "folder" and rest:
        return Address("folder", rest, shown)
    raise UsageError(f"{shown!r} is no address of a camera; known forms are {FORMS}")


def _network_options(scheme: str, transport: str) -> dict[str, str]:
    # A stream (an HLS playlist, a redirect) must not make libav read local files.
    if scheme in ("http", "https"):
        return {"protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto,data"}
    return {
        "rtsp_transport": transport,
        "allowed_media_types": "video",
        "protocol_whitelist": "rtsp,rtsps,rtp,udp,tcp,tls,crypto,http,https",
    }


def _device(name: str, shown: str) -> Address:
    if platform.system() == "Linux":
        return Address("device", f"/dev/video{name}" if name.isdigit() else name, shown, "v4l2")
    if platform.system() == "Darwin":
        return Address("device", f"{name}:none", shown, "avfoundation", {"framerate": "30"})
    return Address("device", name if name.startswith("video=") else f"video={name}", shown, "dshow")


def _replay(rest: str, shown: str) -> Address:
    path, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    loop, speed = options.pop("loop", "0"), options.pop("speed", "1")
    try:
        speed_x = float(speed)
    except ValueError:
        speed_x = -1.0
    if options or loop not in ("0", "1") or not 0 <= speed_x < float("inf"):
        raise UsageError(f"{shown}: after the ? come loop=0|1 and speed=NUMBER (0: as fast as it can be scored)")
    path = path.removeprefix("//") if path.startswith("///") else path
    if "%" in path and not Path(path).exists():
        path = os.fsdecode(unquote_to_bytes(os.fsencode(path)))  # a name may be no text
    return Address("replay", path, shown, loop=loop == "1", speed=speed_x)
