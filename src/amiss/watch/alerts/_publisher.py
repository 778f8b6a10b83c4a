"""States of cameras and events, shown on channels that show them without being asked by a rule: MQTT."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from amiss.watch._event import CameraEvent, CameraState
from amiss.watch.alerts._channels import Channel


@runtime_checkable
class ShowsStates(Protocol):
    """A channel that shows every state."""

    def announce(self, cameras: Sequence[str]) -> None:
        """Tell of these cameras: called once, before `Channel.open`."""

    def publish_event(self, event: CameraEvent) -> None:
        """Show the newest state of a camera's event."""

    def publish_state(self, camera: str, state: CameraState) -> None:
        """Show a camera's state."""


class StatePublisher:
    """Tells the channels that show states, and remembers what they were told last.

    Its methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: list[ShowsStates] = []
        self._cameras: frozenset[str] = frozenset()
        self._states: dict[str, CameraState] = {}
        self._events: dict[str, CameraEvent] = {}

    def set_channels(self, channels: Iterable[Channel], cameras: Iterable[str]) -> None:
        """Show states on these from now on; they are told what is so now.

        A camera that isn't among `cameras` any longer is told of once more, as stopped, and forgotten.
        """
        with self._lock:
            self._channels = [channel for channel in channels if isinstance(channel, ShowsStates)]
            self._cameras = frozenset(cameras)
            self._states.update({camera: "stopped" for camera in self._states if camera not in self._cameras})
            for channel in self._channels:
                for camera, state in self._states.items():
                    channel.publish_state(camera, state)
                for event in self._events.values():
                    channel.publish_event(event)
            self._states = {camera: state for camera, state in self._states.items() if camera in self._cameras}
            self._events = {camera: event for camera, event in self._events.items() if camera in self._cameras}

    def state(self, camera: str, state: CameraState) -> None:
        """A camera is in this state."""
        with self._lock:
            if camera in self._cameras:  # a removed one's worker may still be on its way out
                self._states[camera] = state
            for channel in self._channels:
                channel.publish_state(camera, state)

    def event(self, event: CameraEvent) -> None:
        """An event is so."""
        with self._lock:
            known = self._events.get(event.camera)
            is_newest = known is None or event.state == "open" or event.event_id == known.event_id
            if is_newest and event.camera in self._cameras:
                self._events[event.camera] = event
            for channel in self._channels:
                channel.publish_event(event)
