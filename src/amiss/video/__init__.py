"""Video files to frames with times and clips, and back: annotated videos and cut-out clips. No torch."""

from amiss.video._annotate import annotate_video
from amiss.video._backoff import Backoff
from amiss.video._clips import Clip, FrameGroup, FrameGrouper, iter_clips
from amiss.video._cut import cut_clip
from amiss.video._gate import GateSettings, StillnessGate
from amiss.video._live import LiveSource
from amiss.video._live_inputs import parse_address, showable
from amiss.video._live_types import FileFate, LiveCounters, LiveFrame, SourceState
from amiss.video._packets import EncodedPacket, EncodedStream, PacketWriter
from amiss.video._reader import Frame, VideoReader, count_frames, read_frames_at
from amiss.video._redact import redact
from amiss.video._resample import Resampler
from amiss.video._source_settings import SourceSettings
from amiss.video._writer import VideoWriter

__all__ = [
    "Backoff",
    "Clip",
    "EncodedPacket",
    "EncodedStream",
    "FileFate",
    "Frame",
    "FrameGroup",
    "FrameGrouper",
    "GateSettings",
    "LiveCounters",
    "LiveFrame",
    "LiveSource",
    "PacketWriter",
    "Resampler",
    "SourceSettings",
    "SourceState",
    "StillnessGate",
    "VideoReader",
    "VideoWriter",
    "annotate_video",
    "count_frames",
    "cut_clip",
    "iter_clips",
    "parse_address",
    "read_frames_at",
    "redact",
    "showable",
]
