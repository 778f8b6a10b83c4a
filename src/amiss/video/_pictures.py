"""Decoding a folder of numbered pictures as a video."""

import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image as PilImage
from PIL import ImageOps

from amiss.errors import VideoError
from amiss.storage import Url, located
from amiss.video._decode import Decoder
from amiss.video._rgb import Image
from amiss.video._times import FrameTimes
from amiss.video.opening import FALLBACK_FPS, allowed, numbered, video_bounds

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP")


class PictureDecoder:
    """One pass over the pictures of a folder; to its users the same as `Decoder`.

    Iterating yields `(picture, seconds)`. A picture that can't be read is replaced by the one before it (the first by
    the one after), so that the numbers of frames stay those of the pictures; it counts as damaged.

    Raises:
        VideoError: the folder can't be read, or doesn't hold at least two numbered pictures.
    """

    codec = "picture"
    time_base = 1e-6
    gaps_s = 0.0

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._folder = Path(os.fspath(folder))  # what lies in it is no folder
        try:
            self._names = numbered(file.name for file in self._folder.iterdir() if not file.name.startswith("."))
        except OSError as error:
            raise VideoError(f"{folder} can't be read: {error.strerror}") from None
        if not self._names:
            raise VideoError(f"{folder} is a directory, not a video: it has no numbered pictures (.jpg .png .tif .bmp)")
        self.fps = getattr(folder, "fps", None) or FALLBACK_FPS
        self.stated_frames: int | None = len(self._names)
        self.stated_duration_s: float | None = len(self._names) / self.fps
        self.n_frames = self.n_damaged = 0
        self.first_error: str | None = None
        self._closed = False

    def __iter__(self) -> Iterator[tuple[av.VideoFrame, float]]:
        held: av.VideoFrame | None = None
        for number, name in enumerate(self._names, 1):
            try:
                held = av.VideoFrame.from_ndarray(_read(self._folder / name), format="rgb24")
            except MemoryError:
                raise
            except Exception as error:  # of damaged pictures Pillow raises any, TypeError too
                self.n_damaged += 1
                self.first_error = self.first_error or f"{name}: {error}"
            while held is not None and self.n_frames < number:
                self.n_frames += 1
                yield held, (self.n_frames - 1) / self.fps
                if self._closed:
                    return

    @property
    def end_s(self) -> float:
        """Where the last picture so far ends."""
        return self.n_frames / self.fps

    def times(self) -> FrameTimes:
        """After a complete pass: when the frames are shown."""
        return FrameTimes(self.n_frames, self.fps)

    def gaps(self) -> str | None:
        """There are none."""
        return None

    def seek(self, pts: int) -> None:
        """There are no keyframes.

        Raises:
            VideoError: always.
        """
        raise VideoError(f"{self.path} can't be sought")

    def close(self) -> None:
        """An iteration under way ends at its next step."""
        self._closed = True

    def problem(self) -> str | None:
        """After a complete pass: what is damaged, in one line; None where all is well."""
        if not self.n_damaged:
            return None
        are = "picture can't be read and is" if self.n_damaged == 1 else "pictures can't be read and are"
        return f"{self.n_damaged} {are} replaced by neighbours: {self.first_error}"

    def nothing_decodes(self) -> VideoError:
        """The error for a folder of which no picture can be read."""
        return VideoError(f"{self.path}: none of its {len(self._names)} pictures can be read: {self.first_error}")


def open_decoder(path: str | os.PathLike[str], threads: int = 0) -> Decoder | PictureDecoder:
    """What decodes a video file, or a folder of numbered pictures (`PictureFolder`, where its rate is known).

    Raises:
        VideoError: see both.
    """
    file = located(path)
    try:
        is_folder = not isinstance(file, Url) and file.is_dir()
    except (OSError, ValueError):
        is_folder = False
    return PictureDecoder(file) if is_folder else Decoder(file, threads)


def _read(path: Path) -> Image:
    """A picture as [H, W, 3] RGB, upright."""
    bounds = video_bounds()
    with PilImage.open(path, formats=_FORMATS) as picture:
        if picture.width * picture.height > bounds.max_pixels:
            raise ValueError(f"{picture.width}x{picture.height} pixels: {allowed(bounds)}")
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith(("I", "F")):  # 16 bits, or more
            values = np.asarray(upright, np.float64)
            values = values / 256 if values.max(initial=0) > 255 else values
            return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        return np.asarray(upright.convert("RGB"))
