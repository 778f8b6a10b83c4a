"""The second execution of a Preprocessing: from 8-bit frames that lie on a device, in PyTorch alone.

Every way of resizing is a weighted mean along each axis, so one matrix per axis does what OpenCV and Pillow do. Pixels
differ from those of the first execution by one grey level at most (before normalisation), where sums round differently.

Shape letters: C crops · T frames · H, W pixels · K colours.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from amiss.video import Yuv

if TYPE_CHECKING:
    from amiss.backbones._preprocessing import Preprocessing

_AT_ONCE = 64 << 20  # bytes of frames as float32
_GREY = (9798, 19235, 3735)  # of red, green and blue, of 1 << 15: as OpenCV rounds
_GREY_BITS = 15
_YUV_ONE = 1 << 13  # libav's factors are whole numbers of such parts
_LOBES = 3  # of Pillow's Lanczos
_PILLOW_ONE = 1 << 22  # its weights are whole numbers of such parts


def rgb_of_planes(planes: Tensor, yuv: Yuv) -> Tensor:
    """The decoder's planes → RGB, with the sums of libav's scaler on x86: the same values, bit by bit.

    It counts in whole numbers: products are cut off, not rounded, and four pixels share the chroma of one.

    Args:
        planes: [T, H * 3 / 2, W] uint8, see `PlanesConverter`.
        yuv: what they mean.

    Returns:
        [T, 3, H, W] uint8
    """
    n_frames, height, width = planes.shape[0], planes.shape[1] * 2 // 3, planes.shape[2]
    luma, chroma = (1.0, 1.0) if yuv.is_full else (255 / 219, 255 / 224)
    green = 1 - yuv.red - yuv.blue
    blue_of_u, red_of_v = 2 * (1 - yuv.blue) * chroma, 2 * (1 - yuv.red) * chroma
    green_of_u, green_of_v = -blue_of_u * yuv.blue / green, -red_of_v * yuv.red / green
    y_THW = _times(planes[:, :height], 0 if yuv.is_full else 16, luma)
    u_THW, v_THW = planes[:, height:].reshape(n_frames, 2, height // 2, width // 2).unbind(1)
    of_chroma = (
        _times(v_THW, 128, red_of_v),
        _times(u_THW, 128, green_of_u) + _times(v_THW, 128, green_of_v),
        _times(u_THW, 128, blue_of_u),
    )
    x_TKHW = torch.empty((n_frames, 3, height, width), dtype=torch.uint8, device=planes.device)
    for colour, part_THW in enumerate(of_chroma):
        wide_THW = part_THW.repeat_interleave(2, 1).repeat_interleave(2, 2)
        x_TKHW[:, colour] = (y_THW + wide_THW).clamp_(0, 255)
    return x_TKHW


def _times(x_THW: Tensor, zero: int, factor: float) -> Tensor:
    """`(x - zero) * factor` as 16-bit arithmetic has it."""
    product_THW = (x_THW.to(torch.int32) - zero).mul_(8 * math.floor(factor * _YUV_ONE + 0.5))
    return product_THW.bitwise_right_shift_(16).to(torch.int16)


def resized_on_device(how: "Preprocessing", x_TKHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames [T, 3, H, W] uint8 → [T, 3, H', W'], uint8 (float32 where the description says unrounded)."""
    if how.colour == "grey":
        x_TKHW = _grey(x_TKHW)
    if size != tuple(x_TKHW.shape[2:]):
        resize = _method(how, (x_TKHW.shape[2], x_TKHW.shape[3]), size)
        step = max(1, _AT_ONCE // (4 * math.prod(x_TKHW.shape[1:])))
        x_TKHW = torch.cat([resize(part.to(torch.float32)) for part in torch.split(x_TKHW, step)])
    return x_TKHW.expand(-1, 3, -1, -1)


def _grey(x_TKHW: Tensor) -> Tensor:
    weights_K = torch.tensor(_GREY, dtype=torch.int32, device=x_TKHW.device).view(-1, 1, 1)
    summed = (x_TKHW.to(torch.int32) * weights_K).sum(1, keepdim=True)
    return ((summed + (1 << _GREY_BITS - 1)) >> _GREY_BITS).to(torch.uint8)


def _method(how: "Preprocessing", found: tuple[int, int], size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """What resizes [T, K, H, W] float32 as the description says."""
    (height, width), (new_height, new_width) = found, size
    shrinks = new_height <= height and new_width <= width
    if how.interpolation == "lanczos":
        rows, columns = _lanczos(height, new_height), _lanczos(width, new_width)
        if _pillow_begins_with_columns((height, width), size):
            return lambda x: _half_up(_rows(_half_up(_columns(x, columns)), rows))
        return lambda x: _half_up(_columns(_half_up(_rows(x, rows)), columns))
    if how.interpolation == "area" and shrinks:
        rows, columns = _area(height, new_height), _area(width, new_width)
        return lambda x: _to_bytes(_rows(_columns(x, columns), rows))
    if how.interpolation == "area":
        return lambda x: _to_bytes(F.interpolate(x, size, mode="bilinear"))
    resize = partial(F.interpolate, size=size, mode=how.interpolation, antialias=how.antialias)
    return (lambda x: _to_bytes(resize(x))) if how.rounded else resize


def _to_bytes(x: Tensor) -> Tensor:
    return x.clamp(0, 255).round().to(torch.uint8)


def _half_up(x: Tensor) -> Tensor:
    return (x + 0.5).floor().clamp(0, 255).to(torch.uint8)


def _rows(x_TKHW: Tensor, matrix: Tensor) -> Tensor:
    """Each new row is a weighted mean of the old ones."""
    return matrix.to(x_TKHW.device) @ x_TKHW.to(matrix.dtype)


def _columns(x_TKHW: Tensor, matrix: Tensor) -> Tensor:
    """Each new column is a weighted mean of the old ones."""
    return x_TKHW.to(matrix.dtype) @ matrix.to(x_TKHW.device).T


@lru_cache(maxsize=64)
def _area(source: int, target: int) -> Tensor:
    """OpenCV's INTER_AREA: new pixel i is the mean of what it covers, `[i, i + 1) * source / target`.

    Returns:
        [target, source]
    """
    edges = np.arange(target + 1) * (source / target)
    pixels = np.arange(source)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return torch.from_numpy(_normalised(covered.clip(0))).to(torch.float32)


@lru_cache(maxsize=64)
def _lanczos(source: int, target: int) -> Tensor:
    """Pillow's LANCZOS, stretched to the scale where it shrinks.

    Returns:
        [target, source]
    """
    scale = source / target
    stretch = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    first = np.trunc(centres - _LOBES * stretch + 0.5).clip(0)
    last = np.trunc(centres + _LOBES * stretch + 0.5).clip(max=source)
    pixels = np.arange(source)
    at = (pixels + 0.5 - centres[:, None]) / stretch
    weights = np.where(np.abs(at) < _LOBES, np.sinc(at) * np.sinc(at / _LOBES), 0.0)
    weights = _normalised(np.where((pixels >= first[:, None]) & (pixels < last[:, None]), weights, 0.0))
    return torch.from_numpy(np.rint(weights * _PILLOW_ONE) / _PILLOW_ONE)  # double: its sums are exact, as Pillow's


@lru_cache(maxsize=64)
def _pillow_begins_with_columns(found: tuple[int, int], size: tuple[int, int]) -> bool:
    """Which of its two passes, each rounded to bytes, Pillow takes first: it depends on its version and the sizes."""
    noise_HW = np.random.RandomState(0).randint(0, 256, found).astype(np.uint8)
    x_HW = torch.from_numpy(noise_HW)
    image = Image.fromarray(noise_HW).resize(size[::-1], Image.Resampling.LANCZOS)
    rows, columns = _lanczos(found[0], size[0]), _lanczos(found[1], size[1])
    columns_first = _half_up(_rows(_half_up(_columns(x_HW, columns)), rows)).to(torch.float32)
    rows_first = _half_up(_columns(_half_up(_rows(x_HW, rows)), columns)).to(torch.float32)
    pillow = torch.from_numpy(np.asarray(image).astype(np.float32))
    return bool((columns_first - pillow).abs().sum() <= (rows_first - pillow).abs().sum())


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return shares
