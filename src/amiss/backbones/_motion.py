"""`motion`: a weight-free backbone from dense optical flow and grey gradients, for any machine.

What a clip is reduced to, in order of the feature vector. A pair is two successive frames; lengths are in pixels of
the working size 180x240 to which every frame is squeezed, speeds in such pixels per frame (clips don't know their
frame rate, so a detector fits cameras of about the rate that it was trained with; see the spec's `frame_rate`).

Per pair and pixel, at half the working size (90x120):
    light      the frame less its median, over its standard deviation: lamps that flicker or are switched fall out
    change     root of the mean square difference of light around the pixel (Gaussian, sigma 1.5), times `sure`
    sure       0..1 as that mean square goes from 2 to 3 times the noise, which is its lower quartile over the clip
    flow       DIS optical flow (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016), less its
               median over the frame (a shaking or panning camera), its length shortened by 0.15, times `sure`
    speed      length of that flow
    moving     1 where the speed is above 0.1

Per cell of a 6x8 grid, over the clip (12 maps):
    mean, q90, q98   mean and quantiles of the speed
    moving           share of moving pixels
    pace             speed of the moving pixels
    burst            standard deviation over time of the cell's mean speed
    turn             mean length of the change from pair to pair of the cell's mean flow
    change           mean change
    coherence        length of the cell's mean flow over its mean speed: 1 = all one way
    shear            mean of the flow's spatial differences: limbs against rigid bodies
    texture          mean gradient of light over the moving pixels
    vertical         mean vertical speed

Then, of which all but `where` don't depend on the place of what moves:
    order      of each map, sorted over cells: largest, mean of the 3, 6, 12 largest, mean of all (60)
    fastest    mean of each map over the three cells with the largest q90 (12)
    where      mean, q98 and change at 3x4 places, the largest of 2x2 cells (36)
    speeds     shares of pixels faster than 14 thresholds (14)
    directions mean flow right, left, down, up, each rectified (4; Efros et al., "Recognizing Action at a Distance",
               ICCV 2003)
    rhythm     of the frame's mean speed, of the mean of its 100 fastest pixels, and of its mean change: mean,
               largest and standard deviation over time, and mean step (12)
    bodies     connected moving regions of at least 20 pixels: length (root of the area), width, height, speed,
               speed per own length, per own height, coherence, unevenness of speed; their means weighted by area,
               over the fastest and over the largest of the clip, and their 98 % quantiles (32), and how many (1)

Lengths and speeds are compressed by log(1 + x), shares by a square root, so that values are mostly between 0 and 3;
they are always finite, and those of a still clip are 0. Equal frames at the end of a clip, with which the last clip
of a video is filled up, are left out. A changed formula gets a new name.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amiss.backbones._base import Backbone, BackboneEntry, BackboneInfo
from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._spec import FeatureSpec

Array = NDArray[np.float32]

SIZE = (180, 240)
HALF = (SIZE[0] // 2, SIZE[1] // 2)
GRID = (6, 8)
FLOW_NOISE = 0.15
MOVING = 0.1
CHANGE_NOISE = 0.02
SPEEDS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 15)
FAST_PIXELS = 100
BODY_PIXELS = 20
BODY_TRAITS = 8
DIM = 12 * 5 + 12 + 3 * 12 + len(SPEEDS) + 4 + 3 * 4 + 4 * BODY_TRAITS + 1


class Motion(Backbone):
    """Statistics of motion over a clip; see this module's text for the formula."""

    def __init__(self, weights: str | Path, crops: int) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(
            resize=SIZE, interpolation="area", colour="grey", value_range=(0.0, 255.0), crops=crops
        )
        # Repeats of a frame would be a last clip that stands still.
        self.spec = FeatureSpec(
            backbone="motion", weights="none", dim=DIM, tail="last", **self.preprocessing.spec_fields()
        )

    def forward(self, clips: Tensor) -> Tensor:
        grey_NTHW = clips[:, 0].round().to(torch.uint8).cpu().numpy()
        with _one_opencv_thread:
            if len(grey_NTHW) == 1:
                rows = [_feature(grey_NTHW[0])]
            else:  # several clips are given where cores are free
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    rows = list(pool.map(_feature, grey_NTHW))
        return torch.from_numpy(np.stack(rows)).to(clips.device)


