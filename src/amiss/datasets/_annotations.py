"""Reading the annotation files in circulation. Frame numbers are kept as they stand: a pair s e means frames [s, e).

Whether other people's code took e as inclusive is a matter of the protocol, not of the file.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from amiss import reading
from amiss.datasets._manifest import parse_events
from amiss.errors import ManifestError
from amiss.reading import (
    check_id,
    load_array,
    read_lines,
    read_matlab,
    refusing,
    shown,
    to_label,
    to_number,
    to_whole_number,
)
from amiss.video import VIDEO_SUFFIXES

T = TypeVar("T")
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


# how the names of other people's videos end, in lists whose names may have spaces in them
_SUFFIXES = "|".join(re.escape(suffix.removeprefix(".")) for suffix in sorted(VIDEO_SUFFIXES | {".npy", ".txt"}))
_NAMED = re.compile(rf"(?P<name>.*)\.(?:{_SUFFIXES})(?=[\s,;]|$)", re.IGNORECASE)
_SUFFIX = re.compile(rf"\.(?:{_SUFFIXES})$", re.IGNORECASE)
_XD_NAMED = re.compile(r"(?P<name>.*_label_\S+?)(?:\.\w{2,4})?(?=[\s,;]|$)")
_COUNT = re.compile(r"\d+(?:\.0+)?")
_LAST = re.compile(r"-1|[0-9]{1,12}")
_QUOTED = re.compile(r'"(?P<name>[^"]*)"')


def _parsed(path: Path, rows: Iterable[tuple[int, T]], parse: Callable[[T], Annotation]) -> list[Annotation]:
    """Apply `parse` to every line or row; a ValueError becomes a ManifestError that names the line."""
    found: dict[str, Annotation] = {}
    for number, content in rows:
        try:
            one = parse(content)
            check_id(one.video_id)
            if one.video_id in found:
                raise ValueError(f"{one.video_id} stands twice")
        except ValueError as error:
            raise ManifestError(f"{path} line {number}: {shown(error, quoted=False, most=400)}") from None
        found[one.video_id] = one
    if not found:
        raise ManifestError(f"annotation file {path} is empty")
    return list(found.values())


def _lines(path: Path) -> list[tuple[int, str]]:
    with refusing(ManifestError, f"annotation file {path}"):
        return read_lines(path)


def _name_and_rest(line: str, named: re.Pattern[str]) -> tuple[str, list[str]]:
    """A video's name, with its folders and without its suffix, and what follows it on a line of a list.

    A name ends where `named` says, so that it may have spaces; where that doesn't fit, at the first space.
    """
    if quoted := _QUOTED.match(line):
        name, rest = _SUFFIX.sub("", quoted["name"].strip()), line[quoted.end() :]
    elif found := named.match(line):
        name, rest = found["name"], line[found.end() :]
    else:
        name, *parts = re.split(r"[\s,;]+", line, maxsplit=1)
        rest = "".join(parts)
    return name.replace("\\", "/"), [part for part in re.split(r"[\s,;]+", rest) if part]


def _intervals(numbers: Sequence[str]) -> Events:
    """`s e s e …`, in which -1 -1 stands for nothing, as events."""
    if words := [number for number in numbers if not re.match(r"-?[0-9]", number)]:
        raise ValueError(
            f"{shown(words[0])} is no frame number; a name with spaces needs its suffix, or quotation marks around it"
        )
    if len(numbers) % 2:
        raise ValueError(f"{len(numbers)} frame numbers can't be pairs: {shown(' '.join(numbers), quoted=False)}")
    whole = [number.removesuffix(".0") for number in numbers]
    pairs = list(zip(whole[::2], whole[1::2], strict=True))
    return parse_events(";".join(f"{start}-{end}" for start, end in pairs if (start, end) != ("-1", "-1")))


UCF_CLASSES = ("Abuse", "Arrest", "Arson", "Assault", "Burglary", "Explosion", "Fighting", "RoadAccidents", "Robbery",
               "Shooting", "Shoplifting", "Stealing", "Vandalism")  # fmt: skip
_NORMAL = re.compile(r"(?<![a-z])normal", re.IGNORECASE)  # `Normal`, `Training_Normal_Videos_Anomaly`; not `abnormal`


def ucf_class(video_id: str, folder: str = "") -> str:
    """UCF-Crime's class from a video's name: `Abuse001_x264` → Abuse, `Normal_Videos_003_x264` → Normal.

    Args:
        video_id: the name.
        folder: that it lies in, which is the class of own videos, whatever their names.

    Raises:
        ValueError: neither tells.
    """
    match = re.match(r"([A-Za-z]+?)(?:_Videos)?_?\d", video_id)
    known = {name.lower(): name for name in (*UCF_CLASSES, "Normal")}
    if match is not None and (name := known.get(match[1].lower())):
        return name
    if folder:
        return "Normal" if _NORMAL.search(folder) else known.get(folder.lower(), folder)
    if match is None:
        raise ValueError(f"{shown(video_id)} is not a UCF-Crime video name, and no folder before it names its class")
    return match[1]


def read_ucf(path: Path) -> list[Annotation]:
    """Any of UCF-Crime's text files, told apart line by line.

        Abuse028_x264.mp4  Abuse  165  240  -1  -1               Sultani's temporal annotation
        Abuse/Abuse028_x264.mp4 1412 Abuse 165 240 -1 -1         with frame counts, test
        Abuse/Abuse001_x264.mp4 2729                             with frame counts, training
        Abuse/Abuse001_x264.mp4                                  list (Anomaly_Train.txt)

    A name ends with its suffix, any of videos, and may have spaces; of own videos the folder is the class.

    Raises:
        ManifestError: a line is none of these, or a name stands twice; names the line.
    """

    def parse(content: str) -> Annotation:
        name, rest = _name_and_rest(content, _NAMED)
        folder, _, video_id = name.rpartition("/")
        n_frames = to_whole_number(rest.pop(0), "number of frames") if rest and _COUNT.fullmatch(rest[0]) else None
        class_name = rest.pop(0) if rest else ucf_class(video_id, folder.rpartition("/")[2])
        if class_name.lower() == "normal":
            class_name = "Normal"
        return Annotation(video_id, class_name, int(class_name != "Normal"), n_frames=n_frames, events=_intervals(rest))

    return _parsed(path, _lines(path), parse)


def read_xd(path: Path) -> list[Annotation]:
    """XD-Violence's temporal annotation: `name s e s e …`, anomalous test videos only.

    Raises:
        ManifestError: a malformed line; names it.
    """

    def parse(content: str) -> Annotation:
        name, numbers = _name_and_rest(content, _XD_NAMED)
        video_id = name.rpartition("/")[2]
        return Annotation(video_id, xd_class(video_id), 1, "test", events=_intervals(numbers))

    return _parsed(path, _lines(path), parse)


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
        name, *values = re.split(r"[,;]" if re.search(r"[,;]", content) else r"\s+", content.rstrip(",; "))
        label, last = ([value.strip().removesuffix(".0") for value in values] + ["-1"])[:2]
        if label not in ("0", "1") or len(values) > 2 or not _LAST.fullmatch(last):
            raise ValueError(f"{shown(content)} is not of the form name,label or name,label,last frame")
        video_id = _SUFFIX.sub("", name.strip('" ').replace("\\", "/")).rpartition("/")[2]
        n_frames = int(last) + 1
        return Annotation(video_id, label=int(label), n_frames=n_frames or None)

    return _parsed(path, _lines(path), parse)


def read_names(path: Path) -> list[str]:
    """The names of a list that has one video a line, without folders and suffixes.

    Raises:
        ManifestError: it can't be read, is empty, or a name stands twice.
    """
    return [
        one.video_id
        for one in _parsed(
            path,
            _lines(path),
            lambda line: Annotation(_SUFFIX.sub("", line.strip('"').replace("\\", "/")).rpartition("/")[2]),
        )
    ]


def read_ubnormal_tracks(path: Path) -> Events:
    """When something is anomalous in a video of UBnormal: `object,first,last` per line, frames from 0, inclusive.

    Raises:
        ManifestError: a malformed line; names it.
    """
    spans = []
    for number, line in _lines(path):
        values = [value.removesuffix(".0") for value in re.split(r"[,;\s]+", line)]
        if len(values) < 3 or not all(_LAST.fullmatch(value) for value in values[1:3]):
            raise ManifestError(f"{path} line {number}: {shown(line)} is not of the form object,first,last")
        spans.append((int(values[1]), int(values[2]) + 1))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            start, end = merged[-1][0], max(end, merged.pop()[1])
        merged.append((start, end))
    return tuple(merged)


def read_table(path: Path, *required: str) -> list[Annotation]:
    """A table with a header that names `video_id` and some of: class, label, split or official_split, n_frames, fps,
    events, group or source. Other columns are ignored.

    Raises:
        ManifestError: one of `required` is missing, or a line is malformed; names it.
    """

    def parse(row: Mapping[str, str]) -> Annotation:
        fps = to_number(row["fps"], "fps") if row.get("fps") else None
        return Annotation(
            row["video_id"],
            class_name=row.get("class") or None,
            label=to_label(row["label"]) if row.get("label") else None,
            split=(row.get("split") or row.get("official_split") or "").lower() or None,
            n_frames=to_whole_number(row["n_frames"], "n_frames") if row.get("n_frames") else None,
            events=parse_events(row.get("events", ""), fps),
            group=row.get("group") or row.get("source") or None,
            fps=fps,
        )

    with refusing(ManifestError, f"table {path}"):
        table = reading.read_table(path)
    try:
        table.check_columns(("video_id", *required))
    except ValueError as error:
        raise ManifestError(f"{path} {error}") from None
    return _parsed(path, [(row.line, row.cells) for row in table.rows], parse)


def events_of_mask(mask: NDArray[Any]) -> Events:
    """The runs [start, end) of non-zero values of a vector, e.g. a frame mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (np.asarray(mask).ravel() != 0).astype(np.int8), [0]])))
    return tuple((int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True))


