"""Recorded videos: which there are, scores of them, and what is exported. Decoding and scoring run apart."""

from amiss.app.videos._library import SUFFIXES, ExportKind, Library, LibraryVideo, VideoState, VideoSummary
from amiss.app.videos._uploads import Upload

__all__ = ["SUFFIXES", "ExportKind", "Library", "LibraryVideo", "Upload", "VideoState", "VideoSummary"]
