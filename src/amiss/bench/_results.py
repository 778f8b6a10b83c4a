"""The results of a benchmark, typed: what `cell.json` and `results.json` hold, and tables and report are made from."""

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from amiss.evaluation import Comparison, EvaluationResult
from amiss.training import TrainReport

Kind = Literal["last", "selected", "oracle(test)"]
"""Which model of a training: of its last step, selected on held-out videos, or the best on the test set."""

KINDS: tuple[Kind, ...] = get_args(Kind)
FORMAT = 1


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return self.model_dump(mode="json")


class Spread(_Result):
    """A number over training seeds."""

    mean: float
    std: float
    """Sample standard deviation; 0 for a single seed."""


class MetricSpread(Spread):
    """A metric over training seeds."""

    ci95: tuple[float, float]
    """Of the mean, over resampled seeds and resampled test videos."""
    per_seed: tuple[float, ...]


class Cost(_Result):
    """What a system costs."""

    parameters: float
    seconds_per_1000_steps: float
    """Processor seconds of training steps."""
    ms_per_video: float
    """Processor milliseconds from stored features to the scores of a test video."""


class CellResult(_Result):
    """A finished cell: `cell.json` in its folder."""

    results: int
    """Version of the code that decides a cell's numbers, see `RESULTS`."""
    key: str
    """Of what the suite says and of the data."""
    seed: int
    metric: str
    """What the oracle chooses by."""
    steps: dict[Kind, int]
    values: dict[Kind, float]
    """The metric on the cell's test videos."""
    by_step: dict[int, float]
    """The same at each step that was followed."""
    held_out: float | None
    """Video AUC of the selected model on held-out training videos; None where none were."""
    threshold: dict[Kind, float]
    unscored: tuple[str, ...]
    """Test videos that can't be scored."""
    train: TrainReport
    cost: Cost
    versions: dict[str, Any]
    """Package → version that it was run with, and the git revision."""
    seconds: float


class Measurement(_Result):
    """The metrics of a system."""

    rows: dict[Kind, dict[str, dict[str, MetricSpread]]]
    """Kind of model → protocol → metric, over seeds; metrics that are undefined for a seed are left out."""
    detail: EvaluationResult
    """All that an evaluation of the first seed of the model that is shown gives."""
    shortcuts: dict[str, dict[str, Any]] = {}
    """How the model that is shown, over all seeds, stands to rankings that look at no picture, under the first
    protocol: see `compare_with_shortcuts`."""


class GlanceSpread(_Result):
    """Localisation on training videos by heads not trained on them, over training seeds (and folds)."""

    rank: Spread
    """Glance rank, see `GlanceResult`."""
    ci95: tuple[float, float]
    """Of the rank of the first cell, over its clicked videos."""
    middle_rank: float
    """Of "middle first", in the first cell."""
    peak_hit: Spread
    peak_hit_chance: float
    """In the first cell."""
    n_videos: int
    """Clicked ones, in the first cell."""


