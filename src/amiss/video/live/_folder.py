"""A folder into which finished video files are put: each is given once."""

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path

from amiss.errors import UsageError, VideoError, showable
from amiss.video._redact import redact
from amiss.video.live._drop_box import DropBox
from amiss.video.live._errors import LostError, is_read_error
from amiss.video.live._files import open_file
from amiss.video.live._items import FileBegan, FileEnded, FileOutcome, FilesLeftOut, LiveCounters, LiveItem, StateChange
from amiss.video.live._options import SourceOptions
from amiss.video.live._source import LiveSource
from amiss.video.live._timeline import BETWEEN_FILES_S, MediaTimeline
from amiss.video.worker import EndedError, NotStartedError, warm_up

ENDS = 2  # times that a file may end the process that decodes it
IDLE = "waiting for files"
POLL_S = 1.0
ACKNOWLEDGED_POLL_S = 0.1


class FolderSource(LiveSource):
    """The finished video files of a folder, `folder:DIR`: each once, oldest first, also those that come later; see
    DropBox.

    Around the frames of every file come FileBegan and FileEnded. A file is remembered when its FileEnded is
    acknowledged, and nothing more comes before that.

    Raises:
        VideoError: while it is iterated, with `once`: the folder can't be read.
    """

    form = "folder:DIR"
    is_live = False

    def __init__(self, url: str, options: SourceOptions = SourceOptions()) -> None:  # noqa: B008  # frozen
        super().__init__(url, options, MediaTimeline(BETWEEN_FILES_S))  # no clip reaches into the next file
        folder = url.partition(":")[2]
        if not folder:
            raise UsageError(f"{redact(url)!r} has no folder; the form is {self.form}")
        self._box = DropBox(Path(folder))
        self._told: set[str] = set()  # why something is left out

    def _items(self) -> Generator[LiveItem, None, str]:
        box = self._box
        attempt = 0
        with suppress(NotStartedError):  # it is said, and tried again, with the first file
            warm_up()
        while not self._stop.is_set():
            try:
                for path, key in box.finished():
                    outcome = yield from self._file(path, key)
                    if outcome is None:
                        return ""
                    if outcome is FileOutcome.AGAIN:
                        break
                    attempt = 0
                    box.remember(for_good=outcome is FileOutcome.DONE)
            except OSError as error:
                if self.options.once and not box.was_read:
                    raise VideoError(f"{box.folder} can't be read: {error.strerror}") from None
                attempt += 1
                wait_s = self.options.backoff.wait_s(attempt)
                reason = f"{error.filename or box.folder}: {error.strerror}; again in {wait_s:.1f} s"
                yield self._state("reconnecting", reason)
                self._stop.wait(wait_s)
            else:
                yield from self._tell_left_out()
                if self.options.once and box.is_worked_off:
                    return ""
                if self._last != StateChange("running", IDLE):
                    yield self._state("running", IDLE)
                self._stop.wait(POLL_S)
        return ""

    def _tell_left_out(self) -> Iterator[LiveItem]:
        """Each kind of thing once."""
        for why, names in self._box.left_out.items():
            if why not in self._told and why != "hidden":
                self._told.add(why)
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                yield FilesLeftOut(why, showable(names[0] + more))

    def _file(self, path: Path, key: str) -> Generator[LiveItem, None, FileOutcome | None]:
        """All of one file; returns what becomes of it, None where nobody said so before `stop`."""
        name = showable(path.name)
        yield FileBegan(name)
        has_ended = is_unread = not_started = False
        try:
            problem, is_unread = yield from self._read(path, key, name)
        except EndedError as error:
            has_ended, problem = True, str(error).removeprefix(str(path)).lstrip(": ")
        except NotStartedError as error:
            not_started, problem = True, str(error)
        if self._stop.is_set():
            return None
        outcome = FileOutcome.DONE
        if has_ended:
            self._decoder.count(damaged=1)
            is_last = self._box.note_ended() >= ENDS
            problem += "; it did so twice and is set aside" if is_last else "; it is tried once more"
            outcome = FileOutcome.DONE if is_last else FileOutcome.AGAIN
        if not_started:
            outcome = FileOutcome.AGAIN
        if problem:
            yield self._state("running", f"{name}: {problem}")
        if is_unread:  # is it the file, or has the whole folder gone?
            outcome = FileOutcome.SKIP if self._box.still_has(path) else FileOutcome.AGAIN
        ended = FileEnded(name, showable(problem), outcome)
        yield ended
        while not ended.wait(ACKNOWLEDGED_POLL_S):
            if self._stop.is_set():
                return None
        return ended.outcome

    def _read(self, path: Path, key: str, name: str) -> Generator[LiveItem, None, tuple[str, bool]]:
        """Its frames; returns what is wrong with it ("": nothing), and whether it, or its rest, couldn't be read.

        Raises:
            EndedError, NotStartedError: see `amiss.video.worker`.
        """
        before = self.counters
        try:
            file = open_file(path, self._decoder, self.options, self._stop)
        except (EndedError, NotStartedError):
            raise
        except VideoError as error:
            self._decoder.count(damaged=1)
            return str(error).removeprefix(str(path)).lstrip(": "), is_read_error(error.__context__)
        with closing(file):
            yield self._state("running", name)
            try:
                lost = yield from file.items(key, new_size=True)
            except EndedError:
                raise
            except VideoError as error:  # its pictures are of a kind that can't be converted
                self._decoder.count(damaged=1)
                return str(error), False
        return self._outcome(before, lost)

    def _outcome(self, before: LiveCounters, lost: LostError | None) -> tuple[str, bool]:
        """What is wrong with a file that was opened, and whether its rest couldn't be read."""
        if lost is not None:
            return f"it can't be read to its end: {lost}", is_read_error(lost.__cause__)
        if self.counters.frames == before.frames:
            return "no frame can be decoded", False
        damaged = self.counters.damaged - before.damaged
        return f"{damaged} damaged packet{'s' if damaged > 1 else ''}" if damaged else "", False
