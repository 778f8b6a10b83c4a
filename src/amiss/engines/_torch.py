"""Torch engine: CPU or CUDA, in float32, bfloat16 or float16."""

import copy
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amiss.backbones import Backbone
from amiss.engines._base import Engine, Prepared
from amiss.engines._upload import Upload
from amiss.errors import Notice, UsageError
from amiss.video import Yuv

_CUDA_VIEWS = 64  # clips times crops at once; halved where they don't fit into the device's memory
_SHARE_AHEAD = 1 / 16  # of the device's memory, for clips that wait
_WARM_UP_RUNS = 3  # the first compiles, the second and third record CUDA graphs
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine(Engine):
    """Runs a backbone in PyTorch.

    On a CPU one clip (with all its crops) at a time, on CUDA a fixed number of them, the last ones filled up with
    zeros: kernels differ with the batch size, so the features of a clip would depend on its place in the video. Clips
    go to CUDA as 8-bit frames and are preprocessed there.

    Where a batch doesn't fit into the device's memory it is halved for good: the rest of the features may differ in the
    last digits from those before, which a warning says once and the description records. Where not even one clip fits,
    running raises a UsageError.

    In bfloat16 and float16, convolutions and matrix products take such values and the rest stays float32 (autocast).
    Values of float16 end at 65504: where features aren't finite in it, running raises a UsageError.

    Compiled, the network is translated by `torch.compile` when it meets a new size of clips, on CUDA with CUDA graphs.
    That takes seconds to minutes, which notices tell; features differ in the last digits, which the description
    records. Where it isn't possible, running raises a UsageError.
    """

    name = "torch"

    def __init__(self, backbone: Backbone, device: str, precision: str = "fp32", *, is_compiled: bool = False) -> None:
        self._device = existing_device(device)
        if precision in _DTYPES:
            backbone = _in_16_bits(backbone, _DTYPES[precision])
        try:
            self._backbone = backbone.to(self._device)
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"{self._device} has no memory for the weights of {backbone.spec.backbone}: take a smaller backbone, "
                "or the CPU (device cpu)"
            ) from error
        self._network: Callable[[Tensor], Tensor] = self._backbone
        self._is_compiled = is_compiled
        self._compiled_for: set[torch.Size] = set()
        if is_compiled:
            mode = "reduce-overhead" if self._device.type == "cuda" else "default"
            self._network = torch.compile(self._backbone, mode=mode, dynamic=False)
        self.spec = backbone.spec
        self.device = str(self._device)
        self.precision = precision
        self.batch = max(1, _CUDA_VIEWS // self.spec.crops) if self._device.type == "cuda" else 1
        self._is_halved = False
        self._upload: Upload | None = None
        if self._device.type == "cuda":
            self.bytes_ahead = int(torch.cuda.get_device_properties(self._device).total_memory * _SHARE_AHEAD)
            has_its_own = type(backbone).preprocess is not Backbone.preprocess
            if self._backbone.preprocessing is not None and not has_its_own:
                self._upload = Upload(self._backbone.preprocessing, self._device)
                self.takes_planes = not self._backbone.preprocessing.zoom  # which looks at whole RGB frames

    @property
    def description(self) -> str:
        compiled = " compiled" if self._is_compiled else ""
        return super().description + compiled + (f" batch {self.batch}" if self._is_halved else "")

    def prepare(self, frames: NDArray[np.uint8]) -> Prepared:
        if self._upload is not None:
            return self._uploaded(self._upload, frames)
        with torch.inference_mode():
            return (self._backbone.preprocess(frames),)

    def prepare_planes(self, planes: NDArray[np.uint8], yuv: Yuv) -> Prepared:
        return (
            super().prepare_planes(planes, yuv) if self._upload is None else self._uploaded(self._upload, planes, yuv)
        )

    def _uploaded(self, upload: Upload, frames: NDArray[np.uint8], yuv: Yuv | None = None) -> Prepared:
        try:
            with torch.inference_mode():
                return (upload(frames, yuv),)
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"{self._device} has no memory to prepare clips of {frames.shape[1]} rows of {frames.shape[2]} pixels: "
                "end what else uses it, or take the CPU (device cpu)"
            ) from error

    @torch.inference_mode()
    def run(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        rows = np.empty((len(prepared), self.spec.crops, self.spec.dim), np.float32)
        start = 0
        while start < len(prepared):
            clips = [clip for (clip,) in prepared[start : start + self.batch]]
            try:
                features = self._forward(clips)
            except torch.OutOfMemoryError as error:
                if self.batch == 1:
                    raise UsageError(
                        f"{self.device} has no memory for one clip of {self.spec.backbone} (crops {self.spec.crops}, "
                        f"{self.precision}): take fewer crops, precision bf16, a smaller backbone, or the CPU (device "
                        "cpu; a command sees no GPU where CUDA_VISIBLE_DEVICES is set to nothing)"
                    ) from error
                if not self._is_halved:
                    warnings.warn(
                        f"{self.device} has no memory for {self.batch} clips at once: from now on it takes fewer. "
                        "Features from here on may differ in the last digits from those before",
                        stacklevel=2,
                    )
                self.batch //= 2
                self._is_halved = True
                continue
            rows[start : start + len(clips)] = features[: len(clips)]
            start += len(clips)
        return rows

    def _forward(self, clips: Sequence[Tensor]) -> NDArray[np.float32]:
        """Clips [C, 3, T', H', W'], at most a batch of them → features of a whole batch, [N, C, D]."""
        filling = [torch.zeros_like(clips[0])] * (self.batch - len(clips))
        x_NKTHW = torch.cat([*clips, *filling]).to(self._device)
        dtype = _DTYPES.get(self.precision)
        if dtype is not None:
            x_NKTHW = x_NKTHW.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(self._device.type, dtype, enabled=dtype is not None):
            is_new = self._is_compiled and x_NKTHW.shape not in self._compiled_for
            features = self._compile(x_NKTHW) if is_new else self._network(x_NKTHW)
        rows: NDArray[np.float32] = features.float().cpu().numpy()
        if dtype is torch.float16 and not np.isfinite(rows[: len(clips) * self.spec.crops]).all():
            raise UsageError(
                f"{self.spec.backbone} has values beyond 65504, where float16 ends: take precision bf16 or fp32"
            )
        return rows.reshape(self.batch, -1, rows.shape[1])

    def _compile(self, x_NKTHW: Tensor) -> Tensor:
        """The first run on clips of a size."""
        name, (*_, frames, height, width) = self.spec.backbone, x_NKTHW.shape
        clips = f"{len(x_NKTHW)} x {frames} frames of {width}x{height}"
        warnings.warn(f"{name} is compiled for {clips}: this takes seconds to minutes", Notice, stacklevel=2)
        began = time.monotonic()
        try:
            for _ in range(_WARM_UP_RUNS if self._device.type == "cuda" else 1):
                features = self._network(x_NKTHW)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the compiler, and what it calls, raise what they like
            reason = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
            raise UsageError(
                f"torch can't compile {name} here ({reason}): leave out --compile (workers.compile)"
            ) from error
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        warnings.warn(f"{name} was compiled in {time.monotonic() - began:.1f} s", Notice, stacklevel=2)
        self._compiled_for.add(x_NKTHW.shape)
        return features


def existing_device(name: str) -> torch.device:
    """A device, by its name.

    Raises:
        UsageError: it isn't there.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        raise UsageError(f"device {name!r} can't be used: {str(error).splitlines()[0]}") from error
    return device


def _in_16_bits(backbone: Backbone, dtype: torch.dtype) -> Backbone:
    """A copy whose convolutions and linear layers hold such weights, channels last; autocast does the rest."""
    backbone = copy.deepcopy(backbone)
    for module in backbone.modules():
        match module:
            case nn.Conv3d():
                module.to(dtype).to(memory_format=torch.channels_last_3d)
            case nn.Conv2d():
                module.to(dtype).to(memory_format=torch.channels_last)
            case nn.Linear():
                module.to(dtype)
            case _:
                pass
    return backbone
