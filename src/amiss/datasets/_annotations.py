"""Reading the annotation files in circulation. Frame numbers are kept as they stand: a pair s e means frames [s, e).

Whether other people's code took e as inclusive is a matter of the protocol, not of the file.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.datasets._manifest import parse_events
from amiss.errors import ManifestError

Events = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Annotation:
    """What one line of an annotation file says of a video; None where it doesn't say."""

    video_id: str
    class_name: str | None = None
    label: int | None = None
    split: str | None = None
    n_frames: int | None = None
    events: Events = ()
    group: str | None = None
    fps: float | None = None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"annotation file {path} can't be read: {error}") from error
    for number, content in enumerate(text.splitlines(), start=1):
        if content.strip():
            yield number, content.strip()


def _parsed(path: Path, parse: Callable[[str], Annotation]) -> list[Annotation]:
    """Apply `parse` to every line; a ValueError becomes a ManifestError that names the line."""
    found: dict[str, Annotation] = {}
    for number, content in _lines(path):
        try:
            one = parse(content)
            if one.video_id in found:
                raise ValueError(f"{one.video_id} stands twice")
        except ValueError as error:
            raise ManifestError(f"{path} line {number}: {error}") from None
        found[one.video_id] = one
    if not found:
        raise ManifestError(f"annotation file {path} is empty")
    return list(found.values())


def _intervals(numbers: Sequence[str]) -> Events:
    """`s e s e …`, in which -1 -1 stands for nothing, as events."""
    if len(numbers) % 2:
        raise ValueError(f"{len(numbers)} frame numbers can't be pairs: {' '.join(numbers)}")
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return parse_events(";".join(f"{start}-{end}" for start, end in pairs if (start, end) != ("-1", "-1")))


def ucf_class(video_id: str) -> str:
    """UCF-Crime's class from a video's name: `Abuse001_x264` → Abuse, `Normal_Videos_003_x264` → Normal."""
    match = re.match(r"([A-Za-z]+?)(?:_Videos)?_?\d", video_id)
    if match is None:
        raise ValueError(f"{video_id!r} is not a UCF-Crime video name")
    return match.group(1)


def read_ucf(path: Path) -> list[Annotation]:
    """Any of UCF-Crime's text files, told apart line by line.

        Abuse028_x264.mp4  Abuse  165  240  -1  -1               Sultani's temporal annotation
        Abuse/Abuse028_x264.mp4 1412 Abuse 165 240 -1 -1         with frame counts, test
        Abuse/Abuse001_x264.mp4 2729                             with frame counts, training
        Abuse/Abuse001_x264.mp4                                  list (Anomaly_Train.txt)

    Raises:
        ManifestError: a line is none of these, or a name stands twice; names the line.
    """

    def parse(content: str) -> Annotation:
        name, *rest = content.split()
        video_id = re.sub(r"\.(mp4|avi|npy)$", "", name.replace("\\", "/").rsplit("/", 1)[-1])
        n_frames = int(rest.pop(0)) if rest and rest[0].isdecimal() else None
        class_name = rest.pop(0) if rest else ucf_class(video_id)
        return Annotation(video_id, class_name, int(class_name != "Normal"), n_frames=n_frames, events=_intervals(rest))

    return _parsed(path, parse)


def read_xd(path: Path) -> list[Annotation]:
    """XD-Violence's temporal annotation: `name s e s e …`, anomalous test videos only.

    Raises:
        ManifestError: a malformed line; names it.
    """

    def parse(content: str) -> Annotation:
        name, *rest = content.split()
        video_id = name.removesuffix(".mp4")
        return Annotation(video_id, xd_class(video_id), 1, "test", events=_intervals(rest))

    return _parsed(path, parse)


XD_CLASSES = {
    "A": "Normal",
    "B1": "Fighting",
    "B2": "Shooting",
    "B4": "Riot",
    "B5": "Abuse",
    "B6": "Car accident",
    "G": "Explosion",
}


def xd_class(video_id: str) -> str:
    """XD-Violence's first class from a video's name: `…_label_B2-G-0` → Shooting, `…_label_A` → Normal."""
    match = re.search(r"_label_([A-Z]\d?)(?:-|$|__)", video_id)
    if match is None or match.group(1) not in XD_CLASSES:
        raise ValueError(f"{video_id!r} is not an XD-Violence video name: no _label_ of {list(XD_CLASSES)}")
    return XD_CLASSES[match.group(1)]


def read_shanghaitech(path: Path) -> list[Annotation]:
    """ShanghaiTech's weak split: `01_0014,1` (training), `01_001,0,764` or `01_0015,1,-1` (test).

    The third value is the number of frames less one, or -1 where the mask tells.

    Raises:
        ManifestError: a malformed line; names it.
    """

    def parse(content: str) -> Annotation:
        video_id, label, *rest = (part.strip() for part in content.split(","))
        if label not in ("0", "1") or len(rest) > 1:
            raise ValueError(f"{content!r} is not of the form name,label or name,label,last frame")
        last = int(rest[0]) if rest else -1
        return Annotation(video_id, label=int(label), n_frames=last + 1 if last >= 0 else None)

    return _parsed(path, parse)


