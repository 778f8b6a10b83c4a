"""Engines: run a backbone fast on the device that is there."""

from amiss.engines._base import Engine
from amiss.engines._registry import create_engine
from amiss.engines._torch import TorchEngine

__all__ = ["Engine", "TorchEngine", "create_engine"]