def read_mask_npy(path: Path) -> Annotation:
    """A frame mask as ShanghaiTech publishes them: one value per frame, 0 normal, in `<video_id>.npy`.

    Raises:
        ManifestError: it can't be read or isn't a vector.
    """
    with refusing(ManifestError, f"frame mask {path}"):
        mask = load_array(path)
    if mask.ndim != 1 or not len(mask):
        raise ManifestError(f"frame mask {path} has shape {mask.shape}; wanted one value per frame")
    return Annotation(path.stem, n_frames=len(mask), events=events_of_mask(mask))


def read_avenue_mat(path: Path) -> Annotation:
    """A pixel mask of CUHK Avenue (`volLabel`, one image per frame, in `<number>_label.mat`); the id is `Test<number>`.

    Raises:
        ManifestError: it can't be read or has no `volLabel`.
    """
    with refusing(ManifestError, f"mask {path} (one of Avenue's has a volLabel per frame)"):
        mask = np.array([frame.any() for frame in read_matlab(path, "volLabel")])
    match = re.match(r"(\d+)_label", path.stem)
    if match is None:
        raise ManifestError(f"{path} is not named like Avenue's masks (1_label.mat … 21_label.mat)")
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
            if not re.fullmatch(r"[0-9]{1,12}(:[0-9]{1,12})?", span):
                raise ManifestError(f"{path}: gt_frame of clip {number} has {shown(span)}; wanted first:last")
            spans.append(f"{int(first) - 1}-{int(last or first)}")
        try:
            events = parse_events(";".join(spans))
        except ValueError as error:
            raise ManifestError(f"{path}: gt_frame of clip {number}: {error}") from None
        found.append(Annotation(f"Test{number:03d}", label=1, events=events))
    if not found:
        raise ManifestError(f"{path} has no gt_frame lines")
    return found
