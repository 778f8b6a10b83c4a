"""What it costs on good videos that hostile ones are borne, and that times are true: at most 2 %.

    AMISS_SHARED=… python benchmarks/protection.py --out protection.json [--clips 27] [--repeats 15] [--backbone r3d_18]

Each thing is done with and without, in turns, in one run; the order changes from pair to pair. Shown are the medians of
the seconds and of the ratio of each pair, with its quartiles:

- clips read, features extracted, a marked video, an event cut out and a small copy written: decoded in a process of its
  own (`AMISS_DECODE_WORKER=1`) and in the same one (0);
- frames with their true times: by `VideoReader`, and by the same decoder and conversion without any clock.

The videos are an original of UCF-Crime (320x240), where it is at hand, and one of 1280x720 that is written here. The
exit code is 1 where something costs more than 2 %, even by the lower quartile. It needs a machine that does nothing
else: what else runs there is in the spread.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av

from amiss.backbones import create_backbone
from amiss.engines import Engine, create_engine
from amiss.files import write_json
from amiss.jobs import extract
from amiss.video import ClipReader, VideoReader, annotate_video, cut_clip, write_preview
from amiss.video._rgb import RgbConverter
from extraction import CLIP_LEN, UCF, show, write_720p

BOUND = 1.02
SWITCH = "AMISS_DECODE_WORKER"


def timed(do: Callable[[], Any]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def compare(
    what: str, video: Path, with_: Callable[[], Any], without: Callable[[], Any], repeats: int
) -> dict[str, Any]:
    """Both in turns, after one of each that isn't counted."""
    with_(), without()
    pairs = []
    for number in range(repeats):
        order = (with_, without) if number % 2 else (without, with_)
        first, second = timed(order[0]), timed(order[1])
        pairs.append((first, second) if number % 2 else (second, first))
    ratios = [a / b for a, b in pairs]
    low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {
        "what": what,
        "video": video.stem,
        "with_s": round(statistics.median(a for a, _ in pairs), 4),
        "without_s": round(statistics.median(b for _, b in pairs), 4),
        "ratio": round(ratio, 4),
        "ratio_low": round(low, 4),
        "ratio_high": round(high, 4),
        "repeats": repeats,
    }


def frames_without_clock(video: Path) -> int:
    """Every frame as RGB, by the same decoder and conversion; its time would be its number over the rate."""
    convert, count = None, 0
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = 0
        for packet in container.demux(stream):
            if not packet.size:
                continue
            for picture in stream.codec_context.decode(packet):
                convert = convert or RgbConverter(picture)
                convert(picture)
                count += 1
        for picture in stream.codec_context.decode(None):
            assert convert is not None
            convert(picture)
            count += 1
    return count


def frames(video: Path) -> int:
    """The same with true times."""
    with VideoReader(video) as reader:
        return sum(1 for _ in reader)


def apart(worker: bool, do: Callable[[], Any]) -> Callable[[], Any]:
    """The same, decoded in a process of its own, or not."""

    def done() -> Any:
        os.environ[SWITCH] = str(int(worker))
        try:
            return do()
        finally:
            del os.environ[SWITCH]

    return done


def things(video: Path, engine: Engine, folder: Path, clips: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is decoded, and why."""
    n = clips * CLIP_LEN
    numbers = iter(range(1 << 30))

    def read() -> None:
        with ClipReader(video, CLIP_LEN, CLIP_LEN, "pad") as reader:
            for _ in reader:
                pass

    yield "clips read", read
    yield "features extracted", lambda: extract({"video": video}, engine, folder / f"{video.stem}{next(numbers)}")
    out = folder / "copy.mp4"
    yield "marked video", lambda: annotate_video(video, out, [(0, n)], [0.5], [(n // 4, n // 2)], 0.4)
    yield "event cut out", lambda: cut_clip(video, out, n // 4, n // 2)
    yield "small copy", lambda: write_preview(video, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the figures")
    parser.add_argument("--clips", type=int, default=27, help="of 16 frames, of each video")
    parser.add_argument("--repeats", type=int, default=15, help="pairs of each thing")
    parser.add_argument("--backbone", default="r3d_18", help="of the features; random weights")
    given = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # of the minute before
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        videos = [write_720p(folder / "720p.mp4", given.clips)]
        original = Path(os.environ.get("AMISS_SHARED", "../shared")) / UCF
        if original.is_file():
            cut_clip(original, folder / "ucf_240p.mp4", 0, CLIP_LEN * given.clips)
            videos.insert(0, folder / "ucf_240p.mp4")
        else:
            print(f"no {original}: set AMISS_SHARED", file=sys.stderr)
        engine = create_engine(create_backbone(given.backbone, "random"), "cpu")
        for video in videos:
            assert frames(video) == frames_without_clock(video) == CLIP_LEN * given.clips
            times = partial(frames, video), partial(frames_without_clock, video)
            rows.append(compare("true times", video, *times, given.repeats))
            print(rows[-1], file=sys.stderr)
            for what, do in things(video, engine, folder, given.clips):
                rows.append(compare(f"apart: {what}", video, apart(True, do), apart(False, do), given.repeats))
                print(rows[-1], file=sys.stderr)
    beyond = [f"{row['what']}, {row['video']}" for row in rows if row["ratio_low"] > BOUND]
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    write_json(given.out, {"bound": BOUND, "machine": machine, "load_before": load, "rows": rows, "beyond": beyond})
    show(f"seconds with and without; at most {BOUND} times as long ({machine})", rows)
    for name in beyond:
        print(f"beyond the bound: {name}")
    sys.exit(bool(beyond))


if __name__ == "__main__":
    main()
