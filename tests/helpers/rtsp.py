"""GStreamer's RTSP server as a process of the system's python3."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from helpers import ROOT
from helpers.streams import free_port

SYSTEM_PYTHON = "/usr/bin/python3"
NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
PASSWORD = "p@ss/w:rd"


def need_rtsp_server() -> None:
    """Skips the test where there is none."""
    if not shutil.which(SYSTEM_PYTHON) or subprocess.run([SYSTEM_PYTHON, "-c", NEEDS], capture_output=True).returncode:
        pytest.skip("GStreamer's RTSP server is missing (apt: gir1.2-gst-rtsp-server-1.0 python3-gi)")


class RtspServer:
    """Plays a file as `yard`; it can be killed and started again on its port."""

    def __init__(self, clip: Path) -> None:
        self.port = free_port()
        self._command = [SYSTEM_PYTHON, str(ROOT / "tests/helpers/rtsp_server.py"), str(self.port), f"yard={clip}",
                         "--user", f"guard:{PASSWORD}"]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"rtsp://guard:p%40ss%2Fw%3Ard@127.0.0.1:{self.port}/yard"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def signal(self, name: int) -> None:
        assert self._process is not None
        self._process.send_signal(name)
