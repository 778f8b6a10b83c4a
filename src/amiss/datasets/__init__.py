"""Manifests and the datasets they describe."""

from amiss.datasets._manifest import (
    VIDEO_SUFFIXES,
    Manifest,
    Split,
    Video,
    find_videos,
    format_events,
    parse_events,
    read_manifest,
    video_id_of,
    write_manifest,
)

__all__ = [
    "VIDEO_SUFFIXES",
    "Manifest",
    "Split",
    "Video",
    "find_videos",
    "format_events",
    "parse_events",
    "read_manifest",
    "video_id_of",
    "write_manifest",
]
