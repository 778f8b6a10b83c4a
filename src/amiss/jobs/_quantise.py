"""Quantising a backbone on clips of videos."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from amiss.backbones import check_backbone_name
from amiss.errors import UsageError
from amiss.jobs._progress import OnProgress, silent
from amiss.jobs._targets import video_files
from amiss.video import Clip, ClipReader

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from torch import Tensor

    from amiss.backbones import Backbone
    from amiss.engines import Engine, Prepared, QuantisedNetwork

LEAST_COSINE = 0.99
CLIPS = 48
_FIRST_CLIPS = 200  # of a video: what comes later isn't decoded
_ROUNDS = 5

T = TypeVar("T")


@dataclass(frozen=True)
class QuantiseReport:
    """What became of one network."""

    backbone: str
    """Registry name."""
    path: Path
    """File of the quantised network."""
    cosine: float
    """See `QuantisedNetwork`."""
    contrast: float
    """See `QuantisedNetwork`."""
    ms: float
    """Processor time per clip in int8."""
    ms_before: float
    """The same in the precision that is taken otherwise."""
    before: str
    """Engine and precision that are taken otherwise."""


def quantise_on_targets(
    backbone: str,
    targets: Sequence[str | os.PathLike[str]],
    *,
    weights: str | Mapping[str, str] = "default",
    preset: str = "default",
    on_progress: OnProgress = silent,
) -> list[QuantiseReport]:
    """Quantise a backbone on clips of files, folders or a manifest; see `quantise_backbone`.

    Args:
        backbone: see `amiss.create_backbone`, as the last two.
        targets: video files, folders of them, or a manifest.
        weights: which.
        preset: preprocessing of a named project.
        on_progress: told of every step.
    """
    check_backbone_name(backbone)
    videos = video_files(targets)
    from amiss.backbones import create_backbone

    return quantise_backbone(create_backbone(backbone, weights, preset=preset), videos, on_progress)


def quantise_backbone(
    backbone: Backbone, videos: Mapping[str, Path], on_progress: OnProgress = silent
) -> list[QuantiseReport]:
    """Quantise a backbone, or the parts of a fused one, on clips of some videos, and see how it does.

    The files go where weights are looked for first: into `$AMISS_WEIGHTS`, or torch hub's cache.

    Args:
        backbone: with its weights.
        videos: by id; like those to come, of normal and of anomalous scenes.
        on_progress: told of every step.

    Raises:
        UsageError: no network in it, too few clips, or the features agree too little; nothing is written then.
        VideoError: a video can't be read.
    """
    from amiss.backbones import FusedBackbone, find_backbone
    from amiss.engines import quantise

    parts = list(backbone.parts) if isinstance(backbone, FusedBackbone) else [backbone]
    networks = [part for part in parts if (info := find_backbone(part.spec.backbone)) and info.kind != "formula"]
    if not networks:
        raise UsageError(f"{backbone.spec.backbone} is a formula: there is nothing to quantise")
    folder = _folder()
    made = []
    for number, network in enumerate(networks):
        name = network.spec.backbone
        inputs = sample_inputs(videos, network, on_progress)
        on_progress(number, len(networks), name)
        quantised = quantise(network, inputs)
        if not quantised.cosine >= LEAST_COSINE:
            raise UsageError(
                f"{name} in int8 agrees with float32 to a cosine of {quantised.cosine:.4f} only, not {LEAST_COSINE}; "
                "nothing is written: give more videos, or use another precision"
            )
        made.append((network, quantised, [(clip,) for clip in inputs[:2]]))
    reports = [_saved(network, quantised, folder, clips) for network, quantised, clips in made]
    on_progress(len(networks), len(networks), "")
    return reports


def _saved(network: Backbone, quantised: QuantisedNetwork, folder: Path, clips: Sequence[Prepared]) -> QuantiseReport:
    from amiss.engines import create_engine

    path = quantised.save(folder)
    before, after = (create_engine(network, "cpu", precision=precision) for precision in ("auto", "int8"))
    ms_before, ms = _milliseconds([before, after], clips)
    name = network.spec.backbone
    return QuantiseReport(name, path, quantised.cosine, quantised.contrast, ms, ms_before, before.description)


def sample_inputs(videos: Mapping[str, Path], backbone: Backbone, on_progress: OnProgress = silent) -> list[Tensor]:
    """Up to 48 clips (of a long video at least 24) from all over the first 200 clips of some videos, preprocessed.

    Raises:
        VideoError: a video can't be read.
    """
    import torch

    paths = _spread([videos[name] for name in sorted(videos)], CLIPS)
    each = -(-CLIPS // len(paths))
    inputs: list[Tensor] = []
    for number, path in enumerate(paths):
        on_progress(number, len(paths), f"{path.name}, taking clips")
        how = backbone.spec.clip_len, backbone.spec.stride
        with ClipReader(path, *how, "pad") as clips, torch.inference_mode():
            inputs += _thinned(backbone, clips, each)
    return inputs


def _thinned(backbone: Backbone, clips: Iterable[Clip], most: int) -> list[Tensor]:
    """Clips of a video at equal distances, at most so many, though its length isn't known before it ends."""
    step = 1
    kept: list[Tensor] = []
    for i, clip in enumerate(islice(clips, _FIRST_CLIPS)):
        if i % step == 0:
            kept.append(backbone.preprocess(clip.images))
        if len(kept) > most:
            kept, step = kept[::2], 2 * step
    return kept


def _spread(things: Sequence[T], count: int) -> list[T]:
    """At most so many of them, evenly from the first to the last."""
    return [things[i] for i in sorted({round(i) for i in np.linspace(0, len(things) - 1, min(count, len(things)))})]


def _milliseconds(engines: Sequence[Engine], inputs: Sequence[Prepared]) -> list[float]:
    """Processor time per clip, medians of rounds that take turns."""
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(_ROUNDS):
        for row, engine in zip(times, engines, strict=True):
            began = time.process_time()
            engine.run(inputs)
            row.append(1000 * (time.process_time() - began) / len(inputs))
    return [statistics.median(row) for row in times]


def _folder() -> Path:
    from amiss.backbones import weights_folders

    folders = weights_folders()
    return next((folder for folder in folders if folder.is_dir()), folders[-1])
