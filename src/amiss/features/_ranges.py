"""A long video whose ranges are extracted by themselves, on different workers: together they are the whole."""

import numpy as np

from amiss.errors import AmissError, VideoError
from amiss.features._extraction import ExtractedRange, ExtractedVideo
from amiss.features._readers import PathLike, VideoRange
from amiss.video import NotSplitError, SplitVideo


class RangedVideo:
    """Gathers what becomes of the ranges.

    Args:
        path: the file.
        split: what `extract_videos` handed back of it.
    """

    def __init__(self, path: PathLike, split: SplitVideo) -> None:
        self._split = split
        self.ranges = [VideoRange(path, part) for part in split.parts]
        """To be extracted, each by itself."""
        self._found: dict[int, ExtractedRange | AmissError] = {}

    def add(self, index: int, found: ExtractedRange | AmissError) -> bool:
        """What became of one of them; True where it was the last one."""
        self._found[index] = found
        return len(self._found) == len(self.ranges)

    def join(self) -> ExtractedVideo:
        """The whole: exactly what extracting it in one go gives.

        Raises:
            NotSplitError: it has to be extracted in one go, with the reason.
            AmissError: the workers that had one of them ended.
        """
        found: list[ExtractedRange] = []
        for index in range(len(self.ranges)):
            one = self._found[index]
            if isinstance(one, VideoError):
                raise NotSplitError(str(one))
            if isinstance(one, AmissError):
                raise one
            found.append(one)
        if len({one.size for one in found}) > 1:
            raise NotSplitError("its pictures change their size")
        self._split.check([one.proof for one in found])
        return ExtractedVideo(np.concatenate([one.rows for one in found]), self._split.times, self._split.problem)
