"""One cell of a benchmark: train with one seed, follow the test set apart, keep the scores."""

import json
import shutil
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from amiss.bench._results import CellResult, Cost, Kind, score_file
from amiss.datasets import Glances, Manifest
from amiss.detection import Detector, ScoreMap
from amiss.errors import DetectorError, EvaluationError
from amiss.evaluation import bootstrap_metrics, score_frames, write_scores
from amiss.features import FeatureSet, open_feature_set
from amiss.files import append_line, write_json
from amiss.jobs import score_videos
from amiss.reading import check_values, read_json, read_json_lines, refusing
from amiss.training import Recipe, train

RESULTS = 6
"""Version of the code that decides a cell's numbers: heads, training, features, detection, evaluation, and this file.

Raise it with every change of them after which a cell's numbers differ; cells of an earlier version are then run again.
`tests/bench/test_numbers.py` pins the numbers of a small cell, and fails where it was forgotten.
"""

_FAILURE = "failed.json"


@dataclass(frozen=True)
class _Failure:
    """What a cell that failed left."""

    key: str
    why: str


@dataclass(frozen=True)
class Cell:
    """One training run: recipe, data, seed, and fold."""

    name: str
    """`seed0`, or `seed0-fold1`."""
    system: Path
    """Folder of the system that it belongs to."""
    key: str
    """Hash of what the suite says of it and of its data."""
    recipe: Recipe
    manifest: Manifest
    features: Path
    glances: Glances | None
    """Clicks in its training videos."""
    seed: int
    protocol: str
    metric: str
    """What the oracle chooses by."""

    @property
    def folder(self) -> Path:
        """Where it keeps what it made. Cells of other settings, data or versions have other folders."""
        return self.system / f"{self.name}-r{RESULTS}-{self.key[:10]}"

    @property
    def is_done(self) -> bool:
        """Whether it is finished and need not be run again."""
        result = _read(self.folder)
        return result is not None and (result.results, result.key) == (RESULTS, self.key)

    @property
    def has_earlier_results(self) -> bool:
        """Whether there are results of it by an earlier version of the code, or of one that told no version."""
        for folder in self.system.glob(f"{self.name}-*"):
            if (folder / "cell.json").is_file() and folder != self.folder:
                result = _read(folder)
                if result is None or (result.key == self.key and result.results != RESULTS):
                    return True
        return False

    @property
    def failure(self) -> str | None:
        """Why it failed when it was run last; None where it didn't, or nobody knows."""
        try:
            told = check_values(_Failure, read_json(self.folder / _FAILURE))
        except ValueError:  # there is none, or it is damaged
            return None
        return told.why if told.key == self.key else None

    def remember(self, why: str) -> None:
        """Keep why it failed, so that it isn't run again before somebody asks for it."""
        write_json(self.folder / _FAILURE, {"key": self.key, "why": why})

    def read(self) -> CellResult:
        """What it came to.

        Raises:
            DetectorError: its files are damaged.
        """
        result = _read(self.folder)
        if result is None:
            path = self.folder / "cell.json"
            raise DetectorError(f"{path} is missing or damaged. Remove its folder, and it is run again")
        return result

    def run(self) -> None:
        """Train, and score the test videos with the last, the selected and, apart, the step that is best on the test.

        The test set is only followed: what is trained and what is selected never sees it. A killed cell goes on from
        its last checkpoint.
        """
        began = time.monotonic()
        (self.folder / _FAILURE).unlink(missing_ok=True)
        features = open_feature_set(self.features)
        run = self.folder / "run"
        with warnings.catch_warnings(action="ignore"):  # about the data; the plan has told them once for all cells
            follower = _Follower(self, features)
            resume = (run / "recipe.yaml").is_file()
            report = train(
                self.recipe,
                self.manifest,
                features,
                run,
                seed=self.seed,
                resume=resume,
                on_evaluate=follower.look,
                glances=self.glances,
            )
            threshold: dict[Kind, float] = {}
            unscored: list[str] = []
            scoring = 0.0
            models: tuple[Kind, ...] = ("last", "selected")
            for kind in models:
                detector = Detector.load(run / kind)
                started = time.process_time()
                scores, unscored = score_videos(detector, features, self.manifest.split("test"))
                scoring = time.process_time() - started
                write_scores(score_file(self.folder, kind), scores)
                threshold[kind] = detector.calibration.threshold
        recipe = report.taken or self.recipe.name
        shutil.copyfile(follower.scores_of(recipe), score_file(self.folder, "oracle(test)"))
        by_step = follower.values[recipe]
        steps: dict[Kind, int] = {
            "last": report.steps,
            "selected": report.selected_step,
            "oracle(test)": _best(by_step),
        }
        result = CellResult(
            results=RESULTS,
            key=self.key,
            seed=self.seed,
            metric=self.metric,
            steps=steps,
            values={kind: by_step[step] for kind, step in steps.items()},
            by_step=by_step,
            held_out=report.selected_auc,
            threshold=threshold,
            unscored=tuple(unscored),
            train=report,
            cost=Cost(
                parameters=report.parameters,
                seconds_per_1000_steps=1000 * report.step_seconds / report.steps,
                ms_per_video=1000 * scoring / max(1, len(scores)),
            ),
            versions=detector.provenance["versions"] | {"git_revision": detector.provenance["git_revision"]},
            seconds=time.monotonic() - began,
        )
        write_json(self.folder / "cell.json", result.to_dict())


def _read(folder: Path) -> CellResult | None:
    """What a finished cell says; None where there is none, or it says too little."""
    try:
        return CellResult.model_validate_json((folder / "cell.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _best(by_step: Mapping[int, float]) -> int:
    """The step that no one could have chosen without the test set; the first of equals."""
    return max(by_step, key=lambda step: (by_step[step], -step))


@dataclass
class _Follower:
    """Measures the test set at each evaluation and keeps the scores of the best step; survives a kill.

    A recipe with alternatives trains several, each with steps of its own: they are kept apart.
    """

    cell: Cell
    features: FeatureSet
    values: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """Name of the recipe under way → step → metric on the test set."""

    def __post_init__(self) -> None:
        """Take up what was measured before a kill. Steps that are trained again give the same numbers."""
        with refusing(EvaluationError, str(self._log)):
            measured = read_json_lines(self._log, lambda values: check_values(tuple[str, int, float], values))
        if measured.damage:
            warnings.warn(f"{self._log}: {measured.damage} and left out", stacklevel=2)
        for recipe, step, value in measured.values:
            self.values[recipe][step] = value

    @property
    def _log(self) -> Path:
        return self.cell.folder / "test-by-step.jsonl"

    def scores_of(self, recipe: str) -> Path:
        """Where the scores of a recipe's best step are."""
        return self.cell.folder / f"best-{list(self.values).index(recipe)}.npz"

    def look(self, step: int, detector: Detector) -> None:
        """Measure the detector of a step."""
        recipe = detector.provenance["recipe"]["name"]
        # of heads that are sure of themselves σ alone rounds many scores to 1
        detector = replace(detector, calibration=replace(detector.calibration, score_map=ScoreMap(1.0, 0.0)))
        scores, unscored = score_videos(detector, self.features, self.cell.manifest.split("test"))
        frames = score_frames(scores, self.cell.manifest, self.cell.protocol, exclude=unscored)
        metric = self.cell.metric
        value = float(bootstrap_metrics(frames, np.ones((1, len(frames.videos))), only=[metric])[metric][0])
        self.values[recipe][step] = value
        if _best(self.values[recipe]) == step:
            write_scores(self.scores_of(recipe), scores)
        append_line(self._log, json.dumps([recipe, step, value]))
