"""Half a minute of the soak, so that the command itself is known to work; the real one takes an hour and more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")

from helpers import ROOT


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="asks the system how large a process is")
def test_a_short_soak_keeps_all_promises(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/watch.py"), "soak", "--hours", "0.01", "--out", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    result = json.loads((tmp_path / "soak.json").read_text())
    assert result["broken"] == []
    assert result["n_faults"] > 0
    assert result["scores"].keys() >= {"yard", "gate", "hall"}
    assert "0 promises broken" in ran.stdout