def read_table(path: Path, *required: str) -> list[Annotation]:
    """A CSV with a header that names `video_id` and some of: class, label, split or official_split, n_frames, fps,
    events, group or source. Other columns are ignored.

    Raises:
        ManifestError: one of `required` is missing, or a line is malformed; names it.
    """
    rows = list(_lines(path))
    header = [name.strip() for name in next(csv.reader([rows[0][1]]))] if rows else []
    if missing := [name for name in ("video_id", *required) if name not in header]:
        raise ManifestError(f"{path} line 1: columns {missing} are missing")
    titles = rows[0][1]

    def parse(content: str) -> Annotation:
        cells = next(csv.reader([content]))
        if len(cells) != len(header):
            raise ValueError(f"{len(cells)} values for {len(header)} columns")
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        label = row.get("label")
        if label not in (None, "", "0", "1"):
            raise ValueError(f"label is {label!r}; allowed are 0 (normal) and 1 (anomalous)")
        return Annotation(
            row["video_id"],
            class_name=row.get("class") or None,
            label=int(label) if label else None,
            split=row.get("split") or row.get("official_split") or None,
            n_frames=int(row["n_frames"]) if row.get("n_frames") else None,
            events=parse_events(row.get("events", "")),
            group=row.get("group") or row.get("source") or None,
            fps=float(row["fps"]) if row.get("fps") else None,
        )

    return [
        one for one in _parsed(path, lambda text: Annotation("") if text == titles else parse(text)) if one.video_id
    ]


def events_of_mask(mask: NDArray[Any]) -> Events:
    """The runs [start, end) of non-zero values of a vector, e.g. a frame mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (np.asarray(mask).ravel() != 0).astype(np.int8), [0]])))
    return tuple((int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True))


def read_mask_npy(path: Path) -> Annotation:
    """A frame mask as ShanghaiTech publishes them: one value per frame, 0 normal, in `<video_id>.npy`.

    Raises:
        ManifestError: it can't be read or isn't a vector.
    """
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ManifestError(f"frame mask {path} can't be read: {error}") from error
    if mask.ndim != 1 or not len(mask):
        raise ManifestError(f"frame mask {path} has shape {mask.shape}; wanted one value per frame")
    return Annotation(path.stem, n_frames=len(mask), events=events_of_mask(mask))


def read_avenue_mat(path: Path) -> Annotation:
    """A pixel mask of CUHK Avenue (`volLabel`, one image per frame, in `<number>_label.mat`); the id is `Test<number>`.

    Raises:
        ManifestError: it can't be read or has no `volLabel`.
    """
    from scipy.io import loadmat  # takes a second, and only this reader needs it
    from scipy.io.matlab import MatReadError

    match = re.match(r"(\d+)_label", path.stem)
    try:
        volume = loadmat(path, variable_names=["volLabel"])["volLabel"].ravel()
    except (OSError, ValueError, KeyError, NotImplementedError, MatReadError) as error:
        raise ManifestError(f"{path} is not one of Avenue's masks (a volLabel per frame): {error}") from error
    if match is None:
        raise ManifestError(f"{path} is not named like Avenue's masks (1_label.mat … 21_label.mat)")
    mask = np.array([np.any(frame) for frame in volume])
    return Annotation(f"Test{int(match.group(1)):02d}", n_frames=len(mask), events=events_of_mask(mask))


def read_ucsd_matlab(path: Path) -> list[Annotation]:
    """UCSD's `UCSDped1.m` / `UCSDped2.m`: per test clip `gt_frame = [60:152, 170:200]`, 1-based and inclusive.

    Raises:
        ManifestError: no such line, or a range that isn't one.
    """
    found = []
    text = "\n".join(re.sub(r"%.*", "", content) for _, content in _lines(path))
    for number, body in enumerate(re.findall(r"gt_frame\s*=\s*\[([^\]]*)\]", text), start=1):
        spans = []
        for span in re.split(r"[,\s]+", body.strip()):
            first, _, last = span.partition(":")
            if not first.isdecimal() or not (last or first).isdecimal():
                raise ManifestError(f"{path}: gt_frame of clip {number} has {span!r}; wanted first:last")
            spans.append(f"{int(first) - 1}-{int(last or first)}")
        try:
            events = parse_events(";".join(spans))
        except ValueError as error:
            raise ManifestError(f"{path}: gt_frame of clip {number}: {error}") from None
        found.append(Annotation(f"Test{number:03d}", label=1, events=events))
    if not found:
        raise ManifestError(f"{path} has no gt_frame lines")
    return found
