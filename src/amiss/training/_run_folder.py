"""The run directory: recipe.yaml, metrics.jsonl, TensorBoard events, checkpoint, last/, selected/, report.json."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch.utils.tensorboard import SummaryWriter

from amiss.errors import DetectorError, OutputError, UsageError
from amiss.evaluation import GlanceResult
from amiss.files import append_line, atomic_path, remove_leftovers, write_json, write_text
from amiss.reading import read_json, read_json_lines, refusing
from amiss.training._data_check import DataCheck
from amiss.training._out_of_fold import OutOfFold
from amiss.training._recipe import Recipe
from amiss.training._recipe_files import load_recipe, recipe_to_yaml


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """What became of a training run; `report.json` in its directory."""

    recipe: str
    """Its name."""
    seed: int
    """Of weights, batches, dropout and the held-out part."""
    steps: int
    """Steps trained."""
    stopped: str
    """`early` (patience ran out) or `budget` (all steps of the recipe)."""
    selected_step: int
    """Step whose weights are the `selected` detector."""
    selected_auc: float | None
    """Video-level AUC on held-out videos at the selected step; None where nothing was held out."""
    last_auc: float | None
    """The same at the last step."""
    threshold: float
    """Of the selected detector."""
    seconds: float
    """From start to end, over all resumed parts."""
    step_seconds: float
    """Processor seconds in training steps alone, on all threads."""
    parameters: int
    """Numbers in the head that are trained."""
    n_normal: int
    """Normal videos trained on."""
    n_anomalous: int
    """Anomalous videos trained on."""
    held_out: tuple[str, ...]
    """Ids of the videos selected on."""
    skipped: tuple[str, ...]
    """Ids of training videos without any non-zero feature."""
    normalise: str
    """Normalisation, resolved."""
    data_hash: str
    """SHA-256 over the ids, labels and features trained with."""
    notes: tuple[str, ...]
    """What a reader should know, in words."""
    scoring: tuple[str, ...] = ()
    """What was decided about plug-ins of scores (`scoring` of the recipe), in words."""
    clicks_hash: str = ""
    """SHA-256 over the clicks that were given; empty where there were none."""
    out_of_fold: OutOfFold | None = None
    """What scores of training videos by heads not trained on them say; None where there are too few."""
    glances: GlanceResult | None = None
    """How well scores of clicked training videos, by heads not trained on them, agree with the clicks; None where no
    clicks were given."""
    selected_by: str | None = None
    """What chose the `selected` weights: `video labels (clips)`, `video labels (spread)` or `glances`; None where
    nothing was held out, so that they are the last ones."""
    trained_with_glances: bool = False
    """Whether clicks were trained on, too."""
    taken: str | None = None
    """The recipe that was taken, where alternatives were tried."""
    data: DataCheck = field(default_factory=DataCheck)
    """What was odd about the data."""
    remarks: tuple[str, ...] = ()
    """What a user should look at: data, labels and thresholds that may be wrong."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `report.json`.

        Raises:
            DetectorError: it is damaged.
        """
        with refusing(DetectorError, str(path)):
            values: dict[str, Any] = read_json(path)
            for name in ("held_out", "skipped", "notes", "scoring", "remarks"):
                values[name] = tuple(values.get(name, ()))
            if "data" in values:
                values["data"] = DataCheck.from_dict(values["data"])
            if values.get("out_of_fold") is not None:
                values["out_of_fold"] = OutOfFold.from_dict(values["out_of_fold"])
            if values.get("glances") is not None:
                values["glances"] = GlanceResult.from_dict(values["glances"])
            return cls(**values)


class RunFolder:
    """Paths and files of one run, told from others by its `identity`: seed, data_hash and clicks_hash.

    Raises:
        UsageError: there is something else, another run, or a run and `resume` is False.
        OutputError: it can't be written.
    """

    def __init__(self, folder: Path, recipe: Recipe, identity: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = folder
        self._identity = identity
        self._parts = ("loop", "seconds", *identity)  # of a checkpoint
        self._checkpoint = folder / "checkpoint.pt"
        self._metrics = folder / "metrics.jsonl"
        self._report = folder / "report.json"
        recipe_path = folder / "recipe.yaml"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            occupied = any(folder.iterdir())
        except OSError as error:
            raise OutputError(f"can't write run directory {folder}: {error.strerror or error}") from error
        if occupied and not resume:
            raise UsageError(f"{folder} is not empty: choose another --out, or --resume the run that is there")
        if occupied and not recipe_path.is_file():
            raise UsageError(f"{folder} holds no run that could be resumed (no recipe.yaml): choose another --out")
        if occupied:
            before, now = load_recipe(recipe_path).model_dump(), recipe.model_dump()
            if changed := [name for name in now if now[name] != before[name]]:
                what = "; ".join(f"{name} was {before[name]!r}, is {now[name]!r}" for name in changed)
                raise UsageError(f"{folder} can't be resumed with another recipe: {what}")
        write_text(recipe_path, recipe_to_yaml(recipe))

    def read_report(self) -> TrainReport | None:
        """The report, if this run has finished."""
        if not self._report.is_file():
            return None
        report = TrainReport.read(self._report)
        self._check_identity(report.to_dict())
        return report

    def load_checkpoint(self) -> dict[str, Any] | None:
        """What `save_checkpoint` was given; None where the run was stopped before its first checkpoint.

        Raises:
            DetectorError: it is damaged, or another file.
            UsageError: it is of another run.
        """
        if not self._checkpoint.is_file():
            return None
        try:
            with warnings.catch_warnings(action="ignore"):  # of odd pickle protocols
                state = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged files raise anything
            raise self.unusable_checkpoint(error) from error
        if not isinstance(state, dict) or (lacking := [name for name in self._parts if name not in state]):
            raise self.unusable_checkpoint(f"it lacks {lacking}" if isinstance(state, dict) else "it is no dictionary")
        self._check_identity(state)
        return state

    def unusable_checkpoint(self, reason: str | Exception) -> DetectorError:
        """The error for a checkpoint that is damaged, of another version of amiss, or another file."""
        if isinstance(reason, Exception):
            reason = f"{type(reason).__name__}: {(str(reason).splitlines() or [''])[0]}"
        return DetectorError(f"{self._checkpoint} can't be read ({reason}): train again in another folder")

    def _check_identity(self, found: Mapping[str, Any]) -> None:
        for name, word in (
            ("seed", "seed"),
            ("data_hash", "manifest or features: they have changed since"),
            ("clicks_hash", "clicks (--glances)"),
        ):
            if found[name] != self._identity[name]:
                raise UsageError(
                    f"{self.folder} can't be resumed with another {word} "
                    f"({str(found[name])[:12] or 'none'} then, {str(self._identity[name])[:12] or 'none'} now)"
                )

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Write what is needed to go on, atomically."""
        with atomic_path(self._checkpoint) as temporary:
            torch.save({**state, **self._identity}, temporary)

    def finish(self, report: TrainReport) -> None:
        """Write the report; the checkpoint has done its service."""
        write_json(self._report, report.to_dict())
        self._checkpoint.unlink(missing_ok=True)

    @contextmanager
    def open_log(self, after_step: int) -> Iterator["MetricsLog"]:
        """A log that goes on after a step; what a killed run logged later is dropped."""
        with refusing(DetectorError, str(self._metrics)):
            logged = read_json_lines(self._metrics, lambda values: (int(values["step"]), json.dumps(values)))
        if logged.damage:
            warnings.warn(f"{self._metrics}: {logged.damage} and left out", stacklevel=2)
        write_text(self._metrics, "".join(f"{line}\n" for step, line in logged.values if step <= after_step))
        try:
            writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=after_step + 1)
        except OSError as error:
            raise OutputError(f"can't write {self.folder / 'tensorboard'}: {error.strerror or error}") from error
        try:
            yield MetricsLog(self._metrics, writer)
        finally:
            writer.close()


class MetricsLog:
    """Writes metrics as JSON lines and as TensorBoard scalars."""

    def __init__(self, path: Path, writer: SummaryWriter) -> None:
        self._path = path
        self._writer = writer

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add the metrics of a step."""
        try:
            append_line(self._path, json.dumps({"step": step, **metrics}))
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        except OSError as error:
            raise OutputError(f"can't write {self._path}: {error.strerror or error}") from error
