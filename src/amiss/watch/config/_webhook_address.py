"""Where a webhook goes: its URL taken apart, and the private networks that it may reach. Connects nothing."""

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

from amiss.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class WebhookAddress:
    """A checked address.

    Args:
        url: http:// or https://; a user and password in it become basic authentication.
        allow_private: Networks (CIDR) of private, loopback and link-local addresses that it may go to.

    Raises:
        UsageError: the URL or a network can't be read, or the URL names a private address that isn't allowed.
    """

    def __init__(self, url: str, allow_private: Sequence[str] = ()) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
            host = parts.hostname or ""
            host.encode("idna")
        except ValueError:  # among them what can't be a name, such as a..b
            raise UsageError("the URL can't be read: it looks like https://host:port/path") from None
        if parts.scheme not in ("http", "https") or not host:
            raise UsageError("a webhook's URL begins with http:// or https:// and has a host")
        self.secure = parts.scheme == "https"
        self.host = host
        self.port = port or (443 if self.secure else 80)
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if re.search(r"[^!-~]", self.target) or " " in host:
            raise UsageError("the URL has a blank or another character that is written like %20 in URLs")
        self.authorization = None if parts.username is None else _basic(parts.username, parts.password or "")
        self._allowed = [_network(text) for text in allow_private]
        if written := _written(host):  # a name's are known when it is looked up
            self.choose(written)

    def choose(self, addresses: Sequence[Address]) -> Address:
        """The first of the host's addresses that it may go to.

        Raises:
            UsageError: there is none.
        """
        for address in addresses:
            if self._may_go_to(address):
                return address
        raise UsageError(
            f"{self.host} is at a private address ({addresses[0]}); list its network in allow_private if that is meant"
        )

    def _may_go_to(self, address: Address) -> bool:
        address = embedded_v4(address)
        if any(address in network for network in self._allowed):
            return True
        return address.is_global and not address.is_multicast


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises UsageError where a header can't be sent as it is; the message has no value."""
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not re.fullmatch(r"[\t -~\xa0-\xff]*", value):
            raise UsageError(f"the header {name!r} has a character that headers can't have")


def embedded_v4(address: Address) -> Address:
    """The IPv4 address inside a mapped, 6to4 or NAT64 one, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _written(host: str) -> list[Address]:
    """The addresses that a host is without being looked up."""
    if host == "localhost":
        return [ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")]
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        return []


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"allow_private has {text!r}; networks look like 192.168.1.0/24") from None


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
