"""Which files are opened as videos, by name and by content, and how: no bytes of a file lead to another."""

from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from amiss.errors import VideoError
from amiss.storage import StreamedFile, Url
from amiss.video.opening._bounds import VideoBounds
from amiss.video.opening._hardware import why_no_nvdec

VIDEO_SUFFIXES = frozenset(
    [
        ".3g2",
        ".3gp",
        ".amv",
        ".apng",
        ".asf",
        ".av1",
        ".avi",
        ".avs",
        ".avs2",
        ".avs3",
        ".cine",
        ".dav",
        ".dif",
        ".divx",
        ".dv",
        ".f4v",
        ".flv",
        ".gif",
        ".gxf",
        ".h261",
        ".h263",
        ".h264",
        ".h265",
        ".h266",
        ".hevc",
        ".264",
        ".265",
        ".266",
        ".ifv",
        ".ismv",
        ".iv8",
        ".ivf",
        ".kux",
        ".lxf",
        ".m1v",
        ".m2t",
        ".m2ts",
        ".m2v",
        ".m4v",
        ".mj2",
        ".mjpeg",
        ".mjpg",
        ".mk3d",
        ".mkv",
        ".mod",
        ".mov",
        ".mp4",
        ".mp4v",
        ".mpe",
        ".mpeg",
        ".mpg",
        ".mpv",
        ".mts",
        ".mxf",
        ".mxg",
        ".nsv",
        ".nut",
        ".nuv",
        ".obu",
        ".ogm",
        ".ogv",
        ".ps",
        ".pva",
        ".qt",
        ".rm",
        ".rmvb",
        ".tod",
        ".trp",
        ".ts",
        ".ty",
        ".vc1",
        ".vob",
        ".vvc",
        ".webm",
        ".wmv",
        ".wtv",
        ".xvid",
        ".y4m",
        ".yuv4mpeg",
    ]
)
"""Names of video files end in one of these, in small letters or capitals."""

# What libav may take a file for. All of these hold their pictures themselves. Left out are lists of other files
# (concat, HLS, DASH, SDP), what looks for files beside it (image2, vobsub), texts that are drawn, and single pictures.
FORMATS = [
    "amv",
    "apng",
    "asf",
    "av1",
    "avi",
    "avs2",
    "avs3",
    "cavsvideo",
    "cine",
    "dhav",
    "dirac",
    "dnxhd",
    "dv",
    "flv",
    "gif",
    "gxf",
    "h261",
    "h263",
    "h264",
    "hevc",
    "hxvs",
    "ifv",
    "ingenient",
    "iv8",
    "ivf",
    "kux",
    "live_flv",
    "lmlm4",
    "luodat",
    "lxf",
    "m4v",
    "matroska",
    "mjpeg",
    "mlv",
    "mov",
    "mp4",
    "mpeg",
    "mpegts",
    "mpegtsraw",
    "mpegvideo",
    "mpjpeg",
    "mxf",
    "mxg",
    "nsv",
    "nut",
    "nuv",
    "obu",
    "ogg",
    "pva",
    "r3d",
    "rm",
    "smjpeg",
    "ty",
    "vc1",
    "vc1test",
    "vvc",
    "webm",
    "wtv",
    "yuv4mpegpipe",
]
_PICTURE = "is one picture; a folder of numbered pictures is a video"
_BEGINNINGS = {
    b"ffconcat": "is a list of other files, not a video",
    b"#EXTM3U": "is a list of other files, not a video",
    b"[playlist]": "is a list of other files, not a video",
    b"<?xml": "is a text or a list of other files, not a video",
    b"v=0": "is the address of a stream, not a video",
    b"[Reference]": "is the address of a stream, not a video",
    b"\xff\xd8\xff": _PICTURE,
    b"\x89PNG": _PICTURE,
    b"BM": _PICTURE,
    b"II*\0": _PICTURE,
    b"MM\0*": _PICTURE,
}


def open_container(path: Path, bounds: VideoBounds, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a file as one of FORMATS; no other file and no address is opened, whatever it says.

    Args:
        path: the file.
        bounds: on its pictures.
        hwaccel: decodes them; None: the processor.

    Raises:
        VideoError: it is of another kind; says which.
        av.FFmpegError: it can't be read.
    """
    options = {
        "format_whitelist": ",".join(FORMATS),
        "protocol_whitelist": "file",
        "max_pixels": str(bounds.max_pixels),  # while the header is read
    }
    try:
        # Without `file:`, a name with a colon would be taken for a network address. Titles in odd encodings are common.
        file: Any = StreamedFile(path) if isinstance(path, Url) else f"file:{path}"
        container: InputContainer = av.open(file, "r", options=options, metadata_errors="replace", hwaccel=hwaccel)
        return container
    except av.FFmpegError as error:
        if hwaccel is not None and (reason := why_no_nvdec()) is not None:
            raise VideoError(f"{path}: NVDEC can't be used here ({reason}); leave out decoder cuda") from None
        kind = _kind_of(path)
        if kind is None and not isinstance(error, av.ArgumentError):
            raise
        words = kind or "is in no container that is opened as a video; convert it, to MP4 for example"
        raise VideoError(f"{path} {words}") from None


def _kind_of(path: Path) -> str | None:
    """In words, what a file is that isn't opened as a video; None where its start doesn't tell."""
    try:
        with path.open("rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:  # nor may it be read
        return None
    for beginning, words in _BEGINNINGS.items():
        if start.startswith(beginning):
            return words
    return None


def bound_pictures(path: Path, stream: VideoStream, bounds: VideoBounds) -> None:
    """Let no picture be decoded that is too large, also not where the size changes on the way.

    Raises:
        VideoError: the first one is too large already.
    """
    context = stream.codec_context
    if context.width * context.height > bounds.max_pixels:
        size = f"{context.width}x{context.height}"
        raise VideoError(f"{path}: its pictures have {size} pixels: {allowed(bounds)}")
    context.options = {**context.options, "max_pixels": str(bounds.max_pixels)}


def allowed(bounds: VideoBounds) -> str:
    """How large pictures may be."""
    return f"at most {bounds.max_pixels / 1e6:g} million are decoded, and AMISS_MAX_PIXELS allows more"