class _OneOpenCvThread:
    """OpenCV cuts a frame into as many strips as it has threads, and the flow differs at their edges."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = self._before = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                cv2.setNumThreads(self._before)


_one_opencv_thread = _OneOpenCvThread()


def _feature(grey_THW: NDArray[np.uint8]) -> Array:
    return describe(grey_THW, flow_of(grey_THW))


def flow_of(grey_THW: NDArray[np.uint8]) -> Array:
    """Optical flow of each pair of frames [T, 180, 240] → [T-1, 90, 120, 2], in working-size pixels per frame."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    method.setFinestScale(1)
    flow = np.zeros((len(grey_THW) - 1, *HALF, 2), np.float32)
    for out, before, after in zip(flow, grey_THW, grey_THW[1:], strict=False):
        if not np.array_equal(before, after):
            found = method.calc(before, after, None)  # type: ignore[call-overload]  # None: no initial flow
            out[:] = cv2.resize(found, HALF[::-1], interpolation=cv2.INTER_AREA)
    return flow


def describe(grey_THW: NDArray[np.uint8], flow_PHWK: Array) -> Array:
    """The feature of a clip [T, 180, 240] with P = T - 1 flows [P, 90, 120, 2] → [D]."""
    differ = np.flatnonzero((grey_THW[1:] != grey_THW[:-1]).any((1, 2)))
    if len(differ) == 0:
        return np.zeros(DIM, np.float32)
    n_pairs = differ[-1] + 1
    grey_THW, flow_PHWK = grey_THW[: n_pairs + 1], flow_PHWK[:n_pairs]
    change, sure, texture = _appearance(grey_THW)
    u, v, speed = _steady(flow_PHWK, sure)
    moving = (speed > MOVING).astype(np.float32)

    u_cells, v_cells, speed_cells = _cells(u), _cells(v), _cells(speed)
    mean, share = speed_cells.mean(0), _cells(moving).mean(0)
    ranked = np.sort(_pixels_by_cell(speed), axis=1)
    shear = np.zeros_like(speed)
    for x in (u, v):
        shear[:, 1:] += np.abs(np.diff(x, axis=1))
        shear[:, :, 1:] += np.abs(np.diff(x, axis=2))
    turn = np.hypot(np.diff(u_cells, axis=0), np.diff(v_cells, axis=0))
    q90 = ranked[:, int(0.90 * ranked.shape[1])]
    maps = np.stack([
        np.log1p(4 * mean),
        np.log1p(q90),
        np.log1p(ranked[:, int(0.98 * ranked.shape[1])]),
        np.sqrt(share),
        np.log1p(mean / (share + 0.02)),
        np.log1p(4 * speed_cells.std(0)),
        np.log1p(4 * (turn.mean(0) if len(turn) else np.zeros_like(mean))),
        np.log1p(4 * _cells(change).mean(0)),
        np.hypot(u_cells.mean(0), v_cells.mean(0)) / (mean + 0.02),
        np.log1p(4 * _cells(shear).mean(0)),
        _cells(texture * moving).mean(0) / (share + 0.02),
        np.log1p(4 * _cells(np.abs(v)).mean(0)),
    ])  # fmt: skip
    falling = np.sort(maps, axis=1)[:, ::-1]
    order = np.stack([falling[:, :n].mean(1) for n in (1, 3, 6, 12, falling.shape[1])], axis=1)
    fastest = maps[:, np.argsort(-q90, kind="stable")[:3]].mean(1)
    rows, columns = GRID
    where = maps[[0, 2, 7]].reshape(3, rows // 2, 2, columns // 2, 2).max((2, 4))
    speeds = np.sqrt([np.count_nonzero(speed > threshold) / speed.size for threshold in SPEEDS])
    directions = np.log1p(20 * np.array([np.maximum(x, 0).mean(dtype=np.float64) for x in (u, -u, v, -v)]))
    n_fast = speed[0].size - FAST_PIXELS
    fast_pixels = np.partition(speed.reshape(len(speed), -1), n_fast, axis=1)[:, n_fast:].mean(1, dtype=np.float64)
    rhythm = [
        _rhythm(x)
        for x in (
            20 * speed.mean((1, 2), dtype=np.float64),
            fast_pixels,
            20 * change.mean((1, 2), dtype=np.float64),
        )
    ]
    blocks = [order, fastest, where, speeds, directions, *rhythm, _bodies(u, v, speed)]
    return np.concatenate([np.ravel(block) for block in blocks]).astype(np.float32)


def _appearance(grey_THW: NDArray[np.uint8]) -> tuple[Array, Array, Array]:
    """Change of each pair, how surely it is more than noise (0..1), and gradient of its first frame, each [P, H, W]."""
    small = np.stack([cv2.resize(x, HALF[::-1], interpolation=cv2.INTER_AREA) for x in grey_THW]).astype(np.float32)
    level = np.median(small, axis=(1, 2), keepdims=True)
    contrast = small.std(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    light = (small - level) / (contrast + 4)
    energy = np.stack([cv2.GaussianBlur(x, (7, 7), 1.5) for x in np.square(np.diff(light, axis=0))])
    noise = np.quantile(energy[:, 2::5, 2::5], 0.25) + CHANGE_NOISE**2
    sure = np.clip(energy / noise - 2, 0, 1)
    # not cv2.magnitude: its last bit changes with the address of the array
    gradient = [np.hypot(cv2.Sobel(x, cv2.CV_32F, 1, 0), cv2.Sobel(x, cv2.CV_32F, 0, 1)) / 8 for x in light[:-1]]
    return np.sqrt(energy) * sure, sure, np.stack(gradient)


def _steady(flow_PHWK: Array, sure_PHW: Array) -> tuple[Array, Array, Array]:
    """Flow without the camera's motion and without noise: u, v, speed, each [P, H, W]."""
    flow = flow_PHWK - np.median(flow_PHWK, axis=(1, 2), keepdims=True)
    u, v = flow[..., 0], flow[..., 1]
    length = np.sqrt(u * u + v * v)
    keep = sure_PHW * np.maximum(length - FLOW_NOISE, 0) / np.maximum(length, FLOW_NOISE)
    return u * keep, v * keep, length * keep


def _cells(x_PHW: Array) -> NDArray[np.float64]:
    """Means over the cells of the grid, [P, cells]."""
    rows, columns = GRID
    height, width = HALF[0] // rows, HALF[1] // columns
    # float64: sums in float32 differ in the last bit with the address of the array, and a resumed extraction must not
    means = x_PHW.reshape(-1, rows, height, columns, width).mean((2, 4), dtype=np.float64)
    return np.asarray(means.reshape(-1, rows * columns))


def _pixels_by_cell(x_PHW: Array) -> Array:
    """All values of each cell over the clip, [cells, values]."""
    rows, columns = GRID
    height, width = HALF[0] // rows, HALF[1] // columns
    cells = x_PHW.reshape(-1, rows, height, columns, width).transpose(1, 3, 0, 2, 4)
    return cells.reshape(rows * columns, -1)


def _rhythm(x_P: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean, maximum, standard deviation and mean step of a series, compressed."""
    step = np.abs(np.diff(x_P)).mean() if len(x_P) > 1 else 0.0
    return np.asarray(np.log1p([x_P.mean(), x_P.max(), x_P.std(), step]))


def _bodies(u: Array, v: Array, speed: Array) -> Array:
    """Traits of the connected moving regions, summarised over the clip: [33]."""
    found = []
    for u_HW, v_HW, speed_HW in zip(u, v, speed, strict=True):
        mask = (speed_HW > 2 * MOVING).astype(np.uint8)
        n, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        area = stats[:, cv2.CC_STAT_AREA].astype(np.float32)
        large = np.flatnonzero(area >= BODY_PIXELS)
        large = large[large > 0]  # 0 is what doesn't move
        if len(large) == 0:
            continue
        index = labels.ravel()
        sums = [np.bincount(index, x.ravel(), n)[large] for x in (u_HW, v_HW, speed_HW, speed_HW**2)]
        area = area[large]
        mean_u, mean_v, mean, square = (x / area for x in sums)
        length, height = np.sqrt(area), stats[large, cv2.CC_STAT_HEIGHT]
        found.append(
            np.stack([
                np.log1p(length / 10), np.log1p(stats[large, cv2.CC_STAT_WIDTH] / 10), np.log1p(height / 10),
                np.log1p(mean), np.log1p(10 * mean / length), np.log1p(10 * mean / height),
                np.hypot(mean_u, mean_v) / mean, np.sqrt(np.maximum(square - mean**2, 0)) / mean,
            ], axis=1)
        )  # fmt: skip
    if not found:
        return np.zeros(4 * BODY_TRAITS + 1, np.float32)
    traits = np.concatenate(found)
    area = np.expm1(traits[:, 0]) ** 2
    few = max(1, len(speed) // 3)
    fastest = traits[np.argsort(-traits[:, 3], kind="stable")[:few]].mean(0)
    largest = traits[np.argsort(-traits[:, 0], kind="stable")[:few]].mean(0)
    summary = [np.average(traits, axis=0, weights=area), fastest, largest, np.quantile(traits, 0.98, axis=0)]
    return np.concatenate([*summary, [np.log1p(len(traits) / len(speed))]]).astype(np.float32)


ENTRIES = (
    BackboneEntry(
        BackboneInfo(
            name="motion",
            kind="formula",
            dim=DIM,
            input_size=SIZE,
            weights=("none",),
            licence="Apache-2.0",
            note="optical flow and gradients; needs no weights",
        ),
        Motion,
    ),
)
