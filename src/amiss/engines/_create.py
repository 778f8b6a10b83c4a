"""Choosing an engine."""

import os
import warnings

import cv2
import torch

from amiss.backbones import Backbone, FusedBackbone, find_backbone
from amiss.engines._base import Engine
from amiss.engines._choice import choose
from amiss.engines._fused import FusedEngine
from amiss.engines._openvino import OpenVINOEngine
from amiss.engines._torch import TorchEngine, existing_device
from amiss.errors import UsageError


def create_engine(
    backbone: Backbone,
    device: str = "auto",
    threads: int | None = None,
    *,
    engine: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
) -> Engine:
    """The engine that runs a backbone on a device. Where it isn't the best one, a warning says so.

    Args:
        backbone: from `create_backbone`; it is moved to the device.
        device: `auto` (CUDA if there is some, else the CPU), `cpu`, `cuda`, `cuda:1`, … Formulas (`motion`) stay on
            the CPU.
        threads: CPU threads of torch, OpenVINO and OpenCV, for the whole process; None = leave as they are.
        engine: `torch`, `openvino` (CPU only), or `auto`: the faster one, part by part of a fusion. Where a network
            was measured is said in `engines/_choice.py`.
        precision: `fp32`, `bf16`, `fp16` (CUDA only), `int8` (a network that `quantise` made; never taken by itself),
            or `auto`: bf16 for video networks where the device has arithmetic for it, else fp32.
            Features in bf16 agree with fp32 in direction (cosine at least 0.999, tested on CPUs), not in every digit.
        compiled: networks run in torch, compiled by it, see `TorchEngine`; a warning says where there is none.

    Raises:
        UsageError: no such device, engine or precision, it isn't possible here, or not one thread.
        WeightsError: a quantised network is damaged.
    """
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads is {threads}; it must be at least 1")
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    if compiled and (engine == "openvino" or precision == "int8"):
        raise UsageError(
            "--compile (workers.compile) is for engine torch: OpenVINO compiles by itself. Leave out one of both"
        )
    if compiled:
        engine = "torch"
        if all(map(_is_formula, backbone.parts if isinstance(backbone, FusedBackbone) else [backbone])):
            name = backbone.spec.backbone
            warnings.warn(f"--compile changes nothing: {name} is a formula, without a network to compile", stacklevel=2)
    if device == "auto":
        device = "cpu" if engine == "openvino" or precision == "int8" or not torch.cuda.is_available() else "cuda"
    if not isinstance(backbone, FusedBackbone):
        return _create(backbone, device, threads, engine, precision, compiled)
    parts = [_create(part, device, threads, engine, precision, compiled) for part in backbone.parts]
    return FusedEngine(backbone.spec, parts)


def _is_formula(backbone: Backbone) -> bool:
    info = find_backbone(backbone.spec.backbone)
    return info is not None and info.kind == "formula"


def _create(
    backbone: Backbone, device: str, threads: int | None, engine: str, precision: str, compiled: bool
) -> Engine:
    choice = choose(backbone.spec.backbone, device, engine, precision)
    if _is_formula(backbone):
        existing_device(device)
        formula = TorchEngine(backbone, "cpu", choice.precision)  # what it computes isn't written for anything else
        if not device.startswith("cpu"):
            formula.batch = os.cpu_count() or 1  # the GPU leaves the cores to it
        return formula
    if choice.fallback is not None:
        warnings.warn(choice.fallback, stacklevel=3)
    if choice.engine == "torch":
        return TorchEngine(backbone, device, choice.precision, is_compiled=compiled)
    try:
        return OpenVINOEngine(backbone, choice.precision, threads)
    except UsageError as error:
        if engine != "auto" or choice.precision == "int8":
            raise
        warnings.warn(f"{error}: it runs in torch", stacklevel=3)
        return TorchEngine(backbone, device, choice.precision)
