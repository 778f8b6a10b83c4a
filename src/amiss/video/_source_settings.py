"""How a source is read."""

from typing import Annotated, Literal

from pydantic import Field

from amiss.settings import Settings

Timeout = Annotated[float, Field(gt=0, le=600)]


class SourceSettings(Settings):
    """How a camera is read."""

    transport: Literal["tcp", "udp"] = "tcp"
    """Of RTSP. UDP loses packets where the network is busy, and pictures with them."""
    open_timeout_s: Timeout = 10.0
    """Longest wait for a connection."""
    read_timeout_s: Timeout = 10.0
    """Longest wait for the next picture; then the camera counts as stalled and is connected anew."""
    height: Annotated[int | None, Field(ge=16, le=4320)] = None
    """Pictures are made this high before anything else: less work with large pictures, slightly other features;
    null = as they come. Clips of events keep the camera's size."""
