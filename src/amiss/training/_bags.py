"""Training videos as bags in memory: pooled and normalised once.

Shape letters: B bags · C crops · T segments (or clips) · D feature dim.
"""

import hashlib
import mmap
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amiss.datasets import Glances, Video, first_names
from amiss.detection import Normalisation
from amiss.errors import FeatureError, ManifestError, OutputError, UsageError
from amiss.evaluation import clicked
from amiss.features import UNIT_LENGTH_RULES, FeatureSet, pool, row_spans
from amiss.heads import create_head, full_mask
from amiss.training._classes import class_numbers
from amiss.training._recipe import Recipe

_LATE = "late-fusion"  # the head
_IN_MEMORY = 2 << 30  # bytes; more bags than that lie in a temporary file
_FIT_VALUES = 1 << 27  # values that the normalisation is fitted on at most


@dataclass(frozen=True)
class Bags:
    """Bags [C, T, D] float32 and their labels."""

    features: tuple[NDArray[np.float32], ...]
    """One array [C, T, D] per bag."""
    labels: NDArray[np.intp]
    """[B] 0 = normal, 1 = anomalous."""
    clicks: tuple[NDArray[np.float64], ...] = ()
    """Where in its video, 0..1, each click of a bag lies; empty where no clicks were given."""
    targets: NDArray[np.intp] | None = None
    """[B] what the loss gets as labels: numbers of classes, where the head tells them apart; None = `labels`."""
    clip_targets: tuple[NDArray[np.float64], ...] = ()
    """What the clips of each bag shall score, [T] 0..1, empty where nobody says; no arrays where none are taught."""
    stacked: Tensor | None = None
    """The same bags as one tensor [B, C * T * D], where all have the same length: it is gathered from in parallel."""
    on_disk: mmap.mmap | None = None
    """The file that holds the bags, where they are too many for memory; None: they are in memory."""
    places: tuple[tuple[int, int], ...] = ()
    """Of each bag, the first byte and the byte after the last, in `on_disk`."""

    def expect(self, indices: Iterable[int]) -> None:
        """These bags will be asked for soon: where they are on the disk, the system begins to read them."""
        if self.on_disk is None or not hasattr(mmap, "MADV_WILLNEED"):
            return
        for start, end in (self.places[i] for i in indices):
            first = start - start % mmap.PAGESIZE
            self.on_disk.madvise(mmap.MADV_WILLNEED, first, end - first)

    def on(self, device: torch.device) -> Self:
        """These bags, kept on a GPU where they take at most half of its free memory: a step then copies nothing."""
        if self.stacked is None or device.type != "cuda":
            return self
        fits = self.stacked.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
        return replace(self, stacked=self.stacked.to(device)) if fits else self

    def __len__(self) -> int:
        return len(self.features)

    def batch(self, indices: Iterable[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Stack bags, crops folded into the batch (crop-minor).

        Returns:
            features [B*C, T, D], padded with zeros to the longest bag; mask [B*C, T]; labels [B] of the loss.
        """
        chosen = list(indices)
        labels = torch.from_numpy((self.labels if self.targets is None else self.targets)[chosen])
        bags = [self.features[i] for i in chosen]
        crops, longest, dim = bags[0].shape
        if self.stacked is not None:
            index = torch.tensor(chosen, device=self.stacked.device)
            x_BTD = self.stacked.index_select(0, index).view(-1, longest, dim)
            return x_BTD, full_mask(x_BTD), labels
        longest = max(bag.shape[1] for bag in bags)
        padded = np.zeros((len(bags), crops, longest, dim), np.float32)
        for row, bag in zip(padded, bags, strict=True):
            row[:, : bag.shape[1]] = bag
        lengths = torch.tensor([bag.shape[1] for bag in bags]).repeat_interleave(crops)
        mask = torch.arange(longest)[None, :] < lengths[:, None]
        return torch.from_numpy(padded).flatten(0, 1), mask, labels


def resolve_recipe(recipe: Recipe, features: FeatureSet) -> Recipe:
    """The recipe with `auto` settled for these features, and pooling off where they are segments already.

    Fused features that are to be judged part by part get the head `late-fusion`, each part with the recipe's own head.

    Raises:
        UsageError: pooling and normalisation don't go together.
    """
    changes: dict[str, object] = {}
    if features.spec.segments is not None:
        changes |= {"pooling": "none", "segments": features.spec.segments}
    pooling = changes.get("pooling", recipe.pooling)
    unit_length = pooling in UNIT_LENGTH_RULES or pooling == "norm"
    if recipe.normalise == "auto":
        changes["normalise"] = "l2" if unit_length or features.spec.segments is not None else "standard"
    elif unit_length and not recipe.normalise.startswith("l2"):
        raise UsageError(
            f"pooling {pooling!r} changes the length of the vectors, clips at test time keep theirs: "
            f"normalise must be 'l2' or 'l2+standard' with it, not {recipe.normalise!r}"
        )
    return recipe.model_copy(update=changes | _fusion(recipe, features))


def _fusion(recipe: Recipe, features: FeatureSet) -> dict[str, object]:
    """What of a recipe changes where features are fused."""
    parts = features.spec.parts
    if not parts or recipe.head == _LATE or recipe.fusion == "joined":
        return {}
    if recipe.fusion == "auto" and not create_head(recipe.head, features.spec.dim, **recipe.head_options).fits_at_once:
        return {"fusion": "joined"}
    options = {"head": recipe.head, "head_options": recipe.head_options, "blocks": [part.dim for part in parts]}
    return {"fusion": "late", "head": _LATE, "head_options": options}


def find_all_zero(videos: Sequence[Video], features: FeatureSet) -> frozenset[str]:
    """Ids of videos whose features are all zero; warns with their number.

    Raises:
        FeatureError: videos without features.
        ManifestError: no normal or no anomalous training video is left.
    """
    if missing := [video.video_id for video in videos if video.video_id not in features]:
        raise FeatureError(
            f"{features.folder} has no features of {len(missing)} of {len(videos)} training videos "
            f"({first_names(missing)}). {features.near(missing[0])}Extract them, or take them out of the manifest"
        )
    zero = frozenset(v.video_id for v in videos if not features.load(v.video_id).any())
    if zero:
        warnings.warn(
            f"{len(zero)} of {len(videos)} training videos are skipped: their features are all zero", stacklevel=3
        )
    for label, word in enumerate(("normal", "anomalous")):
        if not any(v.label == label and v.split == "train" and v.video_id not in zero for v in videos):
            raise ManifestError(
                f"there is no usable {word} training video (split train, label {label}); at least one is needed"
            )
    return zero


def hash_data(videos: Iterable[Video], features: FeatureSet) -> str:
    """SHA-256 over what training sees: spec, and each video's id, split, label, group and feature file."""
    digest = hashlib.sha256(features.spec.hash.encode())
    for video in sorted(videos, key=lambda v: v.video_id):
        digest.update(repr((video.video_id, video.split, video.label, video.group)).encode())
        digest.update(features.records[video.video_id].sha256.encode())
    return digest.hexdigest()


def hash_glances(glances: Glances | None) -> str:
    """SHA-256 over clicks; empty where there are none."""
    return hashlib.sha256(repr(sorted(glances.items())).encode()).hexdigest() if glances else ""


def fit_normalisation(recipe: Recipe, videos: Sequence[Video], features: FeatureSet) -> Normalisation:
    """Fit to the clips of training videos, all of them or evenly spaced ones where they are too many for memory."""
    if "standard" not in recipe.normalise:
        return Normalisation.fit(recipe.normalise, np.zeros((0, features.spec.dim), np.float32))
    per_video = max(1, _FIT_VALUES // (len(videos) * features.spec.crops * features.spec.dim))
    return Normalisation.fit(recipe.normalise, np.concatenate(list(_sampled_rows(videos, features, per_video))))


def _sampled_rows(videos: Sequence[Video], features: FeatureSet, per_video: int) -> Iterator[NDArray[np.float32]]:
    for video in videos:
        rows = features.load(video.video_id)
        if len(rows) > per_video:
            rows = rows[np.linspace(0, len(rows) - 1, per_video).round().astype(np.intp)]
        yield np.asarray(rows, np.float32).reshape(-1, features.spec.dim)


def load_bags(
    recipe: Recipe,
    videos: Sequence[Video],
    features: FeatureSet,
    normalisation: Normalisation,
    glances: Glances | None = None,
) -> Bags:
    """Pool and normalise the features of videos.

    Raises:
        FeatureError: clicks are given, but nobody says how many frames a clicked video has.
        OutputError: they are too many for memory, and there is no room for them on the disk.
    """
    spec = features.spec
    lengths = [features.records[v.video_id].n_clips if recipe.pooling == "none" else recipe.segments for v in videos]
    storage, on_disk = _allocate(sum(lengths) * spec.crops * spec.dim)
    bags, places, at = [], [], 0
    for video, length in zip(videos, lengths, strict=True):
        pooled = pool(features.load(video.video_id), recipe.pooling, recipe.segments)
        size = length * spec.crops * spec.dim
        bag = storage[at : at + size].reshape(spec.crops, length, spec.dim)
        bag[:] = normalisation.apply(pooled).swapaxes(0, 1)
        bags.append(bag)
        places.append((4 * at, 4 * (at + size)))
        at += size
    labels = np.array([v.label for v in videos], dtype=np.intp)
    even = bool(bags) and len(set(lengths)) == 1
    clicks = tuple(_click_positions(video, features, glances) for video in videos) if glances else ()
    stacked = torch.from_numpy(storage).view(len(bags), -1) if even else None
    targets = class_numbers(recipe, videos)
    return Bags(tuple(bags), labels, clicks, targets, stacked=stacked, on_disk=on_disk, places=tuple(places))


def _click_positions(video: Video, features: FeatureSet, glances: Glances) -> NDArray[np.float64]:
    """Middles of the clicked rows, 0..1: clicks lie where they are measured, see `clicked`."""
    if not (frames := glances.get(video.video_id, ())):
        return np.empty(0)
    spans = row_spans(video, features)
    return (np.array([clicked(spans, frame) for frame in frames]) + 0.5) / len(spans)


def _allocate(size: int) -> tuple[NDArray[np.float32], mmap.mmap | None]:
    """Room for values: in memory, or in a file without a name, which goes with the last that refers to it.

    Raises:
        OutputError: there is no room for it.
    """
    if size * 4 <= _IN_MEMORY:
        return np.empty(size, np.float32), None
    try:
        with tempfile.TemporaryFile(prefix="amiss-bags-") as file:  # the mapping outlives the handle
            if hasattr(os, "posix_fallocate"):  # else the system ends who writes into it when the disk is full
                os.posix_fallocate(file.fileno(), 0, size * 4)
            else:
                file.truncate(size * 4)
            mapped = mmap.mmap(file.fileno(), size * 4)
    except OSError as error:
        raise OutputError(
            f"{size * 4 / 1e9:.1f} GB of training bags can't be written to a temporary file ({error.strerror}): name a "
            "folder with more room in TMPDIR"
        ) from error
    return np.frombuffer(mapped, np.float32), mapped
