"""Where cameras are watched, if that isn't this process: on a Ray cluster."""

from typing import Annotated

from pydantic import Field

from amiss.settings import Settings


class ClusterSettings(Settings):
    """Cameras are watched in processes on the machines of a Ray cluster. This process keeps events, clips, alerts and
    pages. Ray has no login: its ports belong into a closed network."""

    address: Annotated[str, Field(pattern=r"^\S+$", max_length=255)] = "auto"
    """Of the cluster: auto (the one that this machine is part of), host:port, or local (Ray on this machine alone)."""
    cameras_per_process: Annotated[int, Field(ge=1, le=200)] = 4
    """Cameras that share a process, and with it the backbone."""
    cpus: Annotated[float, Field(gt=0, le=1024)] = 2.0
    """CPUs that Ray keeps free for each process."""
    gpus: Annotated[float, Field(ge=0, le=64)] = 0.0
    """GPUs of each process; 0.25: four processes share one. 0: the backbone runs on CPUs."""
