"""The log on stderr: without passwords, and bounded however often a thing goes wrong."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

_MOST, _WITHIN_S = 10, 60.0  # of one message
_MAX_KNOWN = 1000  # messages whose number is kept


class _Redacted(logging.Formatter):
    """The last net: whatever is logged, by whomever, shows no password."""

    def format(self, record: logging.LogRecord) -> str:
        from amiss.video import redact

        return redact(super().format(record))


class _Repeats(logging.Filter):
    """Of one and the same message only the first few of a minute pass; the last of them says so."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}  # message → since when, how often

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if len(self._seen) > _MAX_KNOWN:
            self._seen = {key: seen for key, seen in self._seen.items() if now - seen[0] < _WITHIN_S}
        text = record.getMessage()
        since, n = self._seen.get((record.name, text), (now, 0))
        if now - since >= _WITHIN_S:
            since, n = now, 0
        self._seen[record.name, text] = (since, n + 1)
        if n + 1 == _MOST:
            record.msg, record.args = f"{text} (further ones like this within a minute are left out)", ()
        return n < _MOST


@contextmanager
def logging_to_stderr() -> Iterator[None]:
    """In here, amiss's log from INFO on, and warnings of others, go to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacted("%(asctime)s %(levelname)-7s %(message)s"))
    handler.addFilter(_Repeats())
    root, own = logging.getLogger(), logging.getLogger("amiss")
    level = own.level
    root.addHandler(handler)
    own.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        own.setLevel(level)
