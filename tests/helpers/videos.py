"""Small odd videos for tests: every pixel format, timing and fault that a camera or a bad disk can produce.

Pictures carry their frame number as blocks of black and white (`numbered`, `read_number`), so that a test can tell
which frame it got, whatever the codec did to the colours.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from amiss.video import check_video

Image = NDArray[np.uint8]
BITS = 12
RATE = 44100


def numbered(number: int, height: int = 48, width: int = 64) -> Image:
    """A grey-blue picture [H, W, 3] that carries `number` (0..4095) as a row of 12 blocks and moves with it."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (40, 60, 110)
    rows = np.arange(height // 2, height)[:, None]
    image[height // 2 :, :, 1] = (rows + np.arange(width) * 2 + number * 3) % 160 + 40
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        image[: height // 2, left:right] = 235 if number >> bit & 1 else 20
    return image


def read_number(image: Image) -> int:
    """The number that `numbered` wrote, from a picture of any size."""
    height, width = image.shape[:2]
    row = image[height // 4].mean(axis=-1)
    return sum(1 << bit for bit in range(BITS) if row[(2 * bit + 1) * width // (2 * BITS)] > 127)


def corners(height: int = 48, width: int = 64) -> Image:
    """Red top left, green top right, blue bottom left, white bottom right: tells rotations and colour orders apart."""
    image = np.zeros((height, width, 3), np.uint8)
    half_h, half_w = height // 2, width // 2
    image[:half_h, :half_w, 0] = 255
    image[:half_h, half_w:, 1] = 255
    image[half_h:, :half_w, 2] = 255
    image[half_h:, half_w:] = 255
    return image


def write_video(
    path: Path,
    images: Iterable[Image] | int = 30,
    *,
    fps: float = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[float] | None = None,
    rotation: int = 0,
    gop: int = 12,
    b_frames: int | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    container_format: str | None = None,
) -> Path:
    """Encode pictures [H, W, 3] RGB, or that many `numbered` ones, and return the path.

    Args:
        path: its suffix chooses the container.
        images: pictures of one size, or a number of `numbered` pictures of 64x48.
        fps: frame rate.
        codec: encoder.
        pix_fmt: pixel format of the file.
        times: seconds at which the frames are shown, for variable frame rate; evenly spaced if left out.
        rotation: degrees counter-clockwise that a player turns the stored picture.
        gop: frames from one keyframe to the next.
        b_frames: largest run of B frames; the encoder's own default if left out.
        options: more options of the encoder.
        container: options of the muxer, e.g. `{"movflags": "faststart"}`.
        container_format: muxer, where the suffix doesn't say it.
    """
    if isinstance(images, int):
        images = [numbered(i) for i in range(images)]
    rate = Fraction(fps).limit_denominator(1001)
    stream = None
    with av.open(str(path), "w", format=container_format, options=container or {}) as output:
        for i, image in enumerate(images):
            if stream is None:
                stream = output.add_stream(codec, rate=rate, options=options or {})
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.codec_context.gop_size = gop
                if b_frames is not None:
                    stream.codec_context.max_b_frames = b_frames
                if times is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = i if times is None else round(times[i] * 1000)
            frame.time_base = 1 / rate if times is None else Fraction(1, 1000)
            output.mux(stream.encode(frame))
        assert stream is not None, "no pictures"
        output.mux(stream.encode(None))
    return path


def write_audio(path: Path, seconds: float = 1.0, n_pictures: int = 0) -> Path:
    """A file with a tone, and with `numbered` pictures at 25 frames/s if any are asked for."""
    tone = (np.sin(np.arange(int(RATE * seconds)) * 2 * np.pi * 440 / RATE) * 8000).astype(np.int16)
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25) if n_pictures else None
        audio = output.add_stream("aac", rate=RATE, layout="mono")
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for i in range(n_pictures):
                output.mux(video.encode(av.VideoFrame.from_ndarray(numbered(i), format="rgb24")))
            output.mux(video.encode(None))
        for start in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="s16", layout="mono")
            frame.sample_rate = RATE
            frame.pts = start
            output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return path


def write_changing_size(path: Path, sizes: Sequence[tuple[int, int]] = ((48, 64), (96, 80)), each: int = 10) -> Path:
    """A raw MPEG-2 stream whose picture size (height, width) changes on the way; the frame numbers run on."""
    data, number = b"", 0
    for i, (height, width) in enumerate(sizes):
        part = path.with_name(f"{path.stem}-part{i}.m2v")
        images = [numbered(number + k, height, width) for k in range(each)]
        write_video(part, images, codec="mpeg2video", b_frames=0, container_format="mpeg2video")
        data += part.read_bytes()
        part.unlink()
        number += each
    path.write_bytes(data)
    return path


def cut_short(source: Path, destination: Path, share: float) -> Path:
    """The first `share` of a file's bytes, as a full disk or a pulled plug leaves it."""
    data = source.read_bytes()
    destination.write_bytes(data[: int(len(data) * share)])
    return destination


def damage(source: Path, destination: Path, start: float = 0.4, end: float = 0.5, seed: int = 0) -> Path:
    """A copy whose bytes from share `start` to share `end` of the file are noise."""
    data = bytearray(source.read_bytes())
    first, last = int(len(data) * start), int(len(data) * end)
    data[first:last] = np.random.default_rng(seed).integers(0, 256, last - first, dtype=np.uint8).tobytes()
    destination.write_bytes(data)
    return destination


def count_frames(path: Path) -> int:
    """How many frames decode."""
    return check_video(path).n_frames


def loop(source: Path, destination: Path, times: int) -> Path:
    """The same video `times` in a row, without encoding again: hours of video in seconds."""
    with av.open(str(source)) as reading, av.open(str(destination), "w") as writing:
        stream = reading.streams.video[0]
        packets = [packet for packet in reading.demux(stream) if packet.dts is not None]
        copies = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in packets]
        length = max(pts + (duration or 1) for _, pts, _, duration, _ in copies) - min(p[1] for p in copies)
        target = writing.add_stream_from_template(stream)
        for turn in range(times):
            for data, pts, dts, duration, is_keyframe in copies:
                packet = av.Packet(data)
                packet.stream, packet.time_base = target, stream.time_base
                packet.pts, packet.dts, packet.duration = pts + turn * length, dts + turn * length, duration
                packet.is_keyframe = is_keyframe
                writing.mux(packet)
    return destination
