"""Signals of other systems, under names that this one has."""

import signal
import sys
from types import SimpleNamespace

import pytest

from amiss.cli._watch import _signals


@pytest.mark.skipif(sys.platform == "win32", reason="stands in for Windows")
def test_windows_has_no_sighup_and_stops_at_ctrl_break(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    service = SimpleNamespace(ask_to_stop=lambda: asked.append("stop"), ask_to_reload=lambda: asked.append("reload"))
    before = signal.getsignal(signal.SIGUSR2)
    with _signals(service):  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGHUP)  # in this thread: no other one gets it when the handlers are gone
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR2, raising=False)
    monkeypatch.delattr(signal, "SIGHUP")
    with _signals(service):  # type: ignore[arg-type]
        for number in (signal.SIGUSR2, signal.SIGTERM):
            signal.raise_signal(number)
    assert asked == ["reload", "stop", "stop"]
    assert signal.getsignal(signal.SIGUSR2) is before
