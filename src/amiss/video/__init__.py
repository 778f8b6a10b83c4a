"""Video files to frames with times and clips, and back: annotated videos and cut-out clips. No torch."""

from amiss.video._annotate import annotate_video
from amiss.video._clips import Clip, iter_clips
from amiss.video._cut import cut_clip
from amiss.video._reader import Frame, VideoReader, count_frames, read_frames_at
from amiss.video._writer import VideoWriter

__all__ = [
    "Clip",
    "Frame",
    "VideoReader",
    "VideoWriter",
    "annotate_video",
    "count_frames",
    "cut_clip",
    "iter_clips",
    "read_frames_at",
]
