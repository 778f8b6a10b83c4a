"""The results of a benchmark as one dict: `results.json`, from which the tables are made."""

import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amiss._version import __version__
from amiss.bench._data import Data, Prepared
from amiss.bench._measure import Subject
from amiss.bench._plan import System
from amiss.bench._suite import Suite
from amiss.files import sha256_file

FORMAT = 1
ENOUGH_SEEDS = 3


def assemble(
    suite: Suite,
    path: Path,
    prepared: Sequence[Prepared],
    data: Sequence[Data],
    systems: Sequence[System],
    subjects: Sequence[Subject],
    metrics: Sequence[Mapping[str, Any]],
    compared: Sequence[tuple[list[dict[str, Any]], list[str]]],
    marks: Sequence[str],
    failures: Sequence[str],
    *,
    seconds: float,
    n_run: int,
) -> dict[str, Any]:
    """Put together what was measured.

    Args:
        suite: as read from `path`.
        path: its file.
        prepared: datasets, in order.
        data: datasets with feature sets.
        systems: of the suite.
        subjects: what has scores.
        metrics: of each subject, see `measure`.
        compared: of each dataset, see `compare_subjects`.
        marks: what a reader must be warned of.
        failures: systems that could not be measured, and why.
        seconds: that this call took.
        n_run: cells that it ran.
    """
    trained = {(system.data.dataset.label, system.name): system for system in systems}
    rows = [_row(s, m, trained.get((s.dataset, s.name))) for s, m in zip(subjects, metrics, strict=True)]
    datasets = []
    for own, (comparisons, remarks) in zip(prepared, compared, strict=True):
        of_dataset = [one for one in data if one.dataset.label == own.dataset.label]
        here = [row for row in rows if row["dataset"] == own.dataset.label]
        datasets.append(
            {
                **_dataset(own, of_dataset),
                "systems": here,
                "comparisons": comparisons,
                "remarks": remarks,
                "sweeps": _sweeps(own.dataset.label, here, systems),
            }
        )
    found = [*marks, *(mark for own in prepared for mark in own.marks), *_version_marks(rows)]
    if systems and len(suite.seed_list) < ENOUGH_SEEDS:
        found.append(f"{len(suite.seed_list)} training seed(s): too few to tell a difference from luck; take 3 or more")
    return {
        "format": FORMAT,
        "name": suite.name,
        "note": suite.note,
        "marks": found,
        "failures": list(failures),
        "datasets": datasets,
        "provenance": {
            "suite": path.name,
            "suite_sha256": sha256_file(path),
            "suite_text": path.read_text(encoding="utf-8"),
            "amiss": __version__,
            "versions": _versions(rows),
            "machine": f"{platform.system()} {platform.machine()}",
            "seeds": suite.seed_list,
            "bootstrap": suite.bootstrap,
            "cells": sum(len(system.cells) for system in systems),
            "cells_run_now": n_run,
            "training_seconds": sum(row["seconds"] for row in rows if row["seconds"] is not None),
            "seconds": seconds,
        },
    }


def _dataset(own: Prepared, of_dataset: Sequence[Data]) -> dict[str, Any]:
    every = [one.manifest for one in of_dataset] or [own.manifest]
    used = {video.video_id for manifest in every for video in manifest.videos}  # by any of the feature sets
    train = [video for video in own.manifest.split("train", "val") if video.video_id in used]
    test = [video for video in own.test.split("test") if video.video_id in used]
    return {
        "name": own.dataset.label,
        "metric": own.metric,
        "protocols": own.dataset.protocols,
        "folds": own.dataset.folds,
        "source": own.manifest.source,
        "n_train": len(train),
        "n_train_anomalous": sum(video.label for video in train),
        "n_test": len(test),
        "n_test_anomalous": sum(video.label for video in test),
        "notes": list(own.notes),
        "features": [
            {
                "name": one.choice.name,
                "backbone": one.features.spec.backbone,
                "weights": one.features.spec.weights,
                "dim": one.features.spec.dim,
                "crops": one.features.spec.crops,
                "stride": one.features.spec.stride,
                "segments": one.features.spec.segments,
                "spec_hash": one.features.spec.hash,
                "n_videos": len(one.manifest.videos),
                "dropped": len(one.dropped),
                "dropped_test": len(set(one.dropped) & {video.video_id for video in own.test.split("test")}),
                "notes": list(one.notes),
            }
            for one in of_dataset
        ],
    }


