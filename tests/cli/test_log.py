"""The log of a service: bounded, and without passwords."""

import logging

import pytest

from amiss.cli._log import logging_to_stderr


def test_a_message_without_end_is_left_out_and_others_pass(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log, other = logging.getLogger("amiss.watch"), logging.getLogger("asyncio")
    with logging_to_stderr():
        for i in range(300):
            log.error("can't open rtsp://user:sesame@192.0.2.7/: %s", "too many open files")
            other.error("socket.accept() out of system resource", exc_info=i % 2 == 0)
            log.info("%d", i)
        now[0] += 61
        log.error("can't open rtsp://user:sesame@192.0.2.7/: %s", "too many open files")
    lines = capsys.readouterr().err.splitlines()
    opening = [line for line in lines if "can't open rtsp://***@192.0.2.7/: too many open files" in line]
    assert len(opening) == 11
    assert [line.endswith("(further ones like this within a minute are left out)") for line in opening].index(True) == 9
    assert sum("out of system resource" in line for line in lines) == 10
    assert sum(line.endswith(f"INFO    {i}") for i, line in zip(range(300), lines[20:], strict=False)) > 0
    assert not any("sesame" in line for line in lines)
