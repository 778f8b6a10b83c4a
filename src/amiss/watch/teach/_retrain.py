"""From a configuration to the next version of its detector."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.detection import Detector
from amiss.errors import UsageError
from amiss.jobs import OnProgress, silent
from amiss.watch.config import Config
from amiss.watch.store import Archive
from amiss.watch.teach._bags import BagReport, export_reviews
from amiss.watch.teach._shelf import DetectorVersion, Shelf

if TYPE_CHECKING:
    from amiss.jobs import RetrainReport


@dataclass(frozen=True)
class Teacher:
    """Which detector is taught, by the events of which cameras."""

    shelf: Shelf
    weights: Path | None
    """File of its backbone's weights; None = found by their name."""
    cameras: tuple[str, ...]

    @property
    def bags(self) -> Path:
        """Folder of its bags, kept from one time to the next."""
        return self.shelf.state / "teach" / self.shelf.name


@dataclass(frozen=True)
class Retrained:
    """A new version."""

    version: DetectorVersion
    bags: BagReport
    report: RetrainReport


def teacher_of(config: Config, camera: str | None = None) -> Teacher:
    """The detector of a camera, or the one that all cameras have, and all cameras that have it.

    Raises:
        UsageError: there is no such camera, or several detectors and none is chosen.
    """
    if camera is not None and camera not in config.cameras:
        raise UsageError(f"there is no camera {camera!r}; there are {', '.join(config.cameras)}")
    chosen = [config.cameras[camera]] if camera is not None else list(config.cameras.values())
    kinds = {(one.detector, one.weights) for one in chosen if one.detector is not None}
    if len(kinds) != 1:
        raise UsageError("the cameras have several detectors: say which one is taught, by the name of a camera")
    ((detector, weights),) = kinds
    assert detector is not None
    same = tuple(name for name, one in config.cameras.items() if (one.detector, one.weights) == (detector, weights))
    return Teacher(Shelf(config.state, detector), weights, same)


def load_promoted(teacher: Teacher) -> Detector:
    """The version that watches.

    Raises:
        DetectorError: it can't be read.
    """
    return Detector.load(teacher.shelf.folder_of_promoted())


def retrain(
    archive: Archive,
    config: Config,
    teacher: Teacher,
    *,
    plain: Sequence[Path] = (),
    recipe: str | None = None,
    seed: int = 0,
    by: str = "",
    on_progress: OnProgress = silent,
) -> Retrained:
    """Make bags of what was reviewed, train anew from the version that watches, and keep the result as a version.

    Nothing watches with it before it is promoted.

    Args:
        archive: of events and reviews.
        config: says where clips lie, and what the first version learned from (`teach`).
        teacher: which detector.
        plain: footage in which nothing happens, besides that of the configuration.
        recipe: name or file; None = the configuration's, else the detector's own.
        seed: of everything random.
        by: who asks.
        on_progress: told (done, total, what).

    Raises:
        UsageError, ManifestError, FeatureError, WeightsError, StoreError, OutputError: see `export_reviews` and
            `retrain_detector`.
    """
    from amiss.jobs import open_bags, retrain_detector  # a second and a half, for which a server needn't wait
    from amiss.training import load_recipe

    settings = config.teach
    chosen = recipe or settings.recipe
    if chosen is not None:
        load_recipe(chosen)  # a mistyped one is told before the features are made
    old = teacher.shelf.folder_of_promoted()
    detector = Detector.load(old)
    base = None if settings.data is None or settings.features is None else (settings.data, settings.features)
    if base is not None:
        open_bags(base, detector)  # likewise
    bags = export_reviews(
        archive,
        config.media,
        detector,
        teacher.bags,
        weights=teacher.weights,
        cameras=teacher.cameras,
        plain=(*settings.plain, *plain),
        on_progress=on_progress,
    )
    run = teacher.bags / "run"
    shutil.rmtree(run, ignore_errors=True)
    report = retrain_detector(
        old,
        (bags.manifest, bags.features),
        run,
        base=base,
        recipe=chosen,
        seed=seed,
        on_progress=on_progress,
    )
    version = teacher.shelf.add(run / "run" / "selected", _kept(bags, report), by)
    archive.audit("retrain", f"{teacher.shelf.detector.name}: version {version.number}", actor=by or "amiss")
    return Retrained(version, bags, report)


def _kept(bags: BagReport, report: RetrainReport) -> dict[str, Any]:
    counts = {name: getattr(bags, name) for name in ("confirmed", "false_alarms", "plain", "held_out", "unsure")}
    return report.to_dict() | {"bags": counts}
