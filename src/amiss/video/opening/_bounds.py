"""What a video file may ask of this machine, whoever wrote it."""

from typing import Annotated

from pydantic import Field

from amiss.reading.apart import DecodeBounds
from amiss.settings import from_environment


class VideoBounds(DecodeBounds):
    """Bounds on what is decoded, wherever it comes from.

    Each can be set in the environment, by its name in capitals after `AMISS_`: `AMISS_MAX_PIXELS=100000000`.
    """

    max_pixels: Annotated[int, Field(ge=1, le=1 << 31)] = 36_000_000
    """Of one picture, width times height. A video with larger ones is refused. 8K has 33 million."""
    clip_pixels: Annotated[int, Field(ge=1, le=1 << 31)] = 4_000_000
    """Larger pictures are shrunk to so many before clips are made of them. Backbones look at far fewer."""
    max_gap_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds. A longer time without a picture is a gap: it belongs to no clip, isn't filled when frames are resampled,
    and counts in no hours. A number without end: there are none."""
    max_duration_h: Annotated[float, Field(gt=0)] = 200.0
    """Hours of one video, gaps left out. What comes after them isn't decoded, which is said."""


def video_bounds() -> VideoBounds:
    """The bounds that hold in this process: what its environment says, for the rest the defaults.

    Raises:
        UsageError: a value in the environment makes no sense.
    """
    return from_environment(VideoBounds)
