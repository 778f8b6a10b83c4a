"""VGGish features of sound, a [T, 128] .npy per video: `<video>__vggish.npy` of XD-Violence, `<video>_vggish.npy`.

XD-Violence's (github.com/Roc-Ng/XDVioDet) have a row for each clip of 16 frames of its visual features. Others' have
a row for each 0.96 s, as VGGish is made: of 96 pictures of sound of 10 ms.
"""

from collections.abc import Iterator
from pathlib import Path

from amiss.backbones import FeatureSpec
from amiss.features._layout_numpy import load_array, read_rows
from amiss.features._layouts import (
    ImportedVideo,
    Layout,
    Source,
    Unreadable,
    by_video,
    each,
    files_below,
    first_readable,
)

_SUFFIX, _PER_CLIP = "_vggish", "__vggish"
_SOUND = {"clip_len": 96, "stride": 96, "frame_rate": 100.0}
_AXES = ("clips", "dim")


def _recognises(path: Path) -> bool:
    return bool(files_below(path, f"*{_SUFFIX}.npy"))


def _files(source: Source) -> dict[str, Path]:
    return by_video(source, f"*{_SUFFIX}.npy", lambda file: file.stem.removesuffix(_SUFFIX).removesuffix("_"))


def _spec(source: Source) -> FeatureSpec:
    files = list(_files(source).values())
    dim = first_readable(files, lambda file: load_array(file).shape[-1])
    per_clip = all(file.stem.endswith(_PER_CLIP) for file in files)
    return FeatureSpec(
        backbone="vggish",
        weights="audioset",
        dim=dim,
        tail="drop",
        **({} if per_clip else _SOUND),  # type: ignore[arg-type]
    )


def _videos(source: Source) -> Iterator[ImportedVideo | Unreadable]:
    yield from each(_files(source), lambda file: read_rows(file, source.axes or _AXES))


VGGISH = Layout("vggish", "sound, one [T, 128] .npy per video, <video>__vggish.npy", _recognises, _spec, _videos)
