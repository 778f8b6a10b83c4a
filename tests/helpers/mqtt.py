"""An MQTT broker, and a subscriber to everything."""

import queue
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.streams import free_port
from helpers.waiting import wait_until


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Starts mosquitto, again after a stop; returns its port."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("no mosquitto")
    pytest.importorskip("paho.mqtt.client", reason="needs amiss[mqtt]")
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    running: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        if running:
            stop(running.pop())
        running.append(subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_until(lambda: can_connect(port))
        return port

    yield start
    for process in running:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Listener:
    """A subscriber to everything."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages: queue.Queue[tuple[str, str, bool]] = queue.Queue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = lambda _, __, m: self.messages.put((m.topic, m.payload.decode(), m.retain))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("#", qos=1)
        assert subscribed.wait(10)

    def next(self, topic: str) -> tuple[str, bool]:
        """Payload and retain flag of the next message on a topic; others are passed over."""
        while True:
            seen, payload, retained = self.messages.get(timeout=10)
            if seen == topic:
                return payload, retained

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
