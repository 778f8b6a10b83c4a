"""Writing MP4 files."""

import math
import os
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from amiss.errors import OutputError, UsageError, VideoError
from amiss.files import atomic_path
from amiss.video._rgb import Image

CODEC = "libx264"
# The same pictures must give the same file. x264's macroblock tree doesn't (its decisions vary from run to run, even
# with one thread), and the output depends on the number of threads.
QUALITY = {"preset": "veryfast", "crf": "22", "x264-params": "mbtree=0"}
THREADS = 4
LONGEST_S = 86_400.0  # of a picture; MP4 can't hold much longer ones
TICKS_PER_SECOND = 10_000  # at least; fine enough for the times of variable frame rates
BT709, LIMITED = 1, 1  # AVCOL_SPC_BT709 (also primaries and transfer), AVCOL_RANGE_MPEG


class VideoWriter:
    """Writes RGB pictures as H.264 (yuv420p, index first) in an MP4 that appears complete or not at all.

    A context manager: the file appears when the block ends well. Odd sizes are padded to even ones by repeating the
    last row or column. Where no picture comes for more than a day, that time is left out.

    Args:
        path: the file; its folder is made.
        fps: frames per second.
        width: of the pictures, in pixels.
        height: of the pictures, in pixels.

    Raises:
        UsageError: a rate or size that no video can have.
        VideoError: this installation of PyAV has no H.264 encoder; or no picture was written.
        OutputError: the file can't be written (permissions, disk full).
    """

    def __init__(self, path: str | os.PathLike[str], fps: float, width: int, height: int) -> None:
        rate = Fraction(fps).limit_denominator(1001) if math.isfinite(fps) else Fraction(0)
        if rate <= 0 or width < 1 or height < 1:
            raise UsageError(f"{path}: a video of {width}x{height} at {fps} frames/s can't be written")
        self.path = Path(path)
        self.n_frames = 0
        self._size = height, width
        self._rate = rate
        # One frame is a whole number of ticks, so that constant rates stay exact.
        ticks = math.ceil(TICKS_PER_SECOND / rate.numerator)
        self._step = rate.denominator * ticks
        self._time_base = Fraction(1, rate.numerator * ticks)
        self._next_pts = 0
        self._left_out = 0  # ticks
        self._reformatter = VideoReformatter()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            av.Codec(CODEC, "w")
        except av.codec.codec.UnknownCodecError:
            raise VideoError(f"PyAV lacks the {CODEC} encoder, needed to write MP4: install its PyPI wheel") from None
        height, width = self._size
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._container = av.open(f"file:{temporary}", "w", format="mp4", options={"movflags": "faststart"})
            stack.callback(self._let_go)
            stream = cast(VideoStream, self._container.add_stream(CODEC, rate=self._rate, options=QUALITY))
            stream.width, stream.height = width + width % 2, height + height % 2
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.time_base = self._time_base
            context.thread_type, context.thread_count = "AUTO", THREADS
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED
            self._stream = stream
            self._stack = stack.pop_all()
        return self

    def write(self, image: Image, time_s: float | None = None) -> None:
        """Append a picture.

        Args:
            image: [H, W, 3] uint8 RGB.
            time_s: when it is shown, in seconds from the start of the video; later than the picture before. None:
                one frame after it.

        Raises:
            UsageError: the picture has another shape or type.
            OutputError: it can't be written.
        """
        height, width = self._size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise UsageError(f"{self.path}: picture is {image.dtype} {image.shape}, not uint8 ({height}, {width}, 3)")
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        pts = self._next_pts if time_s is None else round(time_s / self._time_base) - self._left_out
        if pts - self._next_pts > LONGEST_S / self._time_base:
            self._left_out += pts - self._next_pts
            pts = self._next_pts
        # Never at or before the previous picture, of which only one could be shown.
        picture.pts = max(pts, self._next_pts - self._step + 1) if self.n_frames else max(pts, 0)
        picture.time_base = self._time_base
        self._next_pts = picture.pts + self._step
        self._encode(picture)
        self.n_frames += 1

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(picture))
        except av.FFmpegError as error:
            raise OutputError(f"can't write {self.path}: {error.strerror}") from error

    def _finish(self) -> None:
        if not self.n_frames:
            raise VideoError(f"{self.path}: no picture to write")
        self._encode(None)
        try:
            self._container.close()  # writes the index
        except av.FFmpegError as error:
            raise OutputError(f"can't write {self.path}: {error.strerror}") from error

    def _let_go(self) -> None:
        with suppress(av.FFmpegError):
            self._container.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with self._stack:
                self._finish()
        else:
            self._stack.__exit__(kind, error, trace)
