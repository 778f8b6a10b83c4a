"""What is done to videos in a process of its own: scoring, small copies, cut-out events, marked videos."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from amiss.app.jobs import Told, answering
from amiss.detection import ScoreResult, read_score_result
from amiss.errors import AmissError, OutputError, showable
from amiss.files import atomic_path
from amiss.reading import read_json
from amiss.video import annotate_video, cut_clip, read_header, write_preview


def _score(request: dict[str, Any], asker: Told) -> dict[str, Any]:
    """Score videos; one that fails is told, and the rest goes on."""
    asker.progress(0, 1, "loading the detector")
    from amiss.detection import Detector

    detector = Detector.load(request["detector"])
    detector.prepare(request["weights"])
    videos, n_scored = request["videos"], 0
    for number, video in enumerate(videos):
        name, path = video["name"], Path(video["path"])
        asker.progress(number, len(videos), name)
        asker.tell({"begun": video["id"]})

        def on_share(share: float, done: int = number, name: str = name) -> None:
            asker.progress(done + share, len(videos), name)

        try:
            result = detector.score(path, on_share)
            if not read_header(path).plays_in_browsers:
                write_preview(path, video["preview"])
            replace(result, video=showable(name), detector=request["detector_name"]).write_json(video["out"])
        except OutputError:
            raise  # the next one would fail alike
        except AmissError as error:
            asker.tell({"failed": [video["id"], str(error)]})
            continue
        n_scored += 1
        asker.tell({"scored": video["id"]})
    return {"scored": n_scored, "failed": len(videos) - n_scored}


def _clips(request: dict[str, Any], _: Told) -> None:
    """Its events cut out, in a .zip; what is in it is compressed already."""
    result = _result(request)
    with atomic_path(request["out"]) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for number, event in enumerate(result.events, 1):
            name = f"{request['name']}.event{number:02d}.mp4"
            cut = temporary.with_name(f"{temporary.stem}-cut.mp4")
            try:
                cut_clip(request["video"], cut, event.start, event.end)
                archive.write(cut, name)
            finally:
                cut.unlink(missing_ok=True)


def _marked(request: dict[str, Any], _: Told) -> None:
    """A copy with its score burnt in."""
    result = _result(request)
    spans, scores = [(clip.start, clip.end) for clip in result.clips], [clip.score for clip in result.clips]
    events = [(event.start, event.end) for event in result.events]
    annotate_video(request["video"], request["out"], spans, scores, events, result.threshold, times=result.times)


def _result(request: dict[str, Any]) -> ScoreResult:
    return read_score_result(request["result"], request["name"])


score, clips, video = answering(_score), answering(_clips), answering(_marked)


def read_result(path: Path) -> ScoreResult:
    """A stored result.

    Raises:
        EvaluationError: it isn't one.
        AmissError: it can't be read.
    """
    return read_score_result(read_json(path, allow_nan=True), path.name)
