"""Video files to frames with times and clips, and back: annotated videos and cut-out clips. No torch."""

from amiss.backoff import Backoff
from amiss.errors import showable
from amiss.video._annotate import annotate_video
from amiss.video._clips import Clip, FrameGroup, FrameGrouper, iter_clips
from amiss.video._cut import cut_clip
from amiss.video._gate import GateSettings, StillnessGate
from amiss.video._header import VideoHeader, start_in_name
from amiss.video._packets import EncodedPacket, EncodedStream, PacketWriter
from amiss.video._parts import NotSplitError, PartProof, SplitVideo, VideoPart
from amiss.video._planes import Yuv
from amiss.video._preview import write_preview
from amiss.video._reader import Frame, StatedLength, VideoCheck, VideoReader
from amiss.video._redact import redact
from amiss.video._resample import Resampler
from amiss.video._source_settings import SourceSettings
from amiss.video._times import FrameTimes
from amiss.video._writer import VideoWriter
from amiss.video.live import (
    SOURCES,
    CameraSource,
    FileBegan,
    FileEnded,
    FileOutcome,
    FilesLeftOut,
    FolderSource,
    LiveCounters,
    LiveFrame,
    LiveItem,
    LivePacket,
    LiveSource,
    ReplaySource,
    SourceOptions,
    SourceState,
    StateChange,
    address_starts,
    has_known_start,
    open_source,
)
from amiss.video.opening import (
    FALLBACK_FPS,
    RATE_UNKNOWN,
    VIDEO_SUFFIXES,
    PictureFolder,
    VideoBounds,
    VideoListing,
    list_urls,
    list_videos,
    use_decoder,
    video_bounds,
    why_no_nvdec,
)
from amiss.video.worker import ClipReader, check_video, read_frames_at, read_header, read_stated, split_video, warm_up

__all__ = [
    "FALLBACK_FPS",
    "RATE_UNKNOWN",
    "SOURCES",
    "VIDEO_SUFFIXES",
    "Backoff",
    "CameraSource",
    "Clip",
    "ClipReader",
    "EncodedPacket",
    "EncodedStream",
    "FileBegan",
    "FileEnded",
    "FileOutcome",
    "FilesLeftOut",
    "FolderSource",
    "Frame",
    "FrameGroup",
    "FrameGrouper",
    "FrameTimes",
    "GateSettings",
    "LiveCounters",
    "LiveFrame",
    "LiveItem",
    "LivePacket",
    "LiveSource",
    "NotSplitError",
    "PacketWriter",
    "PartProof",
    "PictureFolder",
    "ReplaySource",
    "Resampler",
    "SourceOptions",
    "SourceSettings",
    "SourceState",
    "SplitVideo",
    "StateChange",
    "StatedLength",
    "StillnessGate",
    "VideoBounds",
    "VideoCheck",
    "VideoHeader",
    "VideoListing",
    "VideoPart",
    "VideoReader",
    "VideoWriter",
    "Yuv",
    "address_starts",
    "annotate_video",
    "check_video",
    "cut_clip",
    "has_known_start",
    "iter_clips",
    "list_urls",
    "list_videos",
    "open_source",
    "read_frames_at",
    "read_header",
    "read_stated",
    "redact",
    "showable",
    "split_video",
    "start_in_name",
    "use_decoder",
    "video_bounds",
    "warm_up",
    "why_no_nvdec",
    "write_preview",
]
