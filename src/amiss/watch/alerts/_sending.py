"""One attempt to send an alert, which ends in time whatever the other side does.

A timeout for each read is not enough: a server that sends a byte a second, or an interim answer for ever, never runs
into it. So an attempt has a thread of its own. When its time is over, all connections that this thread has made are
shut, and it can make no more: nothing is delivered after that. Channels and the libraries below them need no part in
this, as Python tells of every connection of a socket (`sys.addaudithook`, the event socket.connect).
"""

import functools
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

from amiss.errors import AlertError
from amiss.watch.alerts._channels import Alert, Channel
from amiss.watch.config import SEND_S

_GRACE_S = 2.0  # for a thread whose connections were shut

_of_thread = threading.local()


@functools.cache
def _watch_connections() -> None:
    sys.addaudithook(_on_event)  # for the rest of the process: there is no way to remove one


def _on_event(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and (sending := getattr(_of_thread, "sending", None)) is not None:
        sending.connects(args[0])


class Sending:
    """An attempt, begun at once.

    What a channel does in threads of its own, or in a library that doesn't use Python's sockets, isn't cut off. Such an
    attempt is still given up in time; `is_alive` says that it goes on.
    """

    def __init__(self, channel: Channel, alert: Alert) -> None:
        _watch_connections()
        self.alert = alert
        self.was_taken = False
        self._timeout_s: float = getattr(channel, "timeout_s", SEND_S)  # a channel of others may not have one
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []  # copies: the channel's own may change hands, or be wrapped in TLS
        self._is_over = self._was_cut = False
        self._thread = threading.Thread(
            target=self._send, args=(channel,), name=f"amiss-sending-{channel.name}", daemon=True
        )
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the channel is still at it."""
        return self._thread.is_alive()

    def wait(self) -> None:
        """Return when the alert was taken.

        Raises:
            AlertError: it was not, or not in time.
            BaseException: whatever else the channel's code raised.
        """
        self._thread.join(self._timeout_s)
        if is_late := self._end():
            self._thread.join(_GRACE_S)
        if self.was_taken:
            return
        if is_late or self._error is None:
            raise AlertError(f"not taken within {self._timeout_s:g} s: the attempt was cut off")
        raise self._error

    def connects(self, connection: socket.socket) -> None:
        """Remember a connection that this attempt makes.

        Raises:
            TimeoutError: its time is over.
        """
        with self._lock:
            if self._is_over:
                raise TimeoutError("the time of this attempt is over")
            copy = socket.dup(connection.fileno())
            self._connections.append(socket.socket(connection.family, connection.type, connection.proto, copy))

    def _send(self, channel: Channel) -> None:
        _of_thread.sending = self
        try:
            channel.send(self.alert)
            with self._lock:
                self.was_taken = not self._was_cut  # a yes may be half of an answer
        except BaseException as error:  # for the one who waits
            self._error = error

    def _end(self) -> bool:
        """Let go of the connections, shut those that are still needed; returns whether the attempt is late."""
        with self._lock:
            is_late = self.is_alive and not self.was_taken
            self._is_over, self._was_cut = True, is_late and bool(self._connections)
            for connection in self._connections:
                if is_late:
                    with suppress(OSError):  # the other side may have ended it
                        connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            self._connections.clear()
        return is_late
