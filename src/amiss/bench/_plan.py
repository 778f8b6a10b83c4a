"""The plan of a benchmark: every recipe on every feature set, with its cells: one per seed and fold."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from sklearn.model_selection import StratifiedGroupKFold

from amiss.bench._cell import Cell
from amiss.bench._data import Data, slug
from amiss.bench._suite import Suite, Variant, list_variants
from amiss.datasets import Manifest
from amiss.errors import ManifestError
from amiss.files import sha256_file
from amiss.training import hash_data

_DECIDING = (
    "heads/**/*.py", "training/**/*.py", "features/**/*.py", "detection/**/*.py", "evaluation/**/*.py",
    "backbones/_spec.py", "jobs/_evaluate.py", "jobs/_bench_cell.py",
)  # fmt: skip


@dataclass(frozen=True)
class System:
    """What is compared: a recipe on the features of a dataset; one cell per seed and fold."""

    name: str
    """Unique among the systems of a dataset."""
    data: Data
    variant: Variant
    cells: tuple[Cell, ...]


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
                _cell(one, variant, part, seed, folder / (f"seed{seed}" if fold is None else f"seed{seed}-fold{fold}"))
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


@cache
def code_digest(package: Path = Path(__file__).parents[1]) -> str:
    """SHA-256 of the source files that decide a cell's numbers."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _DECIDING for path in package.glob(pattern)):
        digest.update(f"{path.relative_to(package).as_posix()} {sha256_file(path)}\n".encode())
    return digest.hexdigest()


def _cell(data: Data, variant: Variant, manifest: Manifest, seed: int, folder: Path) -> Cell:
    protocol = data.dataset.protocols[0]
    digest = hashlib.sha256(hash_data(manifest.videos, data.features).encode())
    for video in manifest.split("test"):
        digest.update(repr((video.video_id, video.n_frames, video.fps, video.events)).encode())
    recipe = variant.recipe.model_dump(mode="json")
    digest.update(json.dumps([recipe, seed, protocol, data.metric, code_digest()]).encode())
    key = digest.hexdigest()
    return Cell(
        folder=folder.with_name(f"{folder.name}-{key[:10]}"),
        key=key,
        recipe=variant.recipe,
        manifest=manifest,
        features=data.features.folder,
        seed=seed,
        protocol=protocol,
        metric=data.metric,
    )
