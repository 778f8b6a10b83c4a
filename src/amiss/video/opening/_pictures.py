"""Folders of numbered pictures, which are videos too."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})
"""Names of pictures end in one of these, in small letters or capitals."""
FALLBACK_FPS = 25.0
"""Of videos of which nobody knows the rate."""
RATE_UNKNOWN = f"they have no rate of their own and are taken at {FALLBACK_FPS:g} a second: --fps says another"
"""What is said of folders of pictures, where nobody gave a rate."""
_NUMBER = re.compile(r"\d+")
_MASKS = re.compile(r"(^|[_ -])(gt|masks?|ground_?truth|annotations?|labels?)$", re.IGNORECASE)

if TYPE_CHECKING:
    from pathlib import Path as _Path
else:
    _Path = type(Path())  # the one of this system, from which others may be made


class PictureFolder(_Path):
    """The path of a folder of numbered pictures, with the rate that they don't tell.

    Args:
        path: the folder.
        fps: pictures per second; None: nobody knows.
    """

    fps: float | None = None

    def __new__(cls, path: str | Path, fps: float | None = None) -> Self:
        """Paths are made here."""
        made = super().__new__(cls, path)
        made.fps = fps
        return made

    if _Path.__init__ is not object.__init__:  # from Python 3.12 on

        def __init__(self, path: str | Path, fps: float | None = None) -> None:
            super().__init__(path)  # type: ignore[call-arg]  # object's, until 3.12

    def __reduce__(self) -> tuple[type[Self], tuple[str, float | None]]:
        """Another process gets the rate, too."""
        return type(self), (str(self), self.fps)

    @property
    def stem(self) -> str:
        """A folder's name has no suffix."""
        return self.name

    @property
    def suffix(self) -> str:
        """None."""
        return ""


def numbered(names: Iterable[str]) -> list[str]:
    """The pictures among names that differ by their numbers alone, in the order of these; fewer than two are none.

    Where there are several such series, the longest.
    """
    series: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        if Path(name).suffix.lower() in PICTURE_SUFFIXES and _NUMBER.search(Path(name).stem):
            series[_NUMBER.sub("#", name).lower()].append(name)
    longest = max(series.values(), key=len, default=[])
    return sorted(longest, key=numbers_in) if len(longest) > 1 else []


def numbers_in(name: str) -> tuple[list[int], str]:
    """What names are ordered by: 9 comes before 10."""
    return [int(number) for number in _NUMBER.findall(name)], name


def are_masks(folder: str) -> bool:
    """Whether a folder's name says that its pictures are ground truth."""
    return _MASKS.search(folder) is not None
