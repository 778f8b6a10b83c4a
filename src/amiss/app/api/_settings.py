"""Settings, for admins: cameras, channels and rules of the configuration file, as far as a browser may change them."""

from __future__ import annotations

import base64
import io
import re
import threading
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from PIL import Image
from pydantic import ConfigDict, Field, SecretStr

from amiss.app._config_file import ConfigFile
from amiss.app._context import AppContext
from amiss.app.api._answers import Admin, CameraName, Context, Model, none_such
from amiss.app.security import check_camera_address, check_message_server
from amiss.errors import AmissError, UsageError
from amiss.video import LiveFrame, SourceSettings, StateChange, open_source, redact
from amiss.watch import send_test
from amiss.watch.config import CHANNEL_KINDS, CameraSettings, Rule

router = APIRouter(prefix="/settings", tags=["settings"])

_LONGEST_S, _WIDTH = 15.0, 480
_trying = threading.Semaphore(2)
Score = Annotated[float, Field(ge=0, le=1)]


class CameraSetting(Model):
    """A camera of the configuration."""

    name: str
    address: str
    """Without passwords."""
    enabled: bool
    """False: not watched."""
    threshold_on: float | None
    """Null: by calibration, else the detector's."""
    threshold_off: float | None


class CameraSettingsList(Model):
    """In the order of the file."""

    cameras: list[CameraSetting]


class CameraChange(Model):
    """What is to be; what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"address": "rtsp://user:password@192.168.1.20/stream", "threshold_on": 0.6}]}
    )

    address: Annotated[SecretStr | None, Field(max_length=2000)] = None
    """rtsp, rtsps, http or https; a new camera needs one."""
    enabled: bool | None = None
    threshold_on: Score | None = None
    """Null: by calibration, else the detector's."""
    threshold_off: Score | None = None


class CameraTest(Model):
    """An address to try, or a camera of the configuration."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"address": "rtsp://192.168.1.20/stream"}]})

    address: Annotated[SecretStr | None, Field(max_length=2000)] = None
    camera: Annotated[str | None, Field(max_length=64)] = None


class CameraTested(Model):
    """What came of it."""

    problem: str | None
    """Why there is no picture; null = there is one."""
    seconds: float
    """Until the first picture."""
    width: int | None
    height: int | None
    jpeg: str | None
    """The picture, in base64."""


class Webhook(Model):
    """A channel: an HTTP POST of the event as JSON to a public address."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"url": "https://example.org/hook"}]})

    kind: Literal["webhook"] = "webhook"
    url: Annotated[SecretStr, Field(max_length=2000)]


