"""Alerts and states over MQTT, with last will and Home Assistant discovery.

Topics below the prefix (`amiss`):

    availability          online / offline (retained; offline is the last will)
    CAMERA/alert          alerts as JSON, QoS 1; `id` is the idempotency key
    CAMERA/event          newest state of the camera's newest event as JSON (retained)
    CAMERA/alarm          ON while an event is open, else OFF (retained)
    CAMERA/status         connecting, running, stalled, reconnecting, stopped (retained)
"""

import json
import logging
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from amiss._version import __version__
from amiss.errors import AlertError
from amiss.watch._event import CameraEvent, CameraState
from amiss.watch.alerts._channels import Alert
from amiss.watch.config import MqttSettings

log = logging.getLogger("amiss.watch.alerts")

TIMEOUT_S = 15.0
_MOST_REMEMBERED = 1000  # alerts that were published and not acknowledged


class MqttChannel:
    """An MQTT broker. `open` connects in the background and stays connected; alerts wait in the outbox until it is.

    It is a passing visitor, beside a service that says online and offline, until `announce`.
    """

    def __init__(self, name: str, settings: MqttSettings) -> None:
        self.name = name
        self.expire_s = settings.expire_s
        self.timeout_s = settings.timeout_s
        self._broker = f"{settings.host}:{settings.port}"
        self._prefix = settings.prefix.strip("/")
        self._discovery = settings.discovery
        self._cameras: tuple[str, ...] = ()
        self._presence = False
        self._retained: dict[str, str] = {}  # topic → what is said again at every connection
        self._newest: dict[str, str] = {}  # camera → its newest event's id
        self._states = threading.Lock()  # of the two above, and of the moment in which it is connected
        self._sent: dict[str, mqtt.MQTTMessageInfo] = {}
        self._connected = threading.Event()
        self._closing = False
        self._problem = "not connected yet"
        self._address = settings.host, settings.port
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 60)
        self._client.max_queued_messages_set(_MOST_REMEMBERED)
        if settings.username is not None:
            password = settings.password
            self._client.username_pw_set(settings.username, None if password is None else password.get_secret_value())
        if settings.tls:
            self._client.tls_set()
        self._client.on_socket_open = self._on_socket_open
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_offline

    def announce(self, cameras: Sequence[str]) -> None:
        """Say online and offline, and tell of these cameras: called once, before `open`."""
        self._cameras, self._presence = tuple(cameras), True
        # the broker may have forgotten; an alarm of an earlier run is over
        self._retained = {self._topic(camera, "alarm"): "OFF" for camera in cameras}
        self._client.will_set(self._topic("availability"), "offline", qos=1, retain=True)

    def open(self) -> None:
        """See `Channel.open`."""
        self._client.connect_async(*self._address, keepalive=30)
        self._client.loop_start()

    def send(self, alert: Alert) -> None:
        """See `Channel.send`; taken means that the broker acknowledged it."""
        wait_s = min(TIMEOUT_S, self.timeout_s / 2)
        if not self._connected.wait(wait_s):
            raise AlertError(f"MQTT broker {self._broker}: {self._problem}")
        info = self._sent.get(alert.key)
        if info is None:  # an attempt before this one may still be on its way: it isn't published again
            topic = self._topic(alert.event.camera, "alert")
            info = self._client.publish(topic, json.dumps(alert.json()), qos=1)
        try:
            info.wait_for_publish(wait_s)
            taken = info.is_published()
        except (RuntimeError, ValueError) as error:
            self._sent.pop(alert.key, None)
            raise AlertError(f"MQTT broker {self._broker}: {error}") from None
        if not taken:
            self._sent[alert.key] = info
            while len(self._sent) > _MOST_REMEMBERED:
                del self._sent[next(iter(self._sent))]
            raise AlertError(f"MQTT broker {self._broker} acknowledged nothing within {wait_s:g} s")
        self._sent.pop(alert.key, None)

    def publish_event(self, event: CameraEvent) -> None:
        """Show the newest state of a camera's newest event. Best effort: states are repeated at every connection."""
        with self._states:
            if event.state != "open" and event.event_id != self._newest.get(event.camera, event.event_id):
                return  # the clip of an earlier event was completed; not known by its time: clocks are set back
            self._newest[event.camera] = event.event_id
            self._retain(self._topic(event.camera, "event"), json.dumps(event.to_json()))
            self._retain(self._topic(event.camera, "alarm"), "ON" if event.state == "open" else "OFF")

    def publish_state(self, camera: str, state: CameraState) -> None:
        """Show a camera's state. Best effort, see `publish_event`."""
        with self._states:
            self._retain(self._topic(camera, "status"), state)

    def close(self) -> None:
        """Say offline and disconnect."""
        self._closing = True
        if self._connected.is_set() and self._presence:
            said = self._client.publish(self._topic("availability"), "offline", qos=1, retain=True)
            with suppress(RuntimeError, ValueError):
                said.wait_for_publish(2)
        self._client.disconnect()
        self._client.loop_stop()

    def _retain(self, topic: str, payload: str) -> None:
        self._retained[topic] = payload
        if self._connected.is_set():
            self._client.publish(topic, payload, qos=1, retain=True)

    def _on_socket_open(self, client: mqtt.Client, _: Any, __: Any) -> None:
        """A connection that comes about during `close` would hold it up for its keepalive, if no broker answers."""
        if self._closing:
            client.disconnect()

    def _on_connect(self, client: mqtt.Client, _: Any, __: Any, code: Any, ___: Any) -> None:
        if code.is_failure:
            self._problem = f"refused the connection: {code}"
            return
        if self._presence:
            client.publish(self._topic("availability"), "online", qos=1, retain=True)
            client.subscribe(self._topic("availability"), qos=1)
        if self._discovery is not None:
            for camera in self._cameras:
                for topic, config in self._announcements(camera, self._discovery):
                    client.publish(topic, json.dumps(config), qos=1, retain=True)
        with self._states:
            for topic, payload in self._retained.items():
                client.publish(topic, payload, qos=1, retain=True)
            self._connected.set()

    def _on_offline(self, client: mqtt.Client, _: Any, message: mqtt.MQTTMessage) -> None:
        """The last will of a connection that the broker missed later than we did is not the last word."""
        if message.payload == b"offline" and not self._closing:
            client.publish(message.topic, "online", qos=1, retain=True)

    def _on_connect_fail(self, _: mqtt.Client, __: Any) -> None:
        self._problem = "can't be reached"

    def _on_disconnect(self, _: mqtt.Client, __: Any, ___: Any, code: Any, ____: Any) -> None:
        if self._connected.is_set() and code.is_failure:
            log.warning("MQTT broker %s: the connection was lost (%s); connecting again", self._broker, code)
        self._connected.clear()
        if not self._problem.startswith("refused"):
            self._problem = "the connection was lost"

    def _announcements(self, camera: str, discovery: str) -> list[tuple[str, dict[str, Any]]]:
        """Home Assistant's configuration of an alarm and a status per camera."""
        ident = f"{_ident(self._prefix)}_{_ident(camera)}"
        common = {
            "availability_topic": self._topic("availability"),
            "device": {"identifiers": [ident], "name": f"amiss {camera}", "manufacturer": "amiss",
                       "sw_version": __version__},
            "origin": {"name": "amiss", "sw_version": __version__},
        }  # fmt: skip
        alarm = {"name": "Alarm", "unique_id": f"{ident}_alarm", "device_class": "safety",
                 "state_topic": self._topic(camera, "alarm"),
                 "json_attributes_topic": self._topic(camera, "event")}  # fmt: skip
        status = {"name": "Status", "unique_id": f"{ident}_status", "entity_category": "diagnostic",
                  "state_topic": self._topic(camera, "status")}  # fmt: skip
        return [
            (f"{discovery}/binary_sensor/{ident}/alarm/config", alarm | common),
            (f"{discovery}/sensor/{ident}/status/config", status | common),
        ]

    def _topic(self, *parts: str) -> str:
        return "/".join((self._prefix, *(re.sub(r"[/+#\s]", "_", part) for part in parts)))


def _ident(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
