"""Where cameras and servers of messages may be that are added in the application.

Cameras: in the network, not in this machine or its cloud's services. Servers of messages: outside of it. The
configuration file may name any address: who writes it has this machine. Who uses the application need not.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from amiss.errors import UsageError
from amiss.watch.config import WebhookAddress, embedded_v4

SCHEMES = ("rtsp", "rtsps", "http", "https")
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_REDIRECT_S = 5.0
_ANYWHERE = ("0.0.0.0/0", "::/0")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_camera_address(url: str, allowed: Sequence[str]) -> None:
    """Refuse an address that a user of the application may not have read.

    Every address of its host must be one of a network: not loopback, not link-local (where clouds keep their keys),
    not multicast, also not in a form of IPv6 that holds such a one. Web servers that lead elsewhere are refused.

    Args:
        url: rtsp, rtsps, http or https.
        allowed: networks (CIDR) that are allowed all the same.

    Raises:
        UsageError: it is none, its host has no address, or it may not be read.
    """
    parts = _parts(url)
    found = _look_up(parts)
    for address in found:
        if not _may_be_read(address, allowed):
            raise UsageError(
                f"{parts.hostname} is at {address}, in this machine or next to it: cameras at such addresses are added "
                "in the configuration file, or list the network in http.allow_cameras_at"
            )
    if parts.scheme in ("http", "https") and (elsewhere := _leads_to(parts, found[0])):
        raise UsageError(f"it leads to {elsewhere}: give that address, if it is meant")


def check_message_server(url: str) -> None:
    """Refuse a server that messages of a channel made in the application may not go to.

    Every address of its host must be a public one. A name that can't be looked up now is taken.

    Args:
        url: https.

    Raises:
        UsageError: it is none, or may not be gone to.
    """
    server, found = WebhookAddress(url, _ANYWHERE), list[Address]()
    with suppress(OSError, UnicodeError):
        found = _addresses_of(server.host, server.port)
    for address in map(embedded_v4, found):
        if not address.is_global or address.is_multicast:
            raise UsageError(
                f"{server.host} is at {address}, in this network: channels with such a server are added in the "
                "configuration file"
            )


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        known = parts.scheme in SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known or not re.fullmatch(r"[!-~]+", url) or "\\" in url:
        raise UsageError(f"a camera's address begins with {', '.join(f'{s}://' for s in SCHEMES)} and has a host")
    return parts


def _look_up(parts: SplitResult) -> list[Address]:
    try:
        return _addresses_of(parts.hostname, parts.port or _PORTS[parts.scheme])
    except (OSError, UnicodeError):
        raise UsageError(f"there is no host {parts.hostname}") from None


def _addresses_of(host: str | None, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _may_be_read(address: Address, allowed: Sequence[str]) -> bool:
    address = embedded_v4(address)
    if any(address in ipaddress.ip_network(network, strict=False) for network in allowed):
        return True
    is_own = address.is_loopback or address.is_link_local or address.is_unspecified
    is_shared = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return not (is_own or is_shared or address.is_multicast or address.is_reserved)


def _leads_to(parts: SplitResult, address: Address) -> str | None:
    """Where a web server sends who asks; None: nowhere, or it doesn't answer now."""
    port = parts.port or _PORTS[parts.scheme]
    with suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(parts.hostname or "", port, timeout=_REDIRECT_S)
        plain = socket.create_connection((str(address), port), _REDIRECT_S)
        try:
            connection.sock = _with_tls(plain, parts.hostname) if parts.scheme == "https" else plain
            connection.request("GET", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}")
            answer = connection.getresponse()
            if 300 <= answer.status < 400:
                return urlsplit(answer.headers.get("Location", "")).hostname or "another address"
        finally:
            plain.close()
            connection.close()
    return None


def _with_tls(plain: socket.socket, host: str | None) -> socket.socket:
    """Cameras sign their own certificates: who answers isn't checked here, nor told anything."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=host)
