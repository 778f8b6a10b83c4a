"""From a suite to what is run: systems (recipe x features of a dataset) and their cells (seed x fold)."""

import hashlib
import json
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sklearn.model_selection import StratifiedGroupKFold

from amiss.bench._cell import Cell
from amiss.bench._features import slug
from amiss.bench._prepare import (
    Data,
    Prepared,
    prepare_data,
    prepare_datasets,
    without_frame_protocols,
)
from amiss.bench._suite import DatasetChoice, Suite, Variant, list_variants
from amiss.datasets import Manifest, read_glances
from amiss.errors import ManifestError
from amiss.training import hash_data


@dataclass(frozen=True)
class System:
    """What is compared: a recipe on the features of a dataset; one cell per seed and fold."""

    name: str
    """Unique among the systems of a dataset."""
    data: Data
    variant: Variant
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Plan:
    """A suite with its data at hand, and all that is to be run."""

    suite: Suite
    file: Path
    """Of the suite."""
    out: Path
    """Folder of the benchmark."""
    datasets: tuple[Prepared, ...]
    data: tuple[Data, ...]
    """Datasets with each of their feature sets."""
    systems: tuple[System, ...]

    @cached_property
    def cells(self) -> list[Cell]:
        """Of all systems: those of the first seed, then of the second, …, so that a stopped run can be reported."""
        every = [cell for system in self.systems for cell in system.cells]
        return sorted(every, key=lambda cell: self.suite.seed_list.index(cell.seed))

    def finished(self, failed: Collection[str] = ()) -> "Plan":
        """The same with only those seeds of each system whose cells are all finished.

        Systems that have none are left out, and so are those of which a cell failed, by its key: the other seeds would
        flatter them.
        """
        systems = []
        for system in self.systems:
            missing = {cell.seed for cell in system.cells if not cell.is_done}
            cells = tuple(cell for cell in system.cells if cell.seed not in missing)
            if cells and not any(cell.key in failed for cell in system.cells):
                systems.append(replace(system, cells=cells))
        return replace(self, systems=tuple(systems))

    def data_of(self, dataset: DatasetChoice) -> list[Data]:
        """A dataset with each of its feature sets."""
        return [one for one in self.data if one.dataset.label == dataset.label]

    def system(self, dataset: str, name: str) -> System | None:
        """The system of this name; None where it is someone's scores."""
        return next((s for s in self.systems if (s.data.dataset.label, s.name) == (dataset, name)), None)


def make_plan(suite: Suite, file: Path, out: Path, tell: Callable[[str], None]) -> Plan:
    """Prepare the data of a suite and list what is to be run.

    Args:
        suite: as read from `file`.
        file: its file.
        out: folder of the benchmark.
        tell: told what is being prepared.

    Raises:
        AmissError: see `prepare_datasets` and `prepare_data`.
    """
    datasets, data = [], []
    prepared = prepare_datasets(suite, tell)
    with_features = prepare_data(suite, prepared, out, tell)
    for own in prepared:
        fewer, same = without_frame_protocols(own, [d for d in with_features if d.dataset.label == own.dataset.label])
        datasets.append(fewer)
        data += same
    return Plan(suite, file, out, tuple(datasets), tuple(data), tuple(plan_systems(suite, data, out)))


def plan_systems(suite: Suite, data: Sequence[Data], out: Path) -> list[System]:
    """Every recipe on every feature set of every dataset, with its cells."""
    systems = []
    for one in data:
        many_features = sum(other.dataset.label == one.dataset.label for other in data) > 1
        for variant in list_variants(suite):
            choice = variant.choice
            if choice.datasets is not None and one.dataset.label not in choice.datasets:
                continue
            if choice.features is not None and one.choice.name not in choice.features:
                continue
            name = f"{variant.name} · {one.choice.name}" if many_features else variant.name
            folder = out / "runs" / slug(one.dataset.label) / slug(one.choice.name) / slug(variant.name)
            cells = [
                _cell(one, variant, part, seed, folder, f"seed{seed}" if fold is None else f"seed{seed}-fold{fold}")
                for seed in suite.seed_list
                for fold, part in _parts(one, seed)
            ]
            systems.append(System(name, one, variant, tuple(cells)))
    return systems


def folds_of(manifest: Manifest, folds: int, seed: int) -> list[Manifest]:
    """The manifest with each fold in turn as its test split; groups are kept whole, labels in proportion.

    Raises:
        ManifestError: there are fewer groups than folds, or a fold has no normal or no anomalous video.
    """
    videos = manifest.videos
    groups = [f"group {v.group}" if v.group is not None else f"video {v.video_id}" for v in videos]
    labels = [v.label for v in videos]
    if len(set(groups)) < folds or min(labels.count(0), labels.count(1)) < folds:
        raise ManifestError(f"{manifest.source}: too few videos or groups for {folds} folds")
    parts = []
    for number, (_, test) in enumerate(
        StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, groups)
    ):
        inside = set(test.tolist())
        split = tuple(replace(v, split="test" if i in inside else "train") for i, v in enumerate(videos))
        if any({v.label for v in split if v.split == name} != {0, 1} for name in ("train", "test")):
            raise ManifestError(f"{manifest.source}: fold {number} of {folds} has only one label: use fewer folds")
        parts.append(Manifest(split, f"{manifest.source}, fold {number} of {folds}"))
    return parts


def _parts(data: Data, seed: int) -> list[tuple[int | None, Manifest]]:
    if data.dataset.folds is None:
        return [(None, data.manifest)]
    return list(enumerate(folds_of(data.manifest, data.dataset.folds, seed)))


def _cell(data: Data, variant: Variant, manifest: Manifest, seed: int, folder: Path, name: str) -> Cell:
    protocol = data.dataset.protocols[0]
    digest = hashlib.sha256(hash_data(manifest.videos, data.features).encode())
    for video in manifest.split("test"):
        digest.update(repr((video.video_id, video.n_frames, video.fps, video.events)).encode())
    glances = None
    if data.dataset.glances is not None:
        with warnings.catch_warnings(action="ignore"):  # of clicks in videos that this cell doesn't train on
            glances = read_glances(data.dataset.glances, manifest)
        digest.update(repr(sorted(glances.items())).encode())
    recipe = variant.recipe.model_dump(mode="json")
    digest.update(json.dumps([recipe, seed, protocol, data.metric]).encode())
    return Cell(
        name=name,
        system=folder,
        key=digest.hexdigest(),
        recipe=variant.recipe,
        manifest=manifest,
        features=data.features.folder,
        glances=glances,
        seed=seed,
        protocol=protocol,
        metric=data.metric,
    )
