"""Suites: what they say, what they expand to, and messages that name the field."""

import os
from pathlib import Path
from typing import Any

import pytest

from amiss.bench import list_variants, load_suite
from amiss.errors import UsageError
from helpers import ROOT
from helpers.bench import QUICK, write_suite

SHIPPED = sorted((ROOT / "benchmarks" / "suites").glob("*.yaml"))


def test_lists_of_settings_are_swept(tmp_path: Path) -> None:
    path = write_suite(
        tmp_path,
        recipes=[{"recipe": "topk", "set": {"head_options.k": [1, 2], "optimiser.lr": [0.1, 0.01], "steps": 7}}],
        seeds=[3, 5],
    )
    suite = load_suite(path)
    variants = list_variants(suite)
    assert [variant.name for variant in variants] == [
        "topk k=1 lr=0.1", "topk k=1 lr=0.01", "topk k=2 lr=0.1", "topk k=2 lr=0.01"
    ]  # fmt: skip
    assert [(v.recipe.head_options["k"], v.recipe.optimiser.lr) for v in variants] == [
        (1, 0.1), (1, 0.01), (2, 0.1), (2, 0.01)
    ]  # fmt: skip
    assert all(variant.recipe.steps == 7 for variant in variants)
    assert suite.seed_list == [3, 5]


def test_a_list_of_one_value_is_that_value(tmp_path: Path) -> None:
    options = {"head_options.classes": [["fire", "fight"]], "steps": [7]}
    path = write_suite(tmp_path, recipes=[{"recipe": "tca", "name": "tca, classes", "set": options}])
    (variant,) = list_variants(load_suite(path))
    assert (variant.name, variant.swept) == ("tca, classes", ())
    assert (variant.recipe.head_options["classes"], variant.recipe.steps) == (["fire", "fight"], 7)


def test_environment_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TEST_DATA", str(tmp_path / "elsewhere"))
    path = write_suite(
        tmp_path,
        datasets=[{"name": "ucsd-ped2", "root": "${BENCH_TEST_DATA}/ped2"}],
        features=[{"name": "rows", "path": "features"}],
    )
    suite = load_suite(path)
    assert suite.datasets[0].root == tmp_path / "elsewhere" / "ped2"
    assert suite.features[0].path == tmp_path / "features"
    monkeypatch.delenv("BENCH_TEST_DATA")
    with pytest.raises(UsageError, match=r"datasets\.0\.root is .*BENCH_TEST_DATA is not set"):
        load_suite(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": [{"name": "x", "manifest": "m.csv", "fold": 3}]}, r"datasets\.0\.fold: there is no such field"),
        ({"datasets": [{"name": "x", "root": "r", "clas": "y"}]}, r"datasets\.0\.clas: .*; did you mean 'class'\?"),
        ({"datasets": [{"name": "x"}]}, r"datasets\.0: give either root .* or manifest"),
        ({"datasets": [{"name": "x", "manifest": "m.csv", "folds": 1}]}, r"datasets\.0\.folds is 1"),
        ({"datasets": [{"name": "x", "manifest": "m", "protocols": ["ucf/x"]}]}, r"datasets\.0: unknown protocol 'ucf"),
        ({"datasets": [{"name": "x", "manifest": "m.csv"}] * 2}, r"\['x'\] stand twice"),
        ({"datasets": None}, "datasets is missing"),
        ({"features": [{"name": "f"}]}, r"features\.0: give either path .* or backbone"),
        ({"features": [{"name": "f", "path": "p", "stride": 4}]}, r"features\.0: stride: only for features to extract"),
        ({"features": [{"name": "f", "path": "p", "datasets": ["y"]}]}, r"features\.0\.datasets: \['y'\] are not in"),
        ({"recipes": [{"recipe": "topkk"}]}, r"recipes\.0: unknown recipe 'topkk'. Did you mean 'topk'"),
        ({"recipes": [{"recipe": "topk", "set": {"step": 3}}]}, r"recipes\.0: recipes have no field 'step'"),
        ({"recipes": [{"recipe": "topk", "set": {"steps": []}}]}, r"recipes\.0: set\.steps: the list .* is empty"),
        ({"recipes": [{"recipe": "topk"}] * 2}, r"\['topk'\] stand twice"),
        ({"recipes": []}, "nothing to compare"),
        ({"seeds": 0}, "seeds is 0; must be how many, 1 to 1000, or a list of seeds"),
        ({"seeds": []}, "seeds: must be how many"),
        ({"seeds": [1, 1]}, r"seeds: \[1, 1\] has one twice"),
        ({"scores": [{"name": "s", "dataset": "z", "files": ["s.json"]}]}, r"scores\.0: dataset .* not in the suite"),
    ],
)  # fmt: skip
def test_a_wrong_suite_names_the_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        load_suite(write_suite(tmp_path, **changes))
    assert "suite.yaml" in str(error.value)


def test_no_suite_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_suite(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    with pytest.raises(UsageError, match="not a mapping"):
        load_suite(tmp_path / "list.yaml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_suites_are_sound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = path.read_text(encoding="utf-8")
    for name in {part.split("}")[0] for part in text.split("${")[1:]}:
        monkeypatch.setenv(name, os.sep + name.lower())
    suite = load_suite(path)
    assert len(suite.seed_list) >= 3
    assert suite.note
    assert len(list_variants(suite)) == len({variant.name for variant in list_variants(suite)}) > 1


def test_topk_study_has_all_k(monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(path for path in SHIPPED if path.stem == "topk-k")
    monkeypatch.setenv("AMISS_SHARED", "nowhere")
    assert [v.recipe.head_options["k"] for v in list_variants(load_suite(path))] == list(range(1, 9))


def test_quick_settings_are_fields_of_a_recipe(tmp_path: Path) -> None:
    (variant,) = list_variants(load_suite(write_suite(tmp_path)))
    assert variant.name == "topk"
    assert variant.recipe.steps == QUICK["steps"]
