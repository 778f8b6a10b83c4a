"""Decoding in a process of its own, with bounds on its memory and time: a file that ends it ends nothing else."""

from amiss.reading.apart import Message, is_used
from amiss.video.worker._check import check_video, read_frames_at, read_header, read_stated
from amiss.video.worker._clips import ClipReader, split_video
from amiss.video.worker._frames import FrameReader
from amiss.video.worker._process import EndedError, NotStartedError, run, warm_up

__all__ = [
    "ClipReader",
    "EndedError",
    "FrameReader",
    "Message",
    "NotStartedError",
    "check_video",
    "is_used",
    "read_frames_at",
    "read_header",
    "read_stated",
    "run",
    "split_video",
    "warm_up",
]