class SystemResult(_Result):
    """A system of a dataset: a recipe on a feature set, or someone's scores."""

    name: str
    dataset: str
    features: str
    """Name of the feature set; empty for bare scores."""
    metric: str
    """What systems are ranked by."""
    shown: Kind
    """The model that figures and comparisons are of: never the oracle where there is another."""
    seeds: tuple[int, ...]
    rows: dict[Kind, dict[str, dict[str, MetricSpread]]]
    """See `Measurement`."""
    detail: EvaluationResult
    """See `Measurement`."""
    shortcuts: dict[str, dict[str, Any]] = {}
    """See `Measurement`."""
    optimism: Spread | None = None
    """Oracle - selected: what choosing on the test set would add."""
    held_out: Spread | None = None
    """Video AUC on held-out training videos."""
    glances: GlanceSpread | None = None
    """None where no clicks were given."""
    selected_by: str | None = None
    """See `TrainReport`."""
    steps: dict[Kind, float] | None = None
    """Mean over seeds."""
    seconds: float | None = None
    """Of all cells."""
    cost: Cost | None = None
    """Medians over cells."""
    fold_mean: dict[Kind, Spread] | None = None
    """With folds: the mean over folds, where `rows` has the pooled scores."""
    versions: dict[str, Any] | None = None
    """Of the first cell."""
    all_versions: tuple[str, ...] = ()
    """Those of all cells, each once."""
    data_hashes: tuple[str, ...] = ()
    """SHA-256 of what was trained with."""
    scores_sha256: tuple[str, ...] = ()
    """Of the files of someone's scores."""
    selection: str | None = None
    """How models were selected, in words."""
    recipe: dict[str, Any] | None = None

    @property
    def protocol(self) -> str:
        """The protocol that systems are ranked under: the first."""
        return next(iter(self.rows[self.shown]))

    def ranked(self, kind: Kind) -> MetricSpread | None:
        """The metric that systems are ranked by, of a kind of model; None where there is no such model."""
        return self.rows[kind][self.protocol][self.metric] if kind in self.rows else None


class Sweep(_Result):
    """The settings of a swept recipe, and which one would be chosen."""

    features: str
    settings: tuple[dict[str, Any], ...]
    names: tuple[str, ...]
    """Of the systems, in the order of the settings."""
    held_out: tuple[float | None, ...]
    """Video AUC on held-out training videos."""
    values: tuple[float, ...]
    """The metric of the selected models."""
    stds: tuple[float, ...]
    oracles: tuple[float, ...]
    chosen: str | None
    """The system that held-out videos choose; None where none were held out."""
    chosen_value: float | None
    glance_ranks: tuple[float | None, ...] = ()
    """Of the settings, on training videos."""
    chosen_by_glances: str | None = None
    """The system that clicks choose; None where there are none."""
    chosen_by_glances_value: float | None = None
    best_on_test: str
    best_on_test_value: float


class FeaturesResult(_Result):
    """A feature set of a dataset."""

    name: str
    backbone: str
    weights: str
    dim: int
    crops: int
    stride: int
    segments: int | None
    spec_hash: str
    n_videos: int
    dropped: int
    """Videos without features."""
    dropped_test: int
    """Test videos among them."""
    notes: tuple[str, ...]


class DatasetResult(_Result):
    """A dataset, and how the systems do on it."""

    name: str
    metric: str
    """What systems are ranked by."""
    protocols: tuple[str, ...]
    folds: int | None
    source: str
    n_train: int
    n_train_anomalous: int
    n_test: int
    n_test_anomalous: int
    notes: tuple[str, ...]
    features: tuple[FeaturesResult, ...]
    systems: tuple[SystemResult, ...]
    comparisons: tuple[Comparison, ...]
    """In the metric that systems are ranked by and in `within`; Holm-corrected together in each."""
    remarks: tuple[str, ...]
    """What can't be compared, and why."""
    sweeps: tuple[Sweep, ...]


class Provenance(_Result):
    """Where the numbers come from."""

    suite: str
    """Name of its file."""
    suite_sha256: str
    suite_text: str
    amiss: str
    versions: dict[str, Any]
    machine: str
    seeds: tuple[int, ...]
    bootstrap: int
    """Resamplings."""
    cells: int
    cells_run_now: int
    training_seconds: float
    seconds: float
    """Of the call that wrote this."""


class BenchResult(_Result):
    """A benchmark: `results.json` in its folder."""

    format: int = FORMAT
    name: str
    note: str
    marks: tuple[str, ...]
    """What a reader must be warned of."""
    failures: tuple[str, ...]
    """Systems that could not be measured, and why."""
    datasets: tuple[DatasetResult, ...]
    provenance: Provenance


def score_file(folder: Path, kind: Kind) -> Path:
    """Where a cell keeps the scores of its test videos."""
    return folder / f"scores-{kind.partition('(')[0]}.npz"
