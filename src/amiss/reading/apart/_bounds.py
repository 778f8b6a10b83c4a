"""What a process that reads a file may use."""

from typing import Annotated, Literal

from pydantic import Field

from amiss.settings import Settings, from_environment


class DecodeBounds(Settings):
    """Bounds on decoding in a process of its own. Each can be set in the environment: `AMISS_DECODE_WAIT_S=120`."""

    decoder: Literal["auto", "cpu", "cuda"] = "auto"
    """What decodes videos; `cuda` is NVDEC, `auto` the processor. With NVDEC a process has no bound on its memory."""
    decode_worker: bool = True
    """Decode files in a process of its own, so that one that ends or fills it ends nothing else. Not on Windows."""
    decode_memory_mb: Annotated[int, Field(ge=256, le=1 << 20)] = 4096
    """Of that process, all that it maps."""
    decode_wait_s: Annotated[float, Field(gt=0, le=86400)] = 60.0
    """Longest time without one decoded picture; then it is ended, and the file counts as one that can't be decoded."""


def decode_bounds() -> DecodeBounds:
    """The bounds that hold in this process: what its environment says, for the rest the defaults.

    Raises:
        UsageError: a value in the environment makes no sense.
    """
    return from_environment(DecodeBounds)
