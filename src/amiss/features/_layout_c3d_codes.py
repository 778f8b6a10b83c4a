"""C3D fc6 segments as 8-bit codes in one .npz: `x = low + codes / 255 * (high - low)` per segment.

The values are those of github.com/nevinbaiju/anomaly-detection: per-dimension L2 norms over the clips of 32 segments,
so their magnitude grows with the length of the video; videos of fewer than 32 clips are all zero. Its reader drops
every 17th frame, and feeds C3D native-rate BGR frames in 0..255.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError
from amiss.features._layouts import ImportedVideo, Layout, Source
from amiss.reading import check_file, load_arrays, reading_bounds, refusing

_SMALL = ("low", "high", "video_ids")
_ARRAYS = {"codes", *_SMALL}


def _recognises(path: Path) -> bool:
    try:
        with _reading(path) as archive:
            return {f"{name}.npy" for name in _ARRAYS} <= set(archive.namelist())
    except FeatureError:
        return False


def _spec(source: Source) -> FeatureSpec:
    path = source.path
    with _reading(path) as archive, archive.open("codes.npy") as stream:
        _, segments, dim = _codes_shape(stream, path)
    return c3d_spec(dim, segments).with_(pooling="norm")


def c3d_spec(dim: int, segments: int | None) -> FeatureSpec:
    """What this project's C3D features are; the length differs in tests only."""
    from amiss.backbones import published_spec  # with torch, which takes seconds: a wrong path is told before

    return published_spec("c3d", preset="nevinbaiju").with_(dim=dim, segments=segments)


def _videos(source: Source) -> Iterator[ImportedVideo]:
    """One video at a time: the codes are read from the archive as a stream."""
    path = source.path
    with _reading(path) as archive:
        with refusing(FeatureError, str(path)):
            arrays = load_arrays(path, _SMALL)
        low, high, video_ids = (arrays[name] for name in _SMALL)
        with archive.open("codes.npy") as stream:
            n_videos, segments, dim = _codes_shape(stream, path)
            if low.shape != (n_videos, segments) or high.shape != low.shape or video_ids.shape != (n_videos,):
                raise FeatureError(
                    f"{path}: codes are {(n_videos, segments, dim)}, but low {low.shape}, high {high.shape}, "
                    f"video_ids {video_ids.shape}"
                )
            for i in range(n_videos):
                with refusing(FeatureError, f"{path} at video {i}", "is damaged"):
                    block = stream.read(segments * dim)
                if len(block) < segments * dim:
                    raise FeatureError(f"{path} ends in video {i} of {n_videos}")
                codes = np.frombuffer(block, np.uint8).reshape(segments, 1, dim)
                scale = ((high[i] - low[i]) / np.float32(255)).astype(np.float32)
                x_T1D = low[i, :, None, None].astype(np.float32) + codes * scale[:, None, None]
                yield ImportedVideo(str(video_ids[i]), x_T1D)


def _reading(path: Path) -> zipfile.ZipFile:
    with refusing(FeatureError, str(path)):
        return zipfile.ZipFile(check_file(path))


def _codes_shape(stream: IO[bytes], path: Path) -> tuple[int, int, int]:
    """Read the .npy header of the codes; the data follows in the stream."""
    with refusing(FeatureError, f"{path}: array 'codes'"):
        np.lib.format.read_magic(stream)
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if len(shape) != 3 or min(shape) < 1 or is_fortran or dtype != np.uint8:
        raise FeatureError(f"{path}: array 'codes' is {dtype} {shape}; expected uint8 (videos, segments, dim)")
    most = reading_bounds().max_array_mb
    if shape[1] * shape[2] > most << 20:
        raise FeatureError(f"{path}: codes of one video, {shape[1:]}, take more than AMISS_MAX_ARRAY_MB = {most}")
    return shape


LAYOUT = Layout("c3d-codes", "C3D fc6, 32 segments as 8-bit codes in one .npz", _recognises, _spec, _videos)
