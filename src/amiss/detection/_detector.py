"""Detector: what a user deploys. FeatureSpec + head + normalisation + calibration, in one directory."""

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file, save
from scipy.special import expit

from amiss.backbones import FeatureSpec, clip_spans, create_backbone_for
from amiss.datasets import first_names
from amiss.detection._calibration import Calibration
from amiss.detection._detector_folder import HEAD_FILE, JSON_FILE, check_detector_folder, detector_files
from amiss.detection._normalisation import FloatArray, Normalisation, NormalisationKind
from amiss.detection._score_result import ScoreResult, clip_scores, find_events
from amiss.detection._scoring import Scoring
from amiss.engines import Engine, create_engine
from amiss.errors import DetectorError, FeatureError
from amiss.features import extract_video, pool_as
from amiss.files import atomic_path, write_json
from amiss.heads import Head, HeadOutput, create_head, crop_mean, mean_logits
from amiss.reading import ReadError, check_file, check_values, read_json, refusing, shown
from amiss.video import FrameTimes

FORMAT = 3
"""That is read at most, and written where there is a `scoring`; 2 was without, and is still written without. 1 was
without a score map."""
_NORMALISATION = "normalisation."
_HEAD = "head."


@dataclass(frozen=True)
class _StoredHead:
    name: str
    """Registry name."""
    feature_dim: Annotated[int, Field(ge=1, le=1 << 20)]
    """D."""
    options: dict[str, Any]
    """Keyword arguments of the head."""


@dataclass(frozen=True)
class _DetectorFile:
    """detector.json."""

    format: int
    """`FORMAT`."""
    spec: dict[str, Any]
    """FeatureSpec."""
    head: _StoredHead
    """What builds the head."""
    normalisation: NormalisationKind
    """Its statistics lie beside the head's weights."""
    calibration: Calibration
    """As it is."""
    provenance: dict[str, Any]
    """Recipe, data hash, git revision, package versions."""
    scoring: Scoring = field(default_factory=Scoring)
    """As it is."""


