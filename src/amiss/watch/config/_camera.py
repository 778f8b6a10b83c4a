"""A camera: where it is, how it is read, when its scores become an event, what is kept of one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr, field_validator

from amiss.detection import AlarmSettings
from amiss.errors import UsageError
from amiss.settings import LongTime, Settings
from amiss.video import GateSettings, SourceSettings, address_starts, has_known_start, open_source, redact


class CameraSourceSettings(SourceSettings):
    """How a camera is read."""

    queue_clips: Annotated[int, Field(ge=1, le=256)] = 4
    """Clips that may wait for the backbone. A live camera drops the oldest when they are more, and counts it; files
    wait."""


class RecordSettings(Settings):
    """Video and picture of an event."""

    enabled: bool = True
    """Keep its video, copied from the camera's stream as it is (not encoded anew), and a picture of its peak."""
    pre_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    """Seconds of video before it."""
    post_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    """Seconds of video after it."""


class CameraDefaults(Settings):
    """What holds for every camera that doesn't say otherwise."""

    source: CameraSourceSettings = CameraSourceSettings()
    """How it is read."""
    gate: GateSettings = GateSettings()
    """Skips still scenes."""
    alarm: AlarmSettings = AlarmSettings()
    """When scores become an event."""
    record: RecordSettings = RecordSettings()
    """What is kept of an event."""
    window_clips: Annotated[int, Field(ge=1, le=4096)] = 32
    """Heads that look at a whole video see this many of the last clips."""
    offline_after_s: Annotated[LongTime, Field(ge=1)] = 60.0
    """A camera of which nothing was scored for so long is offline, whatever the reason: rules with `on: offline` tell
    it. Of a file or folder: one that can't be read. Must be longer than a clip takes (16 pictures, for most
    detectors)."""
    lookahead_clips: Annotated[int, Field(ge=0, le=64)] = 0
    """Clips such a head waits for before it scores one: better scores, later (64 clips of 16 pictures at 25 a second
    are 41 s)."""


class CameraSettings(CameraDefaults):
    """A camera. What it doesn't say comes from `defaults`, field by field."""

    url: SecretStr
    """rtsp://, rtsps://, http:// or https:// (MPEG-TS, HLS, MJPEG) address; `device:0` or /dev/video0; `replay:FILE`
    (a file as if live; `?loop=1`, `?speed=2`); `folder:DIR` (files put there are scored once)."""
    detector: Path | None = None
    """Detector directory, where it isn't the common one."""
    weights: Path | None = None
    """File of its backbone's weights, where they are not found by name."""
    enabled: bool = True
    """false: not watched."""

    @field_validator("url")
    @classmethod
    def _known_form(cls, url: SecretStr) -> SecretStr:
        plain = url.get_secret_value()
        if not has_known_start(plain):
            given = re.match(r"[a-z][a-z0-9+.-]*://", plain, re.IGNORECASE)  # of the address only this is no secret
            raise ValueError(
                f"must start with one of {', '.join(address_starts())}" + (f"; not with {given[0]}" if given else "")
            )
        try:
            open_source(plain)
        except UsageError as error:  # without the address: nobody here knows what of it is secret
            shown = redact(plain)
            raise ValueError(str(error).replace(f"{shown}: ", "").replace(repr(shown), "this")) from None
        return url


def with_defaults(camera: CameraSettings, defaults: CameraDefaults) -> CameraSettings:
    """The camera with the defaults where it says nothing, field by field, also inside its parts.

    Raises:
        pydantic.ValidationError: camera and defaults don't fit together.
    """
    return CameraSettings.model_validate(_merged(_stated(defaults), _stated(camera)))


def _stated(part: BaseModel) -> dict[str, Any]:
    return part.model_dump(exclude_unset=True)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result
