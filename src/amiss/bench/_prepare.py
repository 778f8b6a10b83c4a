"""The data of a benchmark: datasets and features at hand, checked for leaks from the test into training."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from amiss.backbones import clip_spans
from amiss.bench._features import Tell, features_at_hand
from amiss.bench._suite import DatasetChoice, FeatureChoice, Suite
from amiss.datasets import Manifest, Problem, Video, build_dataset, read_manifest
from amiss.errors import EvaluationError, FeatureError, ManifestError, UsageError
from amiss.evaluation import check_ground_truth, get_protocol
from amiss.features import FeatureRecord, FeatureSet, near_duplicates, video_times
from amiss.jobs import with_features, with_lengths
from amiss.video import FrameTimes


@dataclass(frozen=True)
class Prepared:
    """A dataset: its videos, and what was found wrong with them."""

    dataset: DatasetChoice
    manifest: Manifest
    notes: tuple[str, ...]
    """What a reader should know."""
    marks: tuple[str, ...]
    """What a reader must be warned of: videos that can't be read, or of another length than annotated."""

    @property
    def test(self) -> Manifest:
        """The manifest whose test split is what is measured: with folds, all videos."""
        return _measured(self.dataset, self.manifest)

    @property
    def metric(self) -> str:
        """What systems are ranked by: asked for, or AUC over frames where events are known, else over videos."""
        has_events = any(video.events for video in self.test.split("test"))
        return self.dataset.metric or ("auc" if has_events else "video_auc")


@dataclass(frozen=True)
class Data:
    """A dataset with one feature set."""

    dataset: DatasetChoice
    choice: FeatureChoice
    manifest: Manifest
    """The videos that have features."""
    features: FeatureSet
    metric: str
    """What systems are ranked by."""
    dropped: tuple[str, ...]
    """Videos without features."""
    notes: tuple[str, ...]
    """What was found and done about the training videos."""

    @property
    def test(self) -> Manifest:
        """The manifest whose test split is what is measured: with folds, all videos."""
        return _measured(self.dataset, self.manifest)


def _measured(dataset: DatasetChoice, manifest: Manifest) -> Manifest:
    if dataset.folds is None:
        return manifest
    return Manifest(tuple(replace(v, split="test") for v in manifest.videos), manifest.source)


def prepare_datasets(suite: Suite, tell: Tell) -> list[Prepared]:
    """Build or read the manifests, and refuse those in which the test leaks into training.

    Raises:
        ManifestError: a dataset is wrong, or a group or file is in both training and test.
        EvaluationError: a ground-truth vector is not that of its protocol, or the test has only one label.
    """
    found = []
    for dataset in suite.datasets:
        tell(f"{dataset.label}: videos and annotations")
        manifest, notes, marks = _manifest_of(dataset)
        for protocol, path in dataset.ground_truth.items():
            check_ground_truth(path, manifest, protocol)
        prepared = Prepared(dataset, manifest, notes, marks)
        labels = {video.label for video in prepared.test.split("test")}
        if labels != {0, 1}:
            raise EvaluationError(
                f"{dataset.label}: all test videos are {'anomalous' if 1 in labels else 'normal'}; "
                "ranking systems takes both"
            )
        found.append(prepared)
    return found


def prepare_data(suite: Suite, prepared: Sequence[Prepared], out: Path, tell: Tell) -> list[Data]:
    """Import or extract features, and refuse those that don't fit, or are the same in training and test.

    Raises:
        FeatureError: features are missing, don't fit the frame counts, or leak.
        UsageError: two feature sets of one name for a dataset.
    """
    found: list[Data] = []
    for own in prepared:
        label = own.dataset.label
        choices = [c for c in suite.features if c.datasets is None or label in c.datasets]
        names = [choice.name for choice in choices]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"features {twice} stand twice for {label}; give each its own name")
        for choice in choices:
            tell(f"{label}: features {choice.name}")
            features = features_at_hand(choice, suite, own.dataset, own.manifest, out, tell)
            found.append(_data(own, choice, features))
    return found


def without_frame_protocols(prepared: Prepared, data: Sequence[Data]) -> tuple[Prepared, list[Data]]:
    """Leave out the protocols that need the frames of test videos, where nobody knows how many some have.

    Args:
        prepared: a dataset.
        data: it with each of its feature sets.

    Raises:
        EvaluationError: no protocol is left.
    """
    dataset = prepared.dataset
    tests = [one.test for one in data] or [prepared.test]
    unknown = {video.video_id for test in tests for video in test.split("test") if video.n_frames is None}
    left_out = [name for name in dataset.protocols if get_protocol(name).length == "decoded"] if unknown else []
    if not left_out:
        return prepared, list(data)
    text = (
        f"nobody says how many frames {len(unknown)} test videos have ({', '.join(sorted(unknown)[:3])}), which "
        f"{', '.join(left_out)} needs to know"
    )
    if not (kept := [name for name in dataset.protocols if name not in left_out]):
        raise EvaluationError(
            f"{dataset.label}: {text}. Write n_frames into the manifest, or name a protocol that counts clips "
            "(`amiss protocols`)"
        )
    fewer = dataset.model_copy(update={"protocols": kept})
    note = f"{text}: left out. With n_frames in the manifest or in the annotations it is measured, too"
    return (
        replace(prepared, dataset=fewer, notes=(*prepared.notes, note)),
        [replace(one, dataset=fewer) for one in data],
    )


