"""The dispatcher: carries the outbox to the channels, one thread per channel, so that a slow one holds up no other."""

import logging
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from amiss.errors import AlertError, StoreError
from amiss.video import Backoff
from amiss.watch._outage import OutageNews
from amiss.watch.alerts._channels import Alert, Channel
from amiss.watch.alerts._sending import Sending
from amiss.watch.config import EXPIRE_S
from amiss.watch.store import MAX_DELAY_S, Claim, DeliveryState, Store

log = logging.getLogger("amiss.watch.alerts")

_POLL_S = 2.0  # another process on the same database may have made deliveries
_HOUSEKEEPING_S = 600.0
_ENOUGH_ATTEMPTS = 10


def least_attempts(backoff: Backoff, expire_s: float) -> int:
    """Attempts before an alert may expire: half of those that fit into its time, ten at most.

    Its age alone doesn't do: a machine without a battery clock starts in the past and then jumps ahead.
    """
    total_s, attempts = 0.0, 1
    while total_s < expire_s and attempts < 2 * _ENOUGH_ATTEMPTS:
        total_s += max(1.0, backoff.wait_s(attempts, lambda: 0.5))
        attempts += 1
    return max(1, attempts // 2)


@dataclass(frozen=True)
class _Outcome:
    """How an attempt ended, until the database has it."""

    key: str
    state: DeliveryState  # pending: again later
    error: str | None
    delay_s: float = 0.0


class Dispatcher:
    """Sends what is due, again until taken, refused for good, or too old.

    An alert is sent at least once; a second time only if the process died (or the database was lost) between the
    channel's yes and its record, and then with the same key.

    Args:
        store: Where the outbox is.
        channels: By name; see `Channel`.
        media: The media folder, for snapshots; None = send none.
        link: Address of an event's page with `{event_id}` in it; None = no links.
        backoff: Time between attempts; None = 5 s, then twice as long each, up to 10 minutes.
    """

    def __init__(
        self,
        store: Store,
        channels: Sequence[Channel],
        *,
        media: Path | None = None,
        link: str | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._store = store
        self._channels: Mapping[str, Channel] = {channel.name: channel for channel in channels}
        self._media = media
        self._link = link
        self._backoff = backoff or Backoff(first_s=5, cap_s=MAX_DELAY_S, jitter=0.2)
        self._unrecorded: dict[str, _Outcome] = {}  # channel → what the database doesn't have yet
        self._stuck: dict[str, Sending] = {}  # channel → what can't be cut off
        self._tidying = threading.Lock()
        self._next_tidying = 0.0
        self._stop = threading.Event()
        self._wake = {name: threading.Event() for name in self._channels}
        self._idle = {name: threading.Event() for name in self._channels}
        self._threads = [
            threading.Thread(target=self._work, args=(name,), name=f"amiss-alerts-{name}", daemon=True)
            for name in self._channels
        ]
        store.on_deliveries = self.wake

    def start(self) -> None:
        """Open the channels and start sending in the background."""
        for channel in self._channels.values():
            channel.open()
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look at once."""
        for name, event in self._wake.items():
            self._idle[name].clear()
            event.set()

    def run_once(self) -> int:
        """Send what is due now, in this thread; returns the number of attempts.

        Raises:
            StoreError: the database can't be had.
        """
        return sum(self._send_due(name) for name in self._channels)

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is due (what waits for its next attempt isn't); False where it takes longer."""
        self.wake()
        deadline = time.monotonic() + timeout_s
        return all(idle.wait(max(0.0, deadline - time.monotonic())) for idle in self._idle.values())

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop after the sends that are under way, for at most `timeout_s`; what is due stays in the outbox."""
        self._stop.set()
        self.wake()
        if self._store.on_deliveries == self.wake:
            self._store.on_deliveries = None
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        for channel in self._channels.values():
            channel.close()

    def _work(self, name: str) -> None:
        said = False
        while not self._stop.is_set() or name in self._unrecorded:  # what was sent must be known, also after a reload
            self._wake[name].clear()
            try:
                self._send_due(name)
            except StoreError as error:
                if not said:
                    log.error("alerts to %s wait: %s", name, error)
                said = True
            except Exception:  # a fault of ours must not end the alerts of a channel
                log.exception("sending to %s failed in an unforeseen way; it goes on", name)
            else:
                said = False
                if not self._wake[name].is_set():
                    self._idle[name].set()
            self._wake[name].wait(_POLL_S)

    def _send_due(self, name: str) -> int:
        count = 0
        self._tidy()
        self._record(name)
        outbox = self._store.outbox
        while not self._stop.is_set() and not self._is_stuck(name):
            if (claimed := outbox.claim(name, datetime.now(UTC))) is None:
                break
            count += 1
            self._unrecorded[name] = self._attempt(self._channels[name], claimed)
            self._record(name)
        return count

    def _is_stuck(self, name: str) -> bool:
        """Whether an attempt goes on that was given up. Where it did end well, the alert isn't sent again."""
        stuck = self._stuck.get(name)
        if stuck is None or stuck.is_alive:
            return stuck is not None
        del self._stuck[name]
        if stuck.was_taken:
            self._unrecorded[name] = _Outcome(stuck.alert.key, "sent", None)
            self._record(name)
        return False

    def _tidy(self) -> None:
        """What no configured channel will ever take expires."""
        with self._tidying:
            if time.monotonic() < self._next_tidying:
                return
            now = datetime.now(UTC)
            self._store.outbox.expire_unknown(tuple(self._channels), now - timedelta(seconds=EXPIRE_S), now)
            self._next_tidying = time.monotonic() + _HOUSEKEEPING_S

    def _alert(self, claimed: Claim) -> Alert:
        delivery, event = claimed.delivery, claimed.event
        if isinstance(event, OutageNews):
            return Alert(delivery.key, delivery.rule, event)
        snapshot = self._media / event.snapshot if self._media is not None and event.snapshot is not None else None
        if snapshot is not None and not snapshot.is_file():
            snapshot = None
            event = replace(event, problem="; ".join(filter(None, (event.problem, "the snapshot is gone"))))
        link = self._link.replace("{event_id}", event.event_id) if self._link else None
        return Alert(delivery.key, delivery.rule, event, link, snapshot)

    def _attempt(self, channel: Channel, claimed: Claim) -> _Outcome:
        alert, attempts = self._alert(claimed), claimed.delivery.attempts
        too_old = datetime.now(UTC) >= claimed.delivery.created + timedelta(seconds=channel.expire_s)
        sending: Sending | None = None
        try:
            sending = Sending(channel, alert)  # fails where no thread can be started
            sending.wait()
            outcome = _Outcome(alert.key, "sent", None)
        except AlertError as error:
            outcome = _Outcome(alert.key, "failed" if error.permanent else "pending", str(error))
        except (Exception, SystemExit) as error:  # a fault of the channel's code: the alert is tried again
            # where, but not what it said: that may hold the channel's password
            where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
            log.error("channel %s failed in an unforeseen way: %s\n%s", channel.name, type(error).__name__, where)
            outcome = _Outcome(alert.key, "pending", f"unforeseen: {type(error).__name__}")
        if sending is not None and sending.is_alive:
            self._stuck[channel.name] = sending
            log.error("channel %s: an attempt can't be cut off; nothing is sent there until it ends", channel.name)
        if outcome.state == "pending":
            if too_old and attempts >= least_attempts(self._backoff, channel.expire_s):
                outcome = replace(outcome, state="expired")
            else:
                outcome = replace(outcome, delay_s=min(self._backoff.wait_s(attempts), MAX_DELAY_S))
        if outcome.state != "sent":
            log.warning("alert %s about %s to %s: attempt %d, %s: %s", alert.key, alert.event.camera, channel.name,
                        attempts, outcome.state, outcome.error)  # fmt: skip
        return outcome

    def _record(self, name: str) -> None:
        """Write how the last attempt ended. Until that is done nothing more is sent: it would be sent twice."""
        outcome = self._unrecorded.get(name)
        if outcome is None:
            return
        now = datetime.now(UTC)
        outbox = self._store.outbox
        if outcome.state == "pending":
            outbox.postpone(outcome.key, now + timedelta(seconds=outcome.delay_s), outcome.error or "")
        else:
            outbox.finish(outcome.key, outcome.state, outcome.error, now)
        del self._unrecorded[name]
