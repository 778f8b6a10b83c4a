"""Engines: run a backbone fast on the device that is there."""

from amiss.engines._base import Engine, Prepared
from amiss.engines._choice import Choice, bfloat16_arithmetic, check_names, choose, engines_of
from amiss.engines._create import create_engine
from amiss.engines._fused import FusedEngine
from amiss.engines._int8 import QuantisedNetwork, quantise
from amiss.engines._openvino import OpenVINOEngine
from amiss.engines._openvino_package import openvino_version
from amiss.engines._torch import TorchEngine

__all__ = [
    "Choice",
    "Engine",
    "FusedEngine",
    "OpenVINOEngine",
    "Prepared",
    "QuantisedNetwork",
    "TorchEngine",
    "bfloat16_arithmetic",
    "check_names",
    "choose",
    "create_engine",
    "engines_of",
    "openvino_version",
    "quantise",
]
