"""Every container × codec × kind of rate × offset that this FFmpeg can make, tried once: is every frame decoded right?

    python benchmarks/containers.py [--out TABLE.md]

Frames carry their number as stripes. A file counts as right where all its frames come in their order, at the times at
which they were written (to 11 ms: GIF counts in hundredths).
"""

import argparse
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from amiss.errors import AmissError
from amiss.video import VideoReader

CONTAINERS = ("mp4", "mov", "mkv", "webm", "avi", "asf", "flv", "ts", "m2ts", "mpg", "vob", "mxf", "nut", "ogv", "gif",
              "3gp", "h264", "hevc", "m4v", "mjpeg", "ivf", "y4m", "apng")  # fmt: skip
FORMATS = {"ts": "mpegts", "m2ts": "mpegts", "mkv": "matroska", "m4v": "m4v", "mpg": "mpeg", "ogv": "ogg",
           "y4m": "yuv4mpegpipe"}  # fmt: skip
CODECS = {"libx264": "yuv420p", "libx265": "yuv420p", "mpeg4": "yuv420p", "mpeg2video": "yuv420p", "wmv2": "yuv420p",
          "mjpeg": "yuvj420p", "libvpx-vp9": "yuv420p", "libsvtav1": "yuv420p", "ffv1": "yuv420p", "gif": "rgb8",
          "apng": "rgb24", "rawvideo": "yuv420p"}  # fmt: skip
RATES = ("even", "variable", "offset")
COUNT, BITS, HEIGHT, WIDTH = 40, 6, 144, 192
WITHOUT_TIMES = {"h264", "hevc", "m4v", "mjpeg", "y4m"}  # raw: every frame is as long as the one before


def picture(number: int) -> np.ndarray:
    """A picture that carries its number."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for bit in range(BITS):
        left = bit * WIDTH // BITS
        image[HEIGHT // 4 : 3 * HEIGHT // 4, left : left + WIDTH // BITS] = 230 if number >> bit & 1 else 20
    return image


def number_in(image: np.ndarray) -> int:
    """The number in a picture."""
    row = image[HEIGHT // 2].mean(axis=-1)
    return sum(1 << bit for bit in range(BITS) if row[(2 * bit + 1) * WIDTH // (2 * BITS)] > 127)


def times(rate: str) -> list[Fraction]:
    """Seconds at which the frames are shown."""
    even = [Fraction(i, 25) for i in range(COUNT)]
    if rate == "variable":
        return [time if i < 20 else even[20] + Fraction(i - 20, 5) for i, time in enumerate(even)]
    return [time + (3600 if rate == "offset" else 0) for time in even]


def write(path: Path, container: str, codec: str, rate: str) -> None:
    """One file.

    Raises:
        av.FFmpegError, ValueError: this FFmpeg can't.
    """
    with av.open(str(path), "w", format=FORMATS.get(container, container)) as output:
        stream = cast("VideoStream", output.add_stream(codec, rate=25))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, CODECS[codec]
        if rate == "variable":
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, time in enumerate(times(rate)):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            base = Fraction(1, 1000) if rate == "variable" else Fraction(1, 25)
            frame.pts, frame.time_base = int(time / base), base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def verdict(path: Path, container: str, rate: str) -> str:
    """`right`, or what is wrong."""
    try:
        with VideoReader(path) as reader:
            frames = list(reader)
            problem = reader.problem
    except AmissError as error:
        return f"not read: {str(error).removeprefix(str(path)).lstrip(': ')}"
    if [number_in(frame.image) for frame in frames] != list(range(COUNT)):
        return f"{len(frames)} frames, not {COUNT} in their order"
    meant = [float(time - times(rate)[0]) for time in times(rate)]
    off_s = max(abs(frame.time_s - time) for frame, time in zip(frames, meant, strict=True))
    if container in WITHOUT_TIMES and rate == "variable":
        return "right; tells no times"
    if off_s > 0.011:  # GIF counts hundredths
        return f"times off by {off_s:.2f} s"
    return "right" if problem is None else f"right, but said: {problem}"


def main() -> int:
    """Print the table; exit code 1 where something isn't right."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="file to write the table to")
    out = parser.parse_args().out
    av.logging.set_level(None)
    lines = ["| container | codec | even | variable rate | clock from 1 h |", "|---|---|---|---|---|"]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for container in CONTAINERS:
            for codec in CODECS:
                cells = []
                for rate in RATES:
                    path = Path(folder) / f"{codec}-{rate}.{container}"
                    try:
                        write(path, container, codec, rate)
                    except (av.FFmpegError, ValueError):
                        cells.append("–")
                        continue
                    cells.append(verdict(path, container, rate))
                    path.unlink()
                if set(cells) != {"–"}:
                    lines.append(f"| {container} | {codec} | {' | '.join(cells)} |")
                    wrong += sum(not cell.startswith(("right", "–")) for cell in cells)
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
