"""An HTTP POST of the alert as JSON, to an address that was checked.

Not Apprise's `json://`: that one carries a title and a text where a receiver wants the event, says only that it failed
where we must know whether trying again can help, and resolves the name by itself, after any check of the address.
"""

import http.client
import json
import socket
import ssl
from ipaddress import ip_address

from amiss._version import __version__
from amiss.errors import AlertError, UsageError
from amiss.watch.alerts._channels import Alert
from amiss.watch.config import WebhookSettings

TIMEOUT_S = 15.0
_AGAIN_LATER = {401, 403, 404, 405, 408, 423, 425, 429}  # of the 4xx, those that somebody may mend


class WebhookChannel:
    """Posts to an http:// or https:// URL. Redirects aren't followed; private addresses must be listed.

    The header `Idempotency-Key` is the same for every attempt, so a receiver can tell a second one.

    A user and password in the URL become basic authentication.
    """

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        self.name = name
        self.expire_s = settings.expire_s
        self.timeout_s = settings.timeout_s
        self._address = settings.address()
        self._headers = {"Content-Type": "application/json", "User-Agent": f"amiss/{__version__}"}
        self._headers |= {header: value.get_secret_value() for header, value in settings.headers.items()}
        if self._address.authorization is not None:
            self._headers["Authorization"] = self._address.authorization

    def open(self) -> None:
        """Nothing is kept open."""

    def send(self, alert: Alert) -> None:
        """See `Channel.send`."""
        body = json.dumps(alert.json()).encode()
        headers = {**self._headers, "Idempotency-Key": alert.key}
        host = self._address.host
        try:
            connection = self._connect()
            try:
                connection.request("POST", self._address.target, body, headers)
                status = connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise AlertError(f"{host}: {error or type(error).__name__}") from None
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise AlertError(f"{host} answered {status}: redirects aren't followed, give the final URL")
        raise AlertError(f"{host} answered {status}", permanent=400 <= status < 500 and status not in _AGAIN_LATER)

    def close(self) -> None:
        """Nothing is kept open."""

    def _connect(self) -> http.client.HTTPConnection:
        """Connected to an address that was checked, so that no second look-up can lead elsewhere."""
        host, port = self._address.host, self._address.port
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        plain = socket.create_connection((self._look_up(), port), TIMEOUT_S)
        try:
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(plain, server_hostname=host) if self._address.secure else plain
        except BaseException:
            plain.close()
            raise
        return connection

    def _look_up(self) -> str:
        found = socket.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM)
        try:
            return str(self._address.choose([ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]))
        except UsageError as error:
            raise AlertError(str(error)) from None