@dataclass
class Detector:
    """Scores videos and stored features. `Detector.load` needs no backbone weights; scoring a video does."""

    spec: FeatureSpec
    """Of the features that the head takes: clips, or segments that clips are pooled to."""
    head: Head
    """Features → scores."""
    normalisation: Normalisation
    """What features go through before the head."""
    calibration: Calibration
    """From which score on something is an event."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Recipe, data hash, git revision, package versions."""
    scoring: Scoring = field(default_factory=Scoring)
    """What scores are made of beside the head's."""
    name: str = "detector"
    """Where it was loaded from, for results."""
    _engine: Engine | None = field(default=None, repr=False)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `detector.json` and `head.safetensors`, the JSON last: a directory with it is whole.

        Raises:
            OutputError: the directory can't be written.
        """
        root = Path(folder)
        tensors = {_HEAD + name: tensor.detach().cpu().contiguous() for name, tensor in self.head.state_dict().items()}
        for name in ("mean", "std"):
            if (values := getattr(self.normalisation, name)) is not None:
                tensors[_NORMALISATION + name] = torch.from_numpy(values)
        with atomic_path(root / HEAD_FILE) as temporary:
            temporary.write_bytes(save(tensors))  # save_file would make it readable for its owner only
        stored = _DetectorFile(
            format=2 if self.scoring.is_plain else FORMAT,
            spec=self.spec.to_dict(),
            head=_StoredHead(name=self.head.name, feature_dim=self.head.feature_dim, options=self.head.options),
            normalisation=self.normalisation.kind,
            calibration=self.calibration,
            provenance=self.provenance,
            scoring=self.scoring,
        )
        values = asdict(stored)
        if self.scoring.is_plain:
            del values["scoring"]
        write_json(root / JSON_FILE, values)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; warns where scores hardly reach its threshold.

        Raises:
            DetectorError: not a detector, damaged, or written by a newer amiss.
        """
        root = Path(folder)
        check_detector_folder(root)
        with refusing(DetectorError, str(root / JSON_FILE)):
            values = read_json(root / JSON_FILE)
            if not isinstance(values, dict):
                raise ReadError(f"it holds a {type(values).__name__}, not an object")
        if values.get("format") not in range(1, FORMAT + 1):
            found = shown(values.get("format"))
            raise DetectorError(f"{root} has format {found}; this amiss reads 1 to {FORMAT}: update amiss")
        with refusing(DetectorError, str(root / JSON_FILE), "is damaged"):
            stored = check_values(_DetectorFile, values)
            spec = FeatureSpec.from_dict(stored.spec, JSON_FILE)
        with refusing(DetectorError, str(root / HEAD_FILE), "is damaged"):
            head, normalisation = _assemble(stored, load_file(check_file(root / HEAD_FILE)))
        if doubt := stored.calibration.doubt():
            warnings.warn(f"{root}: {doubt}", stacklevel=2)
        return cls(
            spec=spec,
            head=head,
            normalisation=normalisation,
            calibration=stored.calibration,
            provenance=stored.provenance,
            scoring=stored.scoring,
            name=str(folder),
        )

    def score_features(self, features: FloatArray) -> NDArray[np.float64]:
        """Score stored features.

        Args:
            features: [T, C, D] clips x crops x dim, as they lie in a feature set.

        Returns:
            [T] scores in 0..1, averaged over crops, and then through the calibration's map where it has one.

        Raises:
            DetectorError: other shape or dim, or values that are not finite.
        """
        if self.calibration.score_map is not None:
            return self.calibration.score_map(self.logits(features))
        if not self.scoring.is_plain:
            return np.asarray(expit(self.logits(features)))
        output, crops = self._forward(features)
        return crop_mean(output.scores, crops)[0].double().numpy()

    def logits(self, features: FloatArray) -> NDArray[np.float64]:
        """What scores come from: the logit [T] of the head's scores, averaged over crops, and after `scoring`; for the
        rest as `score_features`.
        """
        logits = self.head_logits(features)
        if self.scoring.is_plain:
            return logits
        return self.scoring.apply(logits, self.changes(features))

    def head_logits(self, features: FloatArray) -> NDArray[np.float64]:
        """The same before `scoring`."""
        return mean_logits(*self._forward(features))[0].numpy()

    def changes(self, features: FloatArray) -> NDArray[np.float64]:
        """How much changes around each clip of stored features [T, C, D], see `Scoring`; [T]."""
        rows = self.normalisation.apply(features).swapaxes(0, 1)
        return self.scoring.changes(np.require(rows, requirements="W"))  # stored ones are mapped read-only

    def clip_classes(self, features: FloatArray) -> list[str] | None:
        """What each clip of stored features [T, C, D] shows if it is anomalous, by name; None where the head doesn't
        tell classes apart."""
        if not self.head.class_names:
            return None
        output, crops = self._forward(features)
        shares_TK = crop_mean(output.extras["class_logits"][..., 1:].softmax(dim=-1), crops)[0]
        return [self.head.class_names[1 + k] for k in shares_TK.argmax(dim=-1).tolist()]

    def not_smoothed(self) -> Self | None:
        """The same detector without smoothing of scores; None where it doesn't smooth."""
        if self.scoring.smoothing == 1:
            return None
        return replace(self, scoring=replace(self.scoring, smoothing=1))

    @property
    def context(self) -> int | None:
        """On how many clips a score depends, see `Head.context`."""
        return self.scoring.context(self.head.context)

    def _forward(self, features: FloatArray) -> tuple[HeadOutput, int]:
        if features.ndim != 3 or features.shape[2] != self.head.feature_dim or not features.size:
            raise DetectorError(f"features are {features.shape}; expected (clips, crops, {self.head.feature_dim})")
        if not np.isfinite(features).all():
            raise DetectorError("features have values that are not finite")
        rows = np.require(self.normalisation.apply(features), requirements="W")  # stored ones are mapped read-only
        x_CTD = torch.from_numpy(rows).transpose(0, 1)
        self.head.eval()
        with torch.inference_mode():
            return self.head(x_CTD), x_CTD.shape[0]

    def prepare(
        self,
        weights: str | os.PathLike[str] | None = None,
        *,
        engine: str = "auto",
        precision: str = "auto",
        compiled: bool = False,
        threads: int | None = None,
    ) -> Engine:
        """Build the backbone and its engine, once; `score` does it by itself where the weights are found by name.

        Args:
            weights: file of the backbone's weights; None = found by their name.
            engine: `auto`, `torch` or `openvino`.
            precision: `auto`, `fp32`, `bf16`, `fp16` (CUDA only) or `int8`.
            compiled: by torch, see `amiss.engines.create_engine`, as the next.
            threads: of the CPU.

        Raises:
            UsageError: this engine or precision isn't possible here.
            WeightsError: the weights are missing or not the ones of the detector's features.
        """
        if self._engine is None:
            backbone = create_backbone_for(self.spec.of_clips, weights)
            self._engine = create_engine(
                backbone, threads=threads, engine=engine, precision=precision, compiled=compiled
            )
        return self._engine

    def score(self, video: str | os.PathLike[str], on_progress: Callable[[float], None] | None = None) -> ScoreResult:
        """Score a video file.

        Args:
            video: the file.
            on_progress: called with the share of it that is done, 0..1, as far as its header tells.

        Raises:
            VideoError: it can't be decoded. WeightsError: the backbone's weights are missing (see `prepare`).
        """
        engine = self.prepare()
        extracted = extract_video(video, engine, on_progress)
        return self.result_of(str(video), extracted.features, extracted.times, extracted.problem, engine.spec)

    def result_of(
        self,
        video: str,
        features: FloatArray,
        times: FrameTimes,
        problem: str | None = None,
        spec: FeatureSpec | None = None,
        *,
        counts_clips: bool = False,
    ) -> ScoreResult:
        """Score the features [T, C, D] of a video, and find the events; `times` are those of its frames.

        `spec` is of these features where it isn't the detector's own: with another stride, clips lie elsewhere, and
        where the head takes segments, clips are pooled to them. `counts_clips`: a second of `times` stands for a clip,
        since nobody knows the frame rate.

        Raises:
            FeatureError: the video is too short for the detector's pooling rule.
        """
        rows, spec = pool_as(features, spec or self.spec, self.spec)
        if features.any() and not rows.any():
            raise FeatureError(
                f"{video}: its {len(features)} clips are too few for {spec.segments} segments of the rule "
                f"{spec.pooling!r}, which makes zeros of them"
            )
        scores = self.score_features(rows)
        spans = clip_spans(spec, len(scores), times)
        threshold = self.calibration.threshold
        classes = self.clip_classes(rows)
        clips = clip_scores(scores, spans, times, classes)
        events = find_events(scores, spans, times, threshold, classes)
        fps = None if counts_clips else times.rate
        return ScoreResult(video, fps, times.n_frames, times.end_s, self.name, threshold, clips, events, problem)


def _assemble(stored: _DetectorFile, tensors: dict[str, torch.Tensor]) -> tuple[Head, Normalisation]:
    """Head and normalisation with their values, which must be finite."""
    if odd := sorted(name for name, tensor in tensors.items() if not tensor.isfinite().all()):
        raise ReadError(f"{first_names(odd)}: some values are not finite")
    head = create_head(stored.head.name, stored.head.feature_dim, **stored.head.options)
    head.load_state_dict({k.removeprefix(_HEAD): t for k, t in tensors.items() if k.startswith(_HEAD)})
    head.finish()  # where it was saved in the middle of its training
    statistics = [
        tensors[_NORMALISATION + n].numpy() if _NORMALISATION + n in tensors else None for n in ("mean", "std")
    ]
    normalisation = Normalisation(stored.normalisation, *statistics)
    normalisation.check(stored.head.feature_dim)
    return head.eval(), normalisation


def detector_digest(folder: str | os.PathLike[str]) -> str:
    """SHA-256 of a detector's two files, head.safetensors and detector.json, one after the other: which one it is.

    Raises:
        DetectorError: they can't be read.
    """
    return hashlib.sha256(b"".join(detector_files(folder).values())).hexdigest()
