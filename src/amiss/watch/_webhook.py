"""An HTTP POST of the alert as JSON, to an address that was checked.

Not Apprise's `json://`: that one carries a title and a text where a receiver wants the event, says only that it failed
where we must know whether trying again can help, and resolves the name by itself, after any check of the address.
"""

import http.client
import ipaddress
import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from amiss._version import __version__
from amiss.errors import AlertError, UsageError
from amiss.watch._channels import EXPIRE_S, Alert

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TIMEOUT_S = 15.0
_AGAIN_LATER = {401, 403, 404, 405, 408, 423, 425, 429}  # of the 4xx, those that somebody may mend
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class WebhookChannel:
    """Posts to an http:// or https:// URL. Redirects aren't followed; private addresses must be listed.

    The header `Idempotency-Key` is the same for every attempt, so a receiver can tell a second one.

    Args:
        name: The channel's name.
        url: Where to; a user and password in it become basic authentication.
        headers: Further headers, such as Authorization.
        allow_private: Networks (CIDR) of private, loopback and link-local addresses that it may go to.
        expire_s: See `Channel`.

    Raises:
        UsageError: the URL or a network can't be read.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        allow_private: Sequence[str] = (),
        expire_s: float = EXPIRE_S,
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise UsageError(f"channel {name}: the URL can't be read") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"channel {name}: a webhook's URL begins with http:// or https:// and has a host")
        self.name = name
        self.expire_s = expire_s
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = port or (443 if self._secure else 80)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json", "User-Agent": f"amiss/{__version__}", **(headers or {})}
        if parts.username is not None:
            self._headers["Authorization"] = _basic(parts.username, parts.password or "")
        self._allowed = [_network(name, text) for text in allow_private]

    def send(self, alert: Alert) -> None:
        """See `Channel.send`."""
        body = json.dumps(alert.json()).encode()
        headers = {**self._headers, "Idempotency-Key": alert.key}
        try:
            connection = self._connect()
            try:
                connection.request("POST", self._target, body, headers)
                status = connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise AlertError(f"{self._host}: {error or type(error).__name__}") from None
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise AlertError(f"{self._host} answered {status}: redirects aren't followed, give the final URL")
        raise AlertError(
            f"{self._host} answered {status}", permanent=400 <= status < 500 and status not in _AGAIN_LATER
        )  # fmt: skip

    def close(self) -> None:
        """Nothing is kept open."""

    def _connect(self) -> http.client.HTTPConnection:
        """Connected to an address that was checked, so that no second look-up can lead elsewhere."""
        address = self._address()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        plain = socket.create_connection((address, self._port), TIMEOUT_S)
        try:
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(plain, server_hostname=self._host) if self._secure else plain
        except BaseException:
            plain.close()
            raise
        return connection

    def _address(self) -> str:
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
        for address in addresses:
            if self._may_go_to(ipaddress.ip_address(address)):
                return address
        raise AlertError(
            f"{self._host} is at a private address ({addresses[0]}); list its network in allow_private if that is meant"
        )

    def _may_go_to(self, address: Address) -> bool:
        address = embedded_v4(address)
        if any(address in network for network in self._allowed):
            return True
        return address.is_global and not address.is_multicast


def embedded_v4(address: Address) -> Address:
    """The IPv4 address inside a mapped, 6to4 or NAT64 one, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _network(name: str, text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"channel {name}: allow_private has {text!r}; networks look like 192.168.1.0/24") from None


def _basic(user: str, password: str) -> str:
    from base64 import b64encode
    from urllib.parse import unquote

    return "Basic " + b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
