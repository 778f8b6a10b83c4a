"""The page's own rule for events is that of `amiss detect`."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amiss.detection import ScoreResult, clip_scores, find_events
from amiss.errors import EvaluationError
from amiss.results import stretches_of
from amiss.video import FrameTimes
from helpers.browser import run_script

RULE = resources.files("amiss").joinpath("results", "templates", "events.js").read_text(encoding="utf-8")
FPS = 29.97
CLASSES = [["fire", "fall", "fight"][i % 3] for i in range(50)]


def drawn(rng: np.random.Generator) -> ScoreResult:
    """Scores of a video of random length; clips beside each other, overlapping, or with gaps; many scores are equal."""
    stride = int(rng.choice([4, 8, 16, 16, 20]))
    n_clips = int(rng.integers(1, 40))
    last = int(rng.integers(1, 17)) if n_clips == 1 or stride >= 16 else 16  # the last one may be cut off
    starts = [i * stride for i in range(n_clips)]
    ends = [*(start + 16 for start in starts[:-1]), starts[-1] + last]
    scores = rng.choice([rng.random(n_clips), rng.integers(0, 5, n_clips) / 4])
    return result_of(list(zip(starts, ends, strict=True)), scores)


def result_of(spans: list[tuple[int, int]], scores: Sequence[float], fps: float = FPS) -> ScoreResult:
    times = FrameTimes(max(end for _, end in spans), fps)
    clips = clip_scores(np.array(scores), spans, times, CLASSES[: len(spans)])
    return ScoreResult("v", fps, times.n_frames, times.end_s, "d", 0.5, clips, ())


def test_the_script_finds_the_events_that_detect_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cases: list[dict[str, Any]] = []
    expected = []
    for _ in range(400):
        result = drawn(rng)
        cut = stretches_of(result)
        spans = [(clip.start, clip.end) for clip in result.clips]
        scores = np.array([clip.score for clip in result.clips])
        for threshold in (0.0, 0.5, 1.0, float(rng.choice(scores)), float(rng.choice(cut.scores)), rng.random()):
            case = {"time": cut.times, "score": cut.scores, "peaks": cut.peaks, "classes": cut.classes}
            cases.append(case | {"threshold": threshold})
            expected.append(find_events(scores, spans, result.times, threshold, CLASSES[: len(spans)]))
    found = run_script(RULE + "function main(cases) { return cases.map((c) => findEvents(c, c.threshold)); }", cases,
                       tmp_path)  # fmt: skip
    assert sum(map(len, expected)) > 3000
    assert any(case["peaks"] for case in cases)
    for case, there, here in zip(cases, found, expected, strict=True):
        assert [(e["start"], e["end"], e["score"]) for e in there] == [(e.start_s, e.end_s, e.score) for e in here], (
            case
        )
        assert [event["what"] for event in there] == [event.class_name for event in here], case
        peaks = [event.peak_s for event in here]
        assert [event["peak"] for event in there] == pytest.approx(peaks, abs=1.01 / FPS), case


def test_scores_that_are_none_are_refused() -> None:
    with pytest.raises(EvaluationError, match="NaN"):
        stretches_of(result_of([(0, 16), (16, 32)], [0.1, float("nan")]))


def test_gaps_take_the_score_before_them() -> None:
    cut = stretches_of(result_of([(0, 16), (32, 48), (48, 64)], [0.9, 0.1, 0.2], 16.0))
    assert cut.times == [0, 1, 2, 3, 4]
    assert cut.scores == [0.9, 0.9, 0.1, 0.2]
