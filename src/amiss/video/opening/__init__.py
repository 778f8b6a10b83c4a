"""Which files and folders are videos, how they are opened, and what they may ask of this machine."""

from amiss.video.opening._bounds import VideoBounds, video_bounds
from amiss.video.opening._containers import FORMATS, VIDEO_SUFFIXES, allowed, bound_pictures, open_container
from amiss.video.opening._hardware import accelerator, not_accelerated, use_decoder, why_no_nvdec
from amiss.video.opening._listing import VideoListing, list_urls, list_videos
from amiss.video.opening._pictures import (
    FALLBACK_FPS,
    PICTURE_SUFFIXES,
    RATE_UNKNOWN,
    PictureFolder,
    numbered,
)

__all__ = [
    "FALLBACK_FPS",
    "FORMATS",
    "PICTURE_SUFFIXES",
    "RATE_UNKNOWN",
    "VIDEO_SUFFIXES",
    "PictureFolder",
    "VideoBounds",
    "VideoListing",
    "accelerator",
    "allowed",
    "bound_pictures",
    "list_urls",
    "list_videos",
    "not_accelerated",
    "numbered",
    "open_container",
    "use_decoder",
    "video_bounds",
    "why_no_nvdec",
]