def _manifest_of(dataset: DatasetChoice) -> tuple[Manifest, tuple[str, ...], tuple[str, ...]]:
    problems: tuple[Problem, ...] = ()
    if dataset.manifest is not None:
        manifest = read_manifest(dataset.manifest)
    else:
        assert dataset.root is not None, "the suite's check sees to it"
        manifest, problems = build_dataset(dataset.name, dataset.root, dataset.class_name)
    if leaks := [str(problem) for problem in problems if problem.kind == "leak"]:
        raise ManifestError("; ".join(leaks))
    marks = tuple(f"{dataset.label}: {problem}" for problem in problems if problem.kind in ("length", "unreadable"))
    notes = tuple(str(p) for p in problems if p.kind in ("damaged", "rate", "duplicate"))
    has_test = bool(manifest.split("test"))
    if dataset.folds is None and not has_test:
        raise ManifestError(f"{manifest.source} has no test split: give {dataset.label} folds, e.g. `folds: 5`")
    if dataset.folds is not None and has_test:
        raise ManifestError(f"{manifest.source} has a test split; folds are for datasets without one")
    _refuse_cut_groups(manifest)
    return manifest, notes, marks


def _refuse_cut_groups(manifest: Manifest) -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    by_path: defaultdict[Path, list[Video]] = defaultdict(list)
    for video in manifest.videos:
        if video.group is not None:
            splits[video.group].add(video.split)
        if video.path is not None:
            by_path[video.path].append(video)
    if cut := sorted(group for group, parts in splits.items() if "test" in parts and len(parts) > 1):
        raise ManifestError(
            f"{manifest.source}: {len(cut)} groups are in the test and in training ({', '.join(cut[:5])}): "
            "the test set leaks into training. Keep each group in one split"
        )
    for path, videos in by_path.items():
        if len({video.split == "test" for video in videos}) > 1:
            names = " and ".join(f"{video.video_id} ({video.split})" for video in videos)
            raise ManifestError(f"{manifest.source}: {names} are the same file {path}: the test leaks into training")


def _data(own: Prepared, choice: FeatureChoice, features: FeatureSet) -> Data:
    dataset, manifest = own.dataset, own.manifest
    try:
        manifest, dropped = with_features(manifest, features, choice.missing)
    except FeatureError as error:
        raise FeatureError(f"{dataset.label}, {choice.name}: {error}") from None
    leaking = _leaking_copies(dataset, manifest, features)
    named = "; ".join(f"{copy} and {original}" for copy, original in leaking.items())
    if leaking and dataset.leaks == "error":
        where = "different groups" if dataset.folds is not None else "training and test"
        raise FeatureError(
            f"{dataset.label}: test videos leak into training: {len(leaking)} pairs in {where} are copies "
            f"({named}). Take one of each out of the manifest, or set `leaks: drop` to leave the first named ones out"
        )
    kept = Manifest(tuple(v for v in manifest.videos if v.video_id not in leaking), manifest.source)
    notes = _check_lengths(dataset, kept, features)
    kept = with_lengths(kept, features)
    if leaking:
        notes += (f"{len(leaking)} videos are left out, each a copy of a test video (copy and original: {named})",)
    return Data(dataset, choice, kept, features, own.metric, dropped, notes)


def _check_lengths(dataset: DatasetChoice, manifest: Manifest, features: FeatureSet) -> tuple[str, ...]:
    """Frame counts of manifest, index and rows must agree for the test videos, before anything is trained.

    Returns:
        A note where they don't for training videos: published features have such.
    """
    wrong: dict[str, str] = {}
    for video in manifest.videos:
        record = features.records[video.video_id]
        measured = dataset.folds is not None or video.split == "test"
        if not measured and video.n_frames is None and record.n_frames is None:
            continue  # training doesn't need to know
        try:
            times = video_times(video, features)
        except FeatureError as error:
            wrong[video.video_id] = str(error)
            continue
        if times is not None and not _fits(features, record, times):
            wrong[video.video_id] = f"{video.video_id}: {record.n_clips} clips don't fit {times.n_frames} frames"
    bad = [v.video_id for v in manifest.videos if v.video_id in wrong and (dataset.folds or v.split == "test")]
    if bad:
        named = "; ".join(wrong[video_id] for video_id in bad[:3])
        raise FeatureError(f"{dataset.label}: frame counts don't fit the features of {len(bad)} test videos: {named}")
    if not wrong:
        return ()
    first = next(iter(wrong.values()))
    return (f"frame counts don't fit the features of {len(wrong)} training videos, like {first}",)


def _fits(features: FeatureSet, record: FeatureRecord, times: FrameTimes) -> bool:
    """Whether the clips of a video cover its frames: the last one begins inside, and the next would not."""
    spec = features.spec
    if spec.segments is not None:
        return True
    spans, n_frames = clip_spans(spec, record.n_clips + 1, times), times.n_frames
    begins_inside = spans[-2][0] < n_frames
    if spec.tail == "drop" or record.n_frames is None:  # others' extractors drop the last clip, some one more
        return begins_inside
    return begins_inside and (spans[-2][1] >= n_frames or spans[-1][0] >= n_frames)


def _leaking_copies(dataset: DatasetChoice, manifest: Manifest, features: FeatureSet) -> dict[str, str]:
    """Video → test video of which it is a copy, which training would see; with folds, in another group."""
    found: dict[str, str] = {}
    for pair in near_duplicates(features, [video.video_id for video in manifest.videos if video.video_id in features]):
        first, second = manifest.by_id[pair.first], manifest.by_id[pair.second]
        if first.video_id in found or second.video_id in found:
            continue  # that one is left out
        if dataset.folds is not None:
            if first.group is None or first.group != second.group:
                found[second.video_id] = first.video_id
        elif (first.split == "test") != (second.split == "test"):
            test, other = (first, second) if first.split == "test" else (second, first)
            found[other.video_id] = test.video_id
    return found
