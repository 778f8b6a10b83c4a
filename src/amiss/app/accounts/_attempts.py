"""How often logins may fail: by address, and by name, whoever tries."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

WITHIN_S = 900.0
BY_ADDRESS, BY_NAME = 10, 50
_MAX_KNOWN = 20_000  # addresses and names that are remembered; the oldest go


class Attempts:
    """Counts failures of the last quarter of an hour.

    Failures count by address (of IPv6 by network) and by name. Names have more room: who tries from many addresses is
    stopped, and a single one can't lock another's name.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, address: str, name: str) -> float:
        """Count an attempt, which has failed until it `succeeded`: those that run at once count, too.

        Returns:
            Seconds until one is allowed; 0: this one is.
        """
        now = self._clock()
        with self._lock:
            wait_s = max(self._wait(key, most, now) for key, most in _keys(address, name))
            if wait_s > 0:
                return wait_s
            for key, most in _keys(address, name):
                recent = [then for then in self._failures.pop(key, []) if now - then < WITHIN_S]
                self._failures[key] = [*recent, now][-most:]
            while len(self._failures) > _MAX_KNOWN:
                self._failures.popitem(last=False)
        return 0.0

    def succeeded(self, address: str, name: str) -> None:
        """Forget what failed from this address, and that this attempt of the name was counted."""
        by_address, by_name = (key for key, _ in _keys(address, name))
        with self._lock:
            self._failures.pop(by_address, None)
            if self._failures.get(by_name):
                self._failures[by_name].pop()

    def _wait(self, key: tuple[str, str], most: int, now: float) -> float:
        recent = [then for then in self._failures.get(key, []) if now - then < WITHIN_S]
        return recent[-most] + WITHIN_S - now if len(recent) >= most else 0.0


def _keys(address: str, name: str) -> tuple[tuple[tuple[str, str], int], ...]:
    return (("address", _network(address)), BY_ADDRESS), (("name", name), BY_NAME)


def _network(address: str) -> str:
    """Of IPv6 the network of 64 bits, which one client has to itself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(int(parsed) >> 64)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
