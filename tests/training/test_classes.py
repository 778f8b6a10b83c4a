"""Heads that tell classes of anomalies apart: classes come from the manifest, their vectors from a file or training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from amiss.datasets import Manifest
from amiss.errors import ManifestError, UsageError
from amiss.features import FeatureSet
from amiss.training import Recipe, load_recipe, train
from helpers.training import make_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, FeatureSet]:
    manifest, features = make_data(tmp_path_factory.mktemp("data") / "features", 12)
    names = ("fire", "fight")
    videos = [replace(v, class_name=names[i // 2 % 2] if v.label else None) for i, v in enumerate(manifest.videos)]
    return Manifest(tuple(videos)), features


def quick(head: str, *more: str) -> Recipe:
    sizes = ["steps=4", "batch.normal=4", "batch.anomalous=4", "segments=8", "head_options.channels=8"]
    return load_recipe(head, [*sizes, 'head_options.classes=["fire", "fight"]', "calibration.folds=2", *more])


@pytest.mark.parametrize(("head", "term"), [("tca", "prompt"), ("lgt", "classes")])
def test_classes_are_learned_from_the_manifest(
    data: tuple[Manifest, FeatureSet], tmp_path: Path, head: str, term: str
) -> None:
    vectors = {name: np.full(5, i + 1.0) for i, name in enumerate(("normal", "fire", "fight"))}
    np.savez(tmp_path / "texts.npz", **vectors)
    given = ["head_options.class_dim=5", f"class_vectors={tmp_path / 'texts.npz'}"]
    for more in ([], given):
        run = tmp_path / f"run{len(more)}"
        train(quick(head, *more), *data, run)
        logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert all(np.isfinite(line[f"loss/{term}"]) for line in logged)
        state = load_file(run / "last" / "head.safetensors")
        stored = next(tensor for name, tensor in state.items() if name.endswith("classes.vectors"))
        assert torch.equal(stored, torch.from_numpy(np.stack(list(vectors.values())).astype(np.float32))) == bool(more)


def test_a_class_that_the_head_does_not_know_is_named(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"of class 'fight'; the head's classes are \['fire'\]"):
        train(quick("lgt", 'head_options.classes=["fire"]'), *data, tmp_path / "run")


def test_class_vectors_that_do_not_fit_are_named(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    texts = tmp_path / "texts.npz"
    np.savez(texts, normal=np.ones(3), fire=np.ones(3))
    np.savez(tmp_path / "words.npz", normal=np.ones(3), fire=["a", "b", "c"], fight=np.ones(3))
    (tmp_path / "torn.npz").write_bytes(texts.read_bytes()[:100])
    for more, says in (
        ([f"class_vectors={tmp_path / 'none.npz'}"], "none.npz' does not exist"),
        ([f"class_vectors={tmp_path / 'torn.npz'}"], "can't be read as an npz file"),
        ([f"class_vectors={tmp_path / 'words.npz'}", "head_options.class_dim=3"], "can't be read as an npz file"),
        ([f"class_vectors={texts}"], r"no class vector of \['fight'\]"),
        ([f"class_vectors={texts}", 'head_options.classes=["fire"]'], "class_dim=3 for others"),
        ([f"class_vectors={texts}", "head_options.classes=[]"], "tells no classes apart"),
        (['head_options.classes=["fire", "fight", "fire"]'], "it names 'fire' 2 times; name each class once"),
        (['head_options.classes=["normal", "fire", "fight"]'], "it names 'normal', which is always there"),
    ):
        with pytest.raises(UsageError, match=says):
            train(quick("lgt", *more), *data, tmp_path / "run")
