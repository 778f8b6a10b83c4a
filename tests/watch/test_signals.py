"""Signals of other systems, under names that this one has."""

import subprocess
import sys

import pytest

# In a process of its own: a signal that comes when its handler is gone would end all tests.
PROGRAM = """
import signal
from types import SimpleNamespace

from amiss.cli._watch import signals

asked = []
service = SimpleNamespace(ask_to_stop=lambda: asked.append("stop"), ask_to_reload=lambda: asked.append("reload"))
before = signal.getsignal(signal.SIGUSR2)
with signals(service):
    signal.raise_signal(signal.SIGHUP)
signal.SIGBREAK = signal.SIGUSR2
del signal.SIGHUP
with signals(service):
    for number in (signal.SIGUSR2, signal.SIGTERM):
        signal.raise_signal(number)
assert asked == ["reload", "stop", "stop"], asked
assert signal.getsignal(signal.SIGUSR2) is before
"""


@pytest.mark.skipif(sys.platform == "win32", reason="stands in for Windows")
def test_windows_has_no_sighup_and_stops_at_ctrl_break() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
