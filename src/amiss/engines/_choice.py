"""Which engine and precision a backbone gets.

`python benchmarks/backbones.py NAME … --engines`, random weights: ms of processor time per clip of 16 frames (of which
squeezenet1_1 sees 4), one thread of an AMD EPYC (Zen 4, AVX512-BF16, no AMX); fp32 and bf16 of either engine:

                     torch         OpenVINO
    squeezenet1_1    61    18      24    12
    r3d_18          836   363     654   326
    r2plus1d_18    1236   405     722   391
    s3d             944   606     371   178
    c3d             810   402     648   306
    i3d             910   318     454   263
    swin3d_t       2225  1678    1088   570
    mvit_v2_s      2380  1278    2757  2052

Processors with AMX were not measured; the same choice is made there.

On CUDA torch is the only engine, in bf16 for video networks. fp16 is faster there for some (i3d_resnet50: twice on an
H200) and ends at 65504, which not every network's values keep: it is taken where it is asked for. Networks of the same
kind are taken to behave alike. int8 is never chosen.

Image networks stay in float32: half of their feature is the change from frame to frame, which in bfloat16 drowns in
rounding where little moves (SqueezeNet with its ImageNet weights on a quiet video: its cosine to float32 is below 0.99,
that of the whole feature above 0.9999: `test_bfloat16_blurs_change` in tests/engines/test_openvino.py).
"""

from dataclasses import dataclass
from fnmatch import fnmatch

import torch

from amiss.backbones import BackboneInfo, find_backbone
from amiss.engines._openvino_package import openvino_version
from amiss.errors import UsageError, how_to_install

ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
_FASTER_IN_TORCH = ("mvit_*",)


@dataclass(frozen=True)
class Choice:
    """An engine and a precision for one backbone on one device."""

    engine: str
    precision: str
    fallback: str | None = None
    """Why it isn't the best one, with what to do; None = it is."""


def engines_of(info: BackboneInfo) -> list[str]:
    """The engines that can run a backbone."""
    return ["torch"] if info.kind == "formula" else ["torch", "openvino"]


def bfloat16_arithmetic() -> str | None:
    """The processor's instructions for bfloat16: `amx`, `avx512_bf16`, or None."""
    if getattr(torch.cpu, "_is_amx_tile_supported", bool)():
        return "amx"
    if getattr(torch.cpu, "_is_avx512_bf16_supported", bool)():
        return "avx512_bf16"
    return None


def check_names(engine: str, precision: str) -> None:
    """Refuse names that no engine or precision has, before weights are fetched for it.

    Raises:
        UsageError: no such engine or precision.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine is {engine!r}; it must be one of {ENGINES}")
    if precision not in PRECISIONS:
        raise UsageError(f"precision is {precision!r}; it must be one of {PRECISIONS}")


def choose(name: str, device: str, engine: str = "auto", precision: str = "auto") -> Choice:
    """Engine and precision for a backbone that isn't fused.

    Args:
        name: of the backbone.
        device: `cpu`, `cuda`, `cuda:1`, …
        engine: `auto`, `torch` or `openvino`.
        precision: `auto`, `fp32`, `bf16`, `fp16` (CUDA only) or `int8`.

    Raises:
        UsageError: no such engine or precision, or it isn't possible here.
    """
    check_names(engine, precision)
    info = find_backbone(name)
    if info is None or info.kind == "formula":
        if engine == "openvino":
            raise UsageError(f"{name} is no network: it runs in engine torch only")
        return Choice("torch", "fp32")
    on_cpu = device.startswith("cpu")
    if engine == "openvino" and not on_cpu:
        raise UsageError(f"engine openvino runs on the CPU, not on {device}: leave out one of both")
    if engine == "openvino" and openvino_version() is None:
        raise UsageError(f"engine openvino is not installed: {how_to_install('openvino')}")
    if precision == "int8":
        return _int8(engine, device)
    if precision == "fp16" and on_cpu:
        raise UsageError("precision fp16 runs on CUDA only: choose bf16 or fp32")
    has_bfloat16 = _has_bfloat16(device)
    if precision == "bf16" and not has_bfloat16:
        raise UsageError(f"precision bf16: {device} has no bfloat16 arithmetic; leave it out, or choose fp32")
    if precision == "auto":
        precision = "bf16" if has_bfloat16 and info.kind == "video network" else "fp32"
    if engine != "auto":
        return Choice(engine, precision)
    if not on_cpu or any(fnmatch(name, pattern) for pattern in _FASTER_IN_TORCH):
        return Choice("torch", precision)
    if openvino_version() is None:
        return Choice(
            "torch", precision, f"{name} runs in torch, which is slower: {how_to_install('openvino')} for OpenVINO"
        )
    return Choice("openvino", precision)


def _int8(engine: str, device: str) -> Choice:
    if engine == "torch" or not device.startswith("cpu"):
        raise UsageError("precision int8 runs in engine openvino, on the CPU only")
    if openvino_version() is None:
        raise UsageError(f"precision int8 runs in OpenVINO, which is not installed: {how_to_install('openvino')}")
    return Choice("openvino", "int8")


def _has_bfloat16(device: str) -> bool:
    if device.startswith("cpu"):
        return bfloat16_arithmetic() is not None
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
