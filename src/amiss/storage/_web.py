"""Web servers: how long they may be silent, and where they may lead."""

import asyncio
import errno
import ipaddress
import socket
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

_SILENT_S = 30.0  # without one byte of an answer


class LedAwayError(PermissionError):
    """A server answers that the file is somewhere else, where it may not lead."""


def client_options() -> dict[str, Any]:
    """What aiohttp's sessions are made with."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_on_redirect)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SILENT_S, sock_read=_SILENT_S)
    return {"timeout": timeout, "trace_configs": [trace]}


async def _on_redirect(_: object, __: object, told: aiohttp.TraceRequestRedirectParams) -> None:
    """Follow a server to others, but not into a network that only this machine sees.

    Raises:
        LedAwayError: it leads there.
    """
    here = urlsplit(str(told.url))
    there = urlsplit(urljoin(str(told.url), told.response.headers.get("Location", "")))
    if there.hostname is None or there.hostname == here.hostname:
        return
    found = await asyncio.get_running_loop().getaddrinfo(there.hostname, None, type=socket.SOCK_STREAM)
    if not all(ipaddress.ip_address(str(address[4][0]).partition("%")[0]).is_global for address in found):
        raise LedAwayError(errno.EACCES, "led into a private network")
