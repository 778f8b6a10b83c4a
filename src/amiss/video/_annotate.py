"""Videos with the score burnt in."""

import math
import os
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from amiss.errors import UsageError
from amiss.video._rgb import Image
from amiss.video._times import FrameTimes
from amiss.video._writer import VideoWriter
from amiss.video.worker import FrameReader

Colour = tuple[int, int, int]
RED: Colour = (232, 48, 48)
BLUE: Colour = (96, 180, 255)
WHITE: Colour = (255, 255, 255)
LIGHT_RED: Colour = (255, 128, 120)
PANEL = (12, 14, 20, 170)


def annotate_video(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    spans: Sequence[tuple[int, int]],
    scores: Sequence[float],
    events: Sequence[tuple[int, int]],
    threshold: float,
    *,
    times: FrameTimes | None = None,
) -> None:
    """Write a copy of a video (without sound) with its anomaly score burnt in, frame for frame.

    A strip at the bottom shows the score curve of the whole video over time, with the threshold, the present moment,
    time and score; during events the picture has a red border and a label. Everything is scaled to the picture.

    Args:
        source: the video.
        destination: the MP4; appears complete or not at all.
        spans: native frames `[start, end)` that each score covers; overlapping ones are averaged.
        scores: one per span, 0..1.
        events: frames `[start, end)`.
        threshold: of the events, 0..1.
        times: when the frames are shown; None = at an even rate.

    Raises:
        UsageError: not one score per span.
        VideoError: the source can't be read, or ends the process that decodes it.
        OutputError: the file can't be written.
    """
    if len(spans) != len(scores):
        raise UsageError(f"{len(scores)} scores were given for {len(spans)} spans")
    frame_scores = _scores_per_frame(spans, scores)
    with FrameReader(source) as reader:
        shown = times or FrameTimes(len(frame_scores), reader.fps)
        overlay = _Overlay(reader.height, reader.width, frame_scores, events, threshold, shown)
        with VideoWriter(destination, reader.fps, reader.width, reader.height) as writer:
            for frame in reader:
                writer.write(overlay.draw(frame.image, frame.index, frame.time_s), frame.time_s)


def _scores_per_frame(spans: Sequence[tuple[int, int]], scores: Sequence[float]) -> NDArray[np.float64]:
    """The mean score of the spans over each frame, NaN where there is none."""
    total = np.zeros(max((end for _, end in spans), default=0))
    count = np.zeros_like(total)
    for (start, end), score in zip(spans, scores, strict=True):
        total[start:end] += score
        count[start:end] += 1
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean


