"""One cell of a benchmark: train with one seed, follow the test set apart, keep the scores."""

import json
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amiss.datasets import Manifest
from amiss.detection import Detector
from amiss.errors import DetectorError
from amiss.evaluation import bootstrap_metrics, score_frames, write_scores
from amiss.features import FeatureSet, open_feature_set
from amiss.files import write_json
from amiss.jobs._evaluate import score_videos
from amiss.training import Recipe, train

KINDS = ("last", "selected", "oracle(test)")
_FILES = {"last": "scores-last.npz", "selected": "scores-selected.npz", "oracle(test)": "scores-oracle.npz"}


@dataclass(frozen=True)
class Cell:
    """One training run: recipe, data, seed, and fold. Everything that decides its numbers is in its key."""

    folder: Path
    key: str
    recipe: Recipe
    manifest: Manifest
    features: Path
    seed: int
    protocol: str
    metric: str
    """What the oracle chooses by."""

    @property
    def is_done(self) -> bool:
        """Whether it is finished and need not be run again."""
        try:
            values = json.loads((self.folder / "cell.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(values, dict) and values.get("key") == self.key

    def read(self) -> "CellResult":
        """What it came to.

        Raises:
            DetectorError: its files are damaged.
        """
        path = self.folder / "cell.json"
        try:
            return CellResult(self, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DetectorError(f"{path} can't be read: {error}. Remove the folder, and it is run again") from error

    def run(self) -> None:
        """Train, and score the test videos with the last, the selected and, apart, the step that is best on the test.

        The test set is only followed: what is trained and what is selected never sees it. A killed cell goes on from
        its last checkpoint.
        """
        began = time.monotonic()
        features = open_feature_set(self.features)
        run = self.folder / "run"
        with warnings.catch_warnings(action="ignore"):  # about the data; the plan has told them once for all cells
            follower = _Follower(self, features)
            resume = (run / "recipe.yaml").is_file()
            report = train(
                self.recipe, self.manifest, features, run, seed=self.seed, resume=resume, on_evaluate=follower.look
            )
            steps = {"last": report.steps, "selected": report.selected_step, "oracle(test)": follower.best_step}
            threshold: dict[str, float] = {}
            unscored: list[str] = []
            scoring = 0.0
            for kind in ("last", "selected"):
                detector = Detector.load(run / kind)
                started = time.process_time()
                scores, unscored = score_videos(detector, features, self.manifest.split("test"))
                scoring = time.process_time() - started
                write_scores(self.folder / _FILES[kind], scores)
                threshold[kind] = detector.calibration.threshold
        write_json(
            self.folder / "cell.json",
            {
                "key": self.key,
                "seed": self.seed,
                "metric": self.metric,
                "steps": steps,
                "values": {kind: follower.values[step] for kind, step in steps.items()},
                "by_step": follower.values,
                "held_out": report.selected_auc,
                "threshold": threshold,
                "unscored": unscored,
                "train": report.to_dict(),
                "cost": {
                    "parameters": report.parameters,
                    "seconds_per_1000_steps": 1000 * report.step_seconds / report.steps,
                    "ms_per_video": 1000 * scoring / max(1, len(scores)),
                },
                "versions": detector.provenance["versions"] | {"git_revision": detector.provenance["git_revision"]},
                "seconds": time.monotonic() - began,
            },
        )


@dataclass(frozen=True)
class CellResult:
    """A finished cell."""

    cell: Cell
    values: dict[str, Any]
    """`cell.json`."""

    def file(self, kind: str) -> Path:
        """Scores of its test videos by the `last`, `selected` or `oracle(test)` model."""
        return self.cell.folder / _FILES[kind]


@dataclass
class _Follower:
    """Measures the test set at each evaluation and keeps the scores of the best step; survives a kill."""

    cell: Cell
    features: FeatureSet
    values: dict[int, float] = field(default_factory=dict)
    """Step → metric on the test set."""

    def __post_init__(self) -> None:
        """Take up what was measured before a kill. Steps that are trained again give the same numbers."""
        if self._log.is_file():
            for line in self._log.read_text(encoding="utf-8").splitlines():
                try:
                    step, value = json.loads(line)
                except ValueError:
                    break  # cut short by the kill
                self.values[step] = value

    @property
    def _log(self) -> Path:
        return self.cell.folder / "test-by-step.jsonl"

    @property
    def best_step(self) -> int:
        """The step that no one could have chosen without the test set; the first of equals."""
        return max(self.values, key=lambda step: (self.values[step], -step))

    def look(self, step: int, detector: Detector) -> None:
        """Measure the detector of a step."""
        scores, unscored = score_videos(detector, self.features, self.cell.manifest.split("test"))
        frames = score_frames(scores, self.cell.manifest, self.cell.protocol, exclude=unscored)
        value = bootstrap_metrics(frames, np.ones((1, len(frames.videos))))[self.cell.metric][0]
        known = {**self.values, step: float(value)}
        if max(known, key=lambda s: (known[s], -s)) == step:
            write_scores(self.cell.folder / _FILES["oracle(test)"], scores)
        self.values[step] = float(value)
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps([step, float(value)]) + "\n")
