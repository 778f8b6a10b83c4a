"""Live pictures with the score on them."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from amiss.watch.camera import CameraStatus

_WIDTH = 960  # larger pictures are made smaller
_CURVE_S = 60.0
_RED, _BLUE, _WHITE, _GREY = (232, 48, 48), (96, 180, 255), (255, 255, 255), (170, 170, 170)


class Picture(Protocol):
    """What is shown: a LiveFrame."""

    @property
    def time(self) -> datetime:
        """Aware, UTC."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """[H, W, 3] RGB."""


class Preview:
    """Live pictures of a camera as JPEG, drawn only while somebody looks, once for all who do.

    Args:
        status: of the camera.
        max_viewers: at a time.
        latest: gives the camera's last picture; None = there is none.
    """

    def __init__(self, status: CameraStatus, max_viewers: int, latest: Callable[[], Picture | None]) -> None:
        self.status = status
        self.max_viewers = max_viewers
        self._latest = latest
        self._viewers = 0
        self._lock = threading.Lock()
        self._shown: Picture | None = None
        self._number = 0
        self._jpeg = b""

    def enter(self) -> bool:
        """Take a viewer's place; False if none is left."""
        with self._lock:
            if self._viewers >= self.max_viewers:
                return False
            self._viewers += 1
            return True

    def leave(self) -> None:
        """Give a viewer's place back."""
        with self._lock:
            self._viewers -= 1

    @property
    def viewers(self) -> int:
        """How many look."""
        return self._viewers

    def jpeg(self, after: int = 0) -> tuple[int, bytes] | None:
        """(number, JPEG) of the newest picture, if its number is above `after`."""
        latest = self._latest()
        with self._lock:
            if latest is not None and latest is not self._shown:
                self._shown, self._number = latest, self._number + 1
                self._jpeg = _encode(draw_live(latest.image, latest.time, self.status))
            return (self._number, self._jpeg) if self._number > after else None


def _encode(image: PilImage.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def draw_live(picture: NDArray[np.uint8], time: datetime, status: CameraStatus) -> PilImage.Image:
    """A picture [H, W, 3] RGB with name, time, score, the curve of the last minute and its threshold.

    A red border while an event is open.
    """
    image = PilImage.fromarray(picture)
    if image.width > _WIDTH:
        image = image.resize((_WIDTH, round(image.height * _WIDTH / image.width)), PilImage.Resampling.BILINEAR)
    width, height = image.size
    strip = max(54, height // 6)
    canvas = PilImage.new("RGB", (width, height + strip), (12, 14, 20))
    canvas.paste(image, (0, 0))
    draw = ImageDraw.Draw(canvas)
    with status.lock:
        scores, score = list(status.history), status.score
        is_open, on, state = status.event_id is not None, status.threshold_on, status.state
    size = max(11, strip // 4)
    font = ImageFont.load_default(size)
    top, bottom = height + size + 6, height + strip - 3

    def y(value: float) -> float:
        return bottom - (bottom - top) * min(max(value, 0.0), 1.0)

    points = [
        (width * (1 - (time - at) / timedelta(seconds=_CURVE_S)), y(value))
        for at, value in scores
        if 0 <= (time - at).total_seconds() <= _CURVE_S
    ]
    for x in range(0, width, 12):
        draw.line((x, y(on), x + 6, y(on)), fill=_GREY)
    if len(points) > 1:
        draw.line(points, fill=_RED if is_open else _BLUE, width=2)
    left = f"{status.name}  {time:%Y-%m-%d %H:%M:%S} UTC" + ("" if state == "running" else f"  {state}")
    right = "-" if score is None else f"{score:.2f}"
    draw.text((6, height + 3), left, fill=_WHITE, font=font)
    draw.text((width - 6, height + 3), right, fill=_RED if is_open else _WHITE, font=font, anchor="ra")
    if is_open:
        draw.rectangle((0, 0, width - 1, height - 1), outline=_RED, width=max(3, height // 100))
    return canvas
