"""Takes packets from a connection as soon as they come, so that it is known what waits, and since when."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from amiss.video.live._errors import LostError

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

MOST_BYTES = 64 << 20  # that may wait
MOST_S = 10.0  # what waits for longer keeps the rest on the network, as far as that holds it


class Arrived(NamedTuple):
    """A packet, and when it came."""

    packet: "Packet[VideoStream]"
    at_s: float
    """On this machine's `time.monotonic()`."""


class PacketReceiver:
    """Reads one connection in a thread of its own, which begins and ends with the `with` block.

    The block's end waits for a read that is under way: at most the connection's timeout.

    Args:
        packets: of the connection; where it raises, `next` does, when all that came before is taken.
        stream: index of the stream whose packets count.
    """

    def __init__(self, packets: "Iterator[Packet[VideoStream]]", stream: int) -> None:
        self._packets, self._stream = packets, stream
        self._waiting: deque[Arrived] = deque()
        self._n_bytes = 0
        self._taken_s: float | None = None  # when the packet that is being worked on came
        self._end: Exception | None = None
        self._is_left = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="amiss-receive", daemon=True)
        self.heard_s = time.monotonic()
        """When anything came last."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_left = True
            self._changed.notify_all()
        self._thread.join()
        self._waiting.clear()
        self._taken_s = None

    def next(self, timeout_s: float) -> Arrived | None:
        """The oldest packet; None if none comes within `timeout_s`.

        Raises:
            LostError: nothing more comes.
        """
        with self._changed:
            self._taken_s = None
            self._changed.wait_for(lambda: self._waiting or self._end is not None, timeout_s)
            if self._waiting:
                arrived = self._waiting.popleft()
                self._n_bytes -= arrived.packet.size
                self._taken_s = arrived.at_s
                self._changed.notify_all()
                return arrived
            if self._end is not None:
                raise self._end
            return None

    @property
    def waiting_s(self) -> float:
        """For how long the oldest packet that came has been waiting, the one that is being worked on included."""
        with suppress(IndexError):
            since_s = self._taken_s if self._taken_s is not None else self._waiting[0].at_s
            return max(0.0, time.monotonic() - since_s)
        return 0.0

    def _has_room(self) -> bool:
        return not self._waiting or (self._n_bytes < MOST_BYTES and time.monotonic() - self._waiting[0].at_s < MOST_S)

    def _run(self) -> None:
        end: Exception = LostError("the stream ended")
        try:
            for packet in self._packets:
                self.heard_s = time.monotonic()
                with self._changed:
                    if packet.stream_index == self._stream and packet.size:
                        self._changed.wait_for(lambda: self._is_left or self._has_room())
                        self._waiting.append(Arrived(packet, self.heard_s))
                        self._n_bytes += packet.size
                        self._changed.notify_all()
                    if self._is_left:
                        return
        except Exception as error:
            end = error
        with self._changed:
            self._end = end
            self._changed.notify_all()