class Ntfy(Model):
    """A channel: messages to phones by ntfy, with the event's picture; a tap opens the event."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "ntfy", "topic": "my-doors-x7Kq2"}]})

    kind: Literal["ntfy"]
    topic: Annotated[SecretStr, Field(max_length=64)]
    """Letters, digits, - and _. On ntfy.sh whoever knows it reads along."""
    server: Annotated[str, Field(max_length=255)] = "ntfy.sh"
    """Its host, with HTTPS."""
    token: Annotated[SecretStr | None, Field(max_length=200)] = None
    """Access token, if the server wants one."""

    @property
    def url(self) -> SecretStr:
        """Apprise's address of it.

        Raises:
            UsageError: it can't be one.
        """
        topic, token = self.topic.get_secret_value(), "" if self.token is None else self.token.get_secret_value()
        if not re.fullmatch(r"[A-Za-z0-9_-]+", topic):
            raise UsageError("a topic of ntfy has letters, digits, - and _")
        if not re.fullmatch(r"(tk_[A-Za-z0-9]+)?", token):
            raise UsageError("an access token of ntfy begins with tk_, and has letters and digits")
        if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", self.server):
            raise UsageError("give the host of ntfy's server alone, such as ntfy.sh")
        check_message_server(f"https://{self.server}/")
        return SecretStr(f"ntfys://{token}{'@' if token else ''}{self.server}/{topic}?redirect=no")


class Channel(Model):
    """Where messages go."""

    name: str
    kind: Annotated[str, Field(examples=list(CHANNEL_KINDS))]


class Channels(Model):
    """In the order of the file."""

    channels: list[Channel]


class ChannelTested(Model):
    """Whether a test message was taken."""

    problem: str | None
    """Why not; null = it was."""


class Rules(Model):
    """All rules, in order."""

    rules: Annotated[list[Rule], Field(max_length=1000)]


@router.get("/cameras")
def cameras(who: Admin, context: Context) -> CameraSettingsList:
    """Cameras of the configuration."""
    found = _file(context).read().cameras
    return CameraSettingsList(cameras=[_setting(name, camera) for name, camera in found.items()])


@router.put("/cameras/{camera}")
def set_camera(camera: CameraName, change: CameraChange, who: Admin, context: Context) -> CameraSetting:
    """Add a camera, or change one; it is watched so within seconds."""
    file, values = _file(context), dict[str, Any]()
    if change.address is None and camera not in file.read().cameras:
        raise HTTPException(400, f"there is no camera {camera}: a new one needs an address")
    if change.address is not None:
        check_camera_address(change.address.get_secret_value(), context.settings.allow_cameras_at)
        values["url"] = change.address.get_secret_value()
    if change.enabled is not None:
        values["enabled"] = change.enabled
    given = {"on": "threshold_on", "off": "threshold_off"}
    if alarm := {key: getattr(change, name) for key, name in given.items() if name in change.model_fields_set}:
        values["alarm"] = alarm
    file.set_camera(camera, values)
    context.store.audit("camera set", f"{camera}: {', '.join(sorted(change.model_fields_set))}", actor=who.name)
    return _setting(camera, file.read().cameras[camera])


@router.delete("/cameras/{camera}", status_code=204)
def remove_camera(camera: CameraName, who: Admin, context: Context) -> None:
    """Take a camera out of the configuration; its events stay."""
    file = _file(context)
    if camera not in file.read().cameras:
        raise none_such("camera")
    file.remove_camera(camera)
    context.store.audit("camera removed", camera, actor=who.name)


@router.post("/cameras/test")
def test_camera(test: CameraTest, who: Admin, context: Context) -> CameraTested:
    """Connect, and wait for a picture, for 15 s at most."""
    if (test.address is None) == (test.camera is None):
        raise HTTPException(400, "give an address, or a camera")
    if test.address is not None:
        url = test.address.get_secret_value()
        check_camera_address(url, context.settings.allow_cameras_at)
    else:
        known = _file(context).read().cameras
        if test.camera not in known:
            raise none_such("camera")
        url = known[test.camera].url.get_secret_value()
    if not _trying.acquire(blocking=False):
        raise HTTPException(503, "other cameras are being tried: try again in a moment")
    try:
        return _first_picture(url)
    finally:
        _trying.release()


@router.get("/channels")
def channels(who: Admin, context: Context) -> Channels:
    """Channels of the configuration; their addresses are secrets."""
    found = _file(context).read().channels
    return Channels(channels=[Channel(name=name, kind=channel.kind) for name, channel in found.items()])


@router.put("/channels/{channel}", status_code=204)
def set_channel(channel: CameraName, new: Webhook | Ntfy, who: Admin, context: Context) -> None:
    """Add a webhook or ntfy, or replace one."""
    file = _file(context)
    before = file.read().channels.get(channel)
    kind = {"ntfy": "apprise"}.get(new.kind, new.kind)
    if before is not None and before.kind != kind:
        raise HTTPException(400, f"{channel} is of the kind {before.kind}: change it in the file")
    file.set_channel(channel, {"kind": kind, "url": new.url.get_secret_value()})
    context.store.audit("channel set", channel, actor=who.name)


@router.delete("/channels/{channel}", status_code=204)
def remove_channel(channel: CameraName, who: Admin, context: Context) -> None:
    """Take a channel out, which no rule may name."""
    file = _file(context)
    if channel not in file.read().channels:
        raise none_such("channel")
    file.remove_channel(channel)
    context.store.audit("channel removed", channel, actor=who.name)


@router.post("/channels/{channel}/test")
def test_channel(channel: CameraName, who: Admin, context: Context) -> ChannelTested:
    """Send a test message."""
    config = _file(context).read()
    if channel not in config.channels:
        raise none_such("channel")
    ((_, problem),) = send_test(config, channel)
    return ChannelTested(problem=None if problem is None else redact(problem))


@router.get("/rules")
def rules(who: Admin, context: Context) -> Rules:
    """Which events are told to whom."""
    return Rules(rules=list(_file(context).read().rules))


@router.put("/rules")
def set_rules(new: Rules, who: Admin, context: Context) -> Rules:
    """Replace all rules."""
    file = _file(context)
    file.set_rules(new.rules)
    context.store.audit("rules set", ", ".join(rule.name for rule in new.rules), actor=who.name)
    return Rules(rules=list(file.read().rules))


def _file(context: AppContext) -> ConfigFile:
    if context.config_file is None:
        raise HTTPException(404, "there is no configuration file here")
    return context.config_file


def _setting(name: str, camera: CameraSettings) -> CameraSetting:
    return CameraSetting(
        name=name, address=redact(camera.url.get_secret_value()), enabled=camera.enabled,
        threshold_on=camera.alarm.on, threshold_off=camera.alarm.off,
    )  # fmt: skip


def _first_picture(url: str) -> CameraTested:
    began, problem = time.monotonic(), "no picture came"
    settings = SourceSettings(open_timeout_s=_LONGEST_S / 2, read_timeout_s=_LONGEST_S / 2)
    try:
        source = open_source(url, settings)
        for item in source:
            seconds = round(time.monotonic() - began, 2)
            if isinstance(item, LiveFrame):
                source.stop()
                height, width = item.image.shape[:2]
                return CameraTested(
                    problem=None, seconds=seconds, width=width, height=height, jpeg=_small(item)
                )  # fmt: skip
            if isinstance(item, StateChange) and item.state in ("reconnecting", "stalled", "stopped"):
                problem = item.reason or problem
                break
            if seconds > _LONGEST_S:
                break
        source.stop()
    except AmissError as error:
        problem = str(error)
    seconds = round(time.monotonic() - began, 2)
    return CameraTested(problem=redact(problem), seconds=seconds, width=None, height=None, jpeg=None)


def _small(frame: LiveFrame) -> str:
    image = Image.fromarray(frame.image)
    image.thumbnail((_WIDTH, _WIDTH))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