class _Overlay:
    """What is drawn on the pictures of one video; all that stays the same is drawn once."""

    def __init__(
        self,
        height: int,
        width: int,
        frame_scores: NDArray[np.float64],
        events: Sequence[tuple[int, int]],
        threshold: float,
        times: FrameTimes,
    ) -> None:
        # Letters grow more slowly than pictures: in a small one they must be relatively large to be read at all.
        unit = max(min(height, width * 3 / 4) / 240, 0.05) ** 0.8
        self._font_px = max(round(15 * unit), 5)
        self._border = max(round(4 * unit), 2)
        self._margin = 2 * self._border
        self._text_h = round(self._font_px * 1.35)
        self._strip_h = min(self._text_h + round(28 * unit) + self._border + self._margin, height)
        self._curve_w = max(width - 2 * self._margin, 1)
        self._scores = frame_scores
        self._in_event = np.zeros(len(frame_scores), bool)
        for start, end in events:
            self._in_event[start:end] = True
        n_frames = len(frame_scores)
        end_s = float(times.ends(n_frames))
        # Columns are even in time; column c of the curve shows the frames from `_first[c]` to `_first[c + 1]`.
        n_columns = 2 * self._curve_w if n_frames else 0
        self._first = _whole(times.frames_at(np.arange(n_columns + 1) * (end_s / max(n_columns, 1))))
        self._now = self._margin + _whole(times.starts(np.arange(n_frames)) / end_s * self._curve_w)
        self._past = _premultiplied(self._strip(width, threshold, 255))
        self._future = _premultiplied(self._strip(width, threshold, 110))
        self._threshold = threshold

    def _strip(self, width: int, threshold: float, curve_alpha: int) -> PilImage.Image:
        """The strip with the whole curve: drawn twice as large, for smooth lines, and scaled down."""
        panel = PilImage.new("RGBA", (2 * width, 2 * self._strip_h), PANEL)
        curve = PilImage.new("RGBA", panel.size)
        draw = ImageDraw.Draw(curve)
        left, bottom = 2 * self._margin, 2 * (self._strip_h - self._margin)
        curve_h = max(bottom - 2 * (self._text_h + self._border), 1)
        columns: list[tuple[float, float, Colour] | None] = []
        for column, (first, after) in enumerate(pairwise(self._first.tolist())):
            frames = slice(first, max(after, first + 1))
            scores = self._scores[frames]
            if np.isnan(scores).all():
                columns.append(None)
                continue
            colour = RED if self._in_event[frames].any() else BLUE
            columns.append((left + column, bottom - curve_h * float(np.clip(np.nanmax(scores), 0, 1)), colour))
        for point in columns:
            if point:
                draw.line((*point[:2], point[0], bottom), fill=(*point[2], curve_alpha // 2))
        for before, point in pairwise(columns):
            if before and point:
                draw.line((*before[:2], *point[:2]), fill=(*point[2], curve_alpha), width=max(self._border, 2))
        if 0 <= threshold <= 1:
            y, right, dash = bottom - curve_h * threshold, left + 2 * self._curve_w, 4 * self._border
            for x in range(left, right, 2 * dash):
                draw.line((x, y, min(x + dash, right), y), fill=(*WHITE, 170), width=max(self._border // 2, 1))
        return PilImage.alpha_composite(panel, curve).reduce(2)

    def draw(self, image: Image, index: int, time_s: float) -> Image:
        """A copy of frame `index` [H, W, 3] with everything drawn on it."""
        image = image.copy()
        height = image.shape[0]
        known = index < len(self._scores)
        score = float(self._scores[index]) if known else math.nan
        now = int(self._now[index]) if known else self._margin + self._curve_w
        strip = image[height - self._strip_h :]
        for part, (colour, transparency) in ((slice(now), self._past), (slice(now, None), self._future)):
            strip[:, part] = (strip[:, part] * transparency[:, part] + colour[:, part]) // 255
        strip[self._border + self._text_h : -self._border, now : now + max(self._border // 2, 1)] = WHITE
        over = score >= self._threshold
        clock = _text(_clock(time_s), self._font_px)
        value = _text("-" if math.isnan(score) else f"{score:.2f}", self._font_px)
        _paste(strip, clock, self._border, self._margin, WHITE)
        _paste(strip, value, self._border, image.shape[1] - self._margin - value.shape[1], LIGHT_RED if over else WHITE)
        if known and self._in_event[index]:
            self._draw_alarm(image)
        return image

    def _draw_alarm(self, image: Image) -> None:
        b = self._border
        for side in (image[:b], image[-b:], image[:, :b], image[:, -b:]):
            side[:] = RED
        word = _text("ANOMALY", self._font_px)
        image[: b + word.shape[0] + b, : b + word.shape[1] + 3 * b] = RED
        _paste(image, word, b, 2 * b, WHITE)


def _whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rounded down, but not for the last digits."""
    return np.floor(values.round(6)).astype(np.int64)


def _premultiplied(strip: PilImage.Image) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Colour times opacity, and transparency, both [H, W, 3] in 0..255, ready for blending."""
    rgba = np.asarray(strip, np.uint16)
    opacity = np.repeat(rgba[..., 3:], 3, axis=2)
    return rgba[..., :3] * opacity, 255 - opacity


@lru_cache(maxsize=1024)
def _text(text: str, size: int) -> NDArray[np.uint16]:
    """A line of text as opacity [H, W] in 0..255."""
    font = ImageFont.load_default(size)
    box = PilImage.new("L", (math.ceil(font.getlength(text)), round(size * 1.35)))
    ImageDraw.Draw(box).text((0, box.height / 2), text, fill=255, font=font, anchor="lm")
    return np.asarray(box, np.uint16)


def _paste(image: Image, text: NDArray[np.uint16], top: int, left: int, colour: Colour) -> None:
    """Draw text in place; what lies outside the picture is left out."""
    top, left = max(top, 0), max(left, 0)
    target = image[top : top + text.shape[0], left : left + text.shape[1]]
    opacity = text[: target.shape[0], : target.shape[1], None]
    target[:] = (target * (255 - opacity) + np.array(colour, np.uint16) * opacity) // 255


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(int(time_s * 10) / 10, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"
