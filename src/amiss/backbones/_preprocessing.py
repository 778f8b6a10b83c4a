"""Preprocessing: decoded frames → what a network was trained to see.

One description, two executions: from frames in memory (`preprocessing(frames)`), and from frames that were copied to
the network's device as they are, 8 bits a value (`preprocessing.on_device(frames)`).

Shape letters: C crops · T frames · H, W pixels.
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from amiss.backbones._device_preprocessing import resized_on_device, rgb_of_planes
from amiss.backbones._zoom import zoomed
from amiss.errors import UsageError
from amiss.video import Yuv

CROPS = (1, 5, 10)
_ZOOM = "half where most moves"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The preprocessing that belongs to a set of weights. Frames stay 8 bit until cropped, as torchvision's."""

    resize: tuple[int, int] | int | None = None
    """(height, width), a length for the shorter side, or None for the native size."""
    interpolation: Literal["bilinear", "bicubic", "area", "lanczos"] = "bilinear"
    """`area` is OpenCV's pixel average (bilinear to enlarge), `lanczos` Pillow's, the others torch's."""
    antialias: bool = False
    """Low-pass filter before shrinking (`bilinear` and `bicubic` only)."""
    rounded: bool = True
    """Resized pixels are rounded to 8 bits, as torchvision and image libraries do (`bilinear` and `bicubic` only)."""
    crop: int | None = None
    """Side of the square crop; None = the whole frame."""
    crops: int = 1
    """1: centre. 5: top left, top right, centre, bottom left, bottom right. 10: these, then the mirror image's."""
    sampled: int | None = None
    """Frames of a clip that are used, evenly spaced from first to last; None = all."""
    zoom: bool = False
    """Of all frames first the part that is half as high and half as wide and in which most moves during the clip."""
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    """`grey` gives three equal channels."""
    value_range: tuple[float, float] = (0.0, 1.0)
    """What 0..255 is mapped to, before mean and std."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.crops not in CROPS:
            raise UsageError(f"crops is {self.crops}; it must be one of {CROPS}")
        if self.crops > 1 and self.crop is None:
            raise UsageError(f"crops is {self.crops}, but this backbone sees the whole frame: use crops=1")

    def spec_fields(self) -> dict[str, Any]:
        """The fields of a FeatureSpec that say how frames are preprocessed."""
        match self.resize:
            case None:
                resize = "none"
            case (height, width):
                resize = f"{height}x{width} {self.interpolation}"
            case side:
                resize = f"shorter side {side} {self.interpolation}"
        crop = "none" if self.crop is None else f"centre {self.crop}"
        if self.zoom:
            crop = _ZOOM if self.crop is None else f"{_ZOOM}, {crop}"
        return {
            "resize": resize + (" antialiased" if self.antialias else "") + ("" if self.rounded else " unrounded"),
            "crop": crop,
            "crops": self.crops,
            "sampled": self.sampled,
            "colour": self.colour,
            "value_range": self.value_range,
            "mean": self.mean,
            "std": self.std,
        }

    def __call__(self, frames: NDArray[np.uint8]) -> Tensor:
        """One clip as decoded → the network's input, one per crop.

        Args:
            frames: [T, H, W, 3] uint8 RGB, any size. Smaller than the crop, they are enlarged until they fill it.

        Returns:
            [C, 3, T', H', W'] float32; T' is `sampled`, or T.

        Raises:
            UsageError: not such frames.
        """
        frames = self.used(frames)
        if self.colour == "bgr":
            frames = frames[..., ::-1]
        return self._normalised(self._views(self._resized(frames)))

    def on_device(self, frames: Tensor, yuv: Yuv | None = None) -> Tensor:
        """The same from frames that lie on a device, there.

        Pixels differ by at most one grey level (of 0..255, before normalisation) from what frames in memory give.

        Args:
            frames: [T, H, W, 3] uint8 RGB, or planes [T, H * 3 / 2, W], those that `used` gives.
            yuv: what planes mean.

        Returns:
            [C, 3, T', H', W'] float32, on the same device.
        """
        x_TKHW = frames.permute(0, 3, 1, 2) if yuv is None else rgb_of_planes(frames, yuv)
        x_TKHW = resized_on_device(self, x_TKHW, self._target_size(*x_TKHW.shape[2:]))
        if self.colour == "bgr":
            x_TKHW = x_TKHW.flip(1)
        return self._normalised(self._views(x_TKHW))

    def used(self, frames: NDArray[np.uint8], yuv: Yuv | None = None) -> NDArray[np.uint8]:
        """Those frames of a clip that the network sees, and of them the part that it sees.

        Args:
            frames: as `on_device` takes them; with `zoom` no planes.
            yuv: what planes mean.

        Raises:
            UsageError: not a clip, [T, H, W, 3] uint8.
        """
        is_rgb = frames.ndim == 4 and frames.shape[3] == 3
        if not (is_rgb or yuv is not None) or frames.dtype != np.uint8 or 0 in frames.shape:
            raise UsageError(f"frames are {frames.dtype} {frames.shape}; a clip is uint8 [T, H, W, 3]")
        rows, columns = zoomed(frames) if self.zoom else (slice(None), slice(None))
        if self.sampled is not None:
            frames = frames[np.linspace(0, len(frames) - 1, self.sampled).round().astype(int)]
        return frames[:, rows, columns]

    def _normalised(self, x_CTKHW: Tensor) -> Tensor:
        """Pixels → what the network was trained to see, [C, 3, T, H, W]."""
        x_CKTHW = x_CTKHW.transpose(1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        x_CKTHW = x_CKTHW.contiguous()  # float32 of unrounded pixels came as it was; grey ones share their memory
        low, high = self.value_range
        if (low, high) != (0.0, 255.0):
            x_CKTHW = x_CKTHW.div_(255)
            if (low, high) != (0.0, 1.0):
                x_CKTHW = x_CKTHW.mul_(high - low).add_(low)
        if self.mean is not None:
            x_CKTHW = x_CKTHW.sub_(_per_colour(self.mean, x_CKTHW))
        if self.std is not None:
            x_CKTHW = x_CKTHW.div_(_per_colour(self.std, x_CKTHW))
        return x_CKTHW

    def _target_size(self, height: int, width: int) -> tuple[int, int]:
        match self.resize:
            case None:
                pass
            case (height_, width_):
                height, width = height_, width_
            case side:
                scale_by = min(height, width)
                height, width = int(side * height / scale_by), int(side * width / scale_by)
        if self.crop is not None and min(height, width) < self.crop:
            scale_by = min(height, width)
            height, width = -(-self.crop * height // scale_by), -(-self.crop * width // scale_by)
        return height, width

    def _resized(self, frames_THWK: NDArray[np.uint8]) -> Tensor:
        """[T, H, W, 3] → uint8 [T, 3, H', W']."""
        height, width = frames_THWK.shape[1:3]
        size = self._target_size(height, width)
        if self.colour == "grey":
            frames_THWK = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None] for frame in frames_THWK])
        if size != (height, width) and self.interpolation == "area":
            method = cv2.INTER_AREA if size[0] <= height and size[1] <= width else cv2.INTER_LINEAR
            resized = [cv2.resize(frame, size[::-1], interpolation=method) for frame in frames_THWK]
            frames_THWK = np.stack(resized).reshape(len(resized), *size, -1)
        if size != (height, width) and self.interpolation == "lanczos":
            one_or_three = frames_THWK[..., 0] if self.colour == "grey" else frames_THWK
            images = [Image.fromarray(np.ascontiguousarray(frame)) for frame in one_or_three]
            resized = [np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS)) for image in images]
            frames_THWK = np.stack(resized).reshape(len(resized), *size, -1)
        x_TKHW = torch.from_numpy(np.require(frames_THWK, requirements=["C", "W"])).permute(0, 3, 1, 2)
        if size != tuple(x_TKHW.shape[2:]):
            resized_TKHW = torch.empty((*x_TKHW.shape[:2], *size), dtype=torch.uint8 if self.rounded else torch.float32)
            for target, x_KHW in zip(resized_TKHW, x_TKHW, strict=True):  # one at a time stays in the processor's cache
                frame = F.interpolate(x_KHW.float()[None], size, mode=self.interpolation, antialias=self.antialias)
                target.copy_(frame[0].clamp_(0, 255).round_() if self.rounded else frame[0])
            x_TKHW = resized_TKHW
        return x_TKHW.expand(-1, 3, -1, -1)

    def _views(self, x_TKHW: Tensor) -> Tensor:
        """[T, 3, H, W] → [C, T, 3, H', W']."""
        if self.crop is None:
            return x_TKHW.unsqueeze(0)
        side, (height, width) = self.crop, x_TKHW.shape[2:]
        bottom, right = height - side, width - side
        centre = (round(bottom / 2), round(right / 2))
        corners = [centre] if self.crops == 1 else [(0, 0), (0, right), centre, (bottom, 0), (bottom, right)]
        frames = [x_TKHW, x_TKHW.flip(3)] if self.crops == 10 else [x_TKHW]
        return torch.stack([x[:, :, top : top + side, left : left + side] for x in frames for top, left in corners])


def _per_colour(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device).view(-1, 1, 1, 1)
