"""The frames of a video, decoded in a process of its own."""

import os
from collections.abc import Generator, Iterator

from amiss.errors import VideoError
from amiss.reading.apart import Message, is_used
from amiss.video._closing import Closing
from amiss.video._frames import CannotSeek, FramePass
from amiss.video._reader import Frame
from amiss.video.worker._process import run

FRAMES_AT_ONCE = 2  # one is filled while one is used


class FrameReader(Closing):
    """The frames `[start, end)` of a video, one after the other; decoded by a worker where the system can bound one.

    Iterate it once. A frame's image holds until the next one is asked for.

    Args:
        path: the file, or folder of pictures.
        start: see FramePass, as the next three.
        end: the frame after the last one.
        height: at most.
        seek: begin at a keyframe.

    Raises:
        CannotSeek, VideoError: as FramePass; VideoError also where the file ends the process that decodes it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        start: int = 0,
        end: int | None = None,
        height: int | None = None,
        *,
        seek: bool = False,
    ) -> None:
        self._here: FramePass | None = None
        self._answers: Generator[Message, None, None] | None = None
        if not is_used():
            self._here = here = FramePass(path, start, end, height, seek=seek)
            self.height, self.width, self.fps, self.stated_frames = (
                here.height,
                here.width,
                here.fps,
                here.stated_frames,
            )
            return
        request = {"start": start, "end": end, "height": height, "seek": seek}
        self._answers = run("part", request, path, FRAMES_AT_ONCE)
        first = _checked(next(self._answers)).values
        self.height, self.width, self.fps = first["height"], first["width"], first["fps"]
        self.stated_frames = first["stated_frames"]

    def __iter__(self) -> Iterator[Frame]:
        if self._here is not None:
            yield from self._here
            return
        assert self._answers is not None
        for answer in map(_checked, self._answers):
            if answer.kind != "frame":
                return
            if answer.image is None:
                raise VideoError("a frame came without its picture")
            yield Frame(answer.values["index"], answer.values["time_s"], answer.image)

    def close(self) -> None:
        """End what is under way."""
        if self._here is not None:
            self._here.close()
        if self._answers is not None:
            self._answers.close()


def _checked(answer: Message) -> Message:
    if answer.kind == "end" and not answer.values["is_sought"]:
        raise CannotSeek
    return answer
