"""Which decoder: the processor's cores, or NVIDIA's NVDEC, which PyAV's FFmpeg brings along.

NVDEC's pictures are copied back and go on as those of the processor do. `auto` is the processor: it decodes in a
process of bounded memory, and with 8 or more cores it was faster than NVDEC.
"""

import os

import av
from av.codec.hwaccel import HWAccel
from av.video.stream import VideoStream

from amiss.errors import UsageError
from amiss.video.opening._bounds import video_bounds

_USUAL_CODEC = "h264"


def why_no_nvdec() -> str | None:
    """Why NVDEC can't decode here; None = it can."""
    try:
        HWAccel("cuda").create(av.Codec(_USUAL_CODEC, "r"))
    except (av.FFmpegError, NotImplementedError, RuntimeError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return None


def use_decoder(name: str) -> None:
    """Decode with it from here on, in this process and in those that decode for it.

    Args:
        name: `auto`, `cpu` or `cuda`.

    Raises:
        UsageError: there is no such decoder, or not here.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"decoder is {name!r}; it must be auto, cpu or cuda")
    if name == "cuda" and (reason := why_no_nvdec()) is not None:
        raise UsageError(f"decoder cuda: NVDEC can't be used here ({reason}); leave it out, or choose cpu")
    os.environ["AMISS_DECODER"] = name


def accelerator() -> HWAccel | None:
    """What `av.open` is given so that NVDEC decodes; None: the processor decodes."""
    return HWAccel("cuda") if video_bounds().decoder == "cuda" else None


def not_accelerated(stream: VideoStream) -> str | None:
    """Why a stream that was opened for NVDEC isn't decoded by it; None: it is, or the processor was meant.

    PyAV would take the processor without a word where NVDEC doesn't have the codec.
    """
    if video_bounds().decoder != "cuda" or stream.codec_context.is_hwaccel:
        return None
    return f"NVDEC doesn't decode {stream.codec_context.name} video; leave out decoder cuda"