def _row(subject: Subject, measured: Mapping[str, Any], system: System | None) -> dict[str, Any]:
    rows: dict[str, Any] = measured["rows"]
    primary = subject.protocols[0]
    row: dict[str, Any] = {
        "name": subject.name,
        "dataset": subject.dataset,
        "features": subject.features,
        "metric": subject.metric,
        "shown": subject.shown,
        "seeds": list(subject.seeds),
        "rows": rows,
        "detail": measured["detail"],
        "optimism": None,
        "held_out": None,
        "steps": None,
        "seconds": None,
        "cost": None,
        "fold_mean": None,
        "versions": None,
        "data_hashes": [],
        "scores_sha256": [],
        "selection": None,
    }
    if system is None:
        row["scores_sha256"] = [
            sha256_file(file) for seeds in subject.files.values() for seed in seeds for file in seed
        ]
    if {"selected", "oracle(test)"} <= rows.keys():
        oracle, chosen = (rows[kind][primary][subject.metric]["per_seed"] for kind in ("oracle(test)", "selected"))
        row["optimism"] = _mean_std([a - b for a, b in zip(oracle, chosen, strict=True)])
    if system is not None:
        results = [cell.read().values for cell in system.cells]
        held_out = [result["held_out"] for result in results]
        row["held_out"] = None if None in held_out else _mean_std(held_out)
        kinds = results[0]["steps"]
        row["steps"] = {kind: float(np.mean([result["steps"][kind] for result in results])) for kind in kinds}
        notes = {result["train"]["notes"][0] for result in results}
        row["selection"] = notes.pop() if len(notes) == 1 else None
        row["seconds"] = sum(result["seconds"] for result in results)
        row["cost"] = {
            name: float(np.median([result["cost"][name] for result in results])) for name in results[0]["cost"]
        }
        row["versions"] = results[0]["versions"]
        row["all_versions"] = sorted({str(sorted(result["versions"].items(), key=str)) for result in results})
        row["data_hashes"] = sorted({result["train"]["data_hash"] for result in results})
        row["recipe"] = system.variant.recipe.model_dump(mode="json")
        if system.data.dataset.folds is not None:
            row["fold_mean"] = {
                kind: _mean_std(
                    [
                        float(np.mean([r["values"][kind] for r in results if r["seed"] == seed]))
                        for seed in subject.seeds
                    ]
                )
                for kind in kinds
            }
    return row


def _sweeps(dataset: str, rows: Sequence[Mapping[str, Any]], systems: Sequence[System]) -> list[dict[str, Any]]:
    """For each swept recipe: the setting that held-out videos choose, and the one that the test set would have."""
    by_name = {row["name"]: row for row in rows}
    groups: dict[tuple[int, str], list[System]] = {}
    for system in systems:
        if system.data.dataset.label == dataset and system.variant.swept and system.name in by_name:
            groups.setdefault((id(system.variant.choice), system.data.choice.name), []).append(system)
    sweeps = []
    for (_, features), members in groups.items():
        if len(members) < 2:
            continue
        own = [by_name[member.name] for member in members]
        values = [row["rows"]["selected"][row_protocol(row)][row["metric"]]["mean"] for row in own]
        held_out = [row["held_out"]["mean"] if row["held_out"] else math.nan for row in own]
        best = int(np.argmax(values))
        chosen = None if np.isnan(held_out).any() else int(np.argmax(held_out))
        sweeps.append(
            {
                "features": features,
                "settings": [dict(member.variant.swept) for member in members],
                "names": [member.name for member in members],
                "held_out": [None if math.isnan(value) else value for value in held_out],
                "values": values,
                "stds": [row["rows"]["selected"][row_protocol(row)][row["metric"]]["std"] for row in own],
                "oracles": [row["rows"]["oracle(test)"][row_protocol(row)][row["metric"]]["mean"] for row in own],
                "chosen": None if chosen is None else own[chosen]["name"],
                "chosen_value": None if chosen is None else values[chosen],
                "best_on_test": own[best]["name"],
                "best_on_test_value": values[best],
            }
        )
    return sweeps


def row_protocol(row: Mapping[str, Any]) -> str:
    """The protocol that a system is ranked under: the first."""
    return str(next(iter(row["rows"][row["shown"]])))


def _versions(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    known = [row["versions"] for row in rows if row["versions"]]
    return dict(known[0]) if known else {}


def _version_marks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    differing = {version for row in rows for version in row.get("all_versions", ())}
    if len(differing) < 2:
        return []
    return [f"cells were run by {len(differing)} different versions of amiss or its packages: run all of them again"]


def _mean_std(values: Sequence[float]) -> dict[str, float]:
    array = np.array(values, dtype=float)
    return {"mean": float(array.mean()), "std": float(array.std(ddof=1)) if len(array) > 1 else 0.0}
