"""The processes that decode for this one."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from amiss.reading.apart import _process


def children() -> set[int]:
    """Ids of the workers of this process."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"amiss.reading.apart" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:  # it ended just now
            continue
    return found


def idle() -> set[int]:
    """Those of them that wait for a file."""
    return {worker.process.pid for worker in _process._idle}


def send(number: int, pids: Iterable[int]) -> list[int]:
    """Send a signal to processes; those that got it, as one may have ended by itself just now."""
    reached = []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            reached.append(pid)
    return reached
