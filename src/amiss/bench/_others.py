"""Others' scores and detectors in a benchmark, measured beside the suite's systems; was the test set looked at?"""

from dataclasses import replace

from amiss.bench._features import slug
from amiss.bench._measure import Subject
from amiss.bench._plan import Plan
from amiss.bench._prepare import Data
from amiss.bench._results import Kind
from amiss.bench._suite import ScoresChoice
from amiss.datasets import Manifest
from amiss.detection import Detector
from amiss.errors import EvaluationError, UsageError
from amiss.evaluation import write_scores
from amiss.features import FeatureSet
from amiss.jobs import score_videos
from amiss.training import hash_data


def subject_of_scores(entry: ScoresChoice, plan: Plan) -> tuple[Subject, list[str]]:
    """Someone's scores or detector as a subject, and the marks that it gets.

    Where nobody can say that its model was chosen without the test set, its numbers stand in the column oracle(test).

    Raises:
        EvaluationError: the detector was trained on the test videos.
        UsageError: it needs features that the suite has for another dataset only.
    """
    own = next(p for p in plan.datasets if p.dataset.label == entry.dataset)
    same = [d for d in plan.data_of(own.dataset) if entry.features in (None, d.choice.name)]
    test = same[0].test if same else own.test
    kind: Kind | None = entry.selection
    marks: list[str] = []
    if entry.detector is None:
        files = tuple(entry.files or ())
        exclude = _unscorable(same[0].features, test) if same else frozenset()
    elif not same:
        raise UsageError(f"scores {entry.name}: the suite has no features {entry.features!r} for {entry.dataset}")
    else:
        detector = Detector.load(entry.detector)
        seen = _videos_trained_on(detector, same[0])
        if seen == "test":
            raise EvaluationError(
                f"scores {entry.name}: {entry.detector} was trained on test videos of {entry.dataset} "
                "(by the data hash in its provenance)"
            )
        if seen == "unknown":
            kind = "oracle(test)"
            marks.append(
                f"{entry.name}: its data hash is not that of the training videos of {entry.dataset}, so it may have "
                "seen test videos; its numbers stand in the column oracle(test)"
            )
        elif kind is None and entry.detector.name in ("last", "selected"):
            kind = "last" if entry.detector.name == "last" else "selected"
        scores, unscored = score_videos(detector, same[0].features, test.split("test"))
        files, exclude = (plan.out / "runs" / slug(entry.dataset) / f"{slug(entry.name)}.npz",), frozenset(unscored)
        write_scores(files[0], scores)
    if kind is None:
        kind = "oracle(test)"
        marks.append(
            f"{entry.name}: nobody says how its model was chosen, so it counts as chosen on the test set "
            "(state `selection` in the suite)"
        )
    subject = Subject(
        name=entry.name,
        dataset=entry.dataset,
        features=entry.features or "",
        metric=own.metric,
        protocols=tuple(own.dataset.protocols),
        manifest=test,
        files={kind: tuple((file,) for file in files)},
        exclude=exclude,
    )
    return subject, marks


def _unscorable(features: FeatureSet, test: Manifest) -> frozenset[str]:
    """Test videos that the suite's systems can't score, left out for all so that all are measured on the same."""
    return frozenset(v.video_id for v in test.split("test") if not features.load(v.video_id).any())


def _videos_trained_on(detector: Detector, data: Data) -> str:
    """`train`, `test` (too, or only), or `unknown`, by the data hash in a detector's provenance."""
    found = detector.provenance.get("data_hash")
    manifest, features = data.manifest, data.features
    if found == hash_data(manifest.split("train", "val"), features):
        return "train"
    moved = [replace(v, split="train") if v.split == "test" else v for v in manifest.videos]
    test = manifest.split("test")
    leaky = (moved, manifest.videos, test, [replace(v, split="train") for v in test])
    return "test" if found in [hash_data(videos, features) for videos in leaky] else "unknown"
