"""Recipes: names, files, --set."""

from pathlib import Path

import pytest

from amiss.errors import UsageError
from amiss.heads import create_head
from amiss.training import Recipe, list_recipes, load_recipe, recipe_to_yaml


def test_every_recipe_has_a_head_and_a_source() -> None:
    recipes = list_recipes()
    assert {"sultani2018", "ekosman", "topk"} <= {recipe.name for recipe in recipes}
    for recipe in recipes:
        assert recipe.source
        assert create_head(recipe.head, 8, **recipe.head_options).feature_dim == 8


def test_a_recipe_survives_its_file(tmp_path: Path) -> None:
    recipe = load_recipe("topk", ["head_options.k=5", "selection.patience=null", "optimiser.lr=1e-3"])
    (tmp_path / "recipe.yaml").write_text(recipe_to_yaml(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


def test_an_optimiser_may_have_its_former_name(tmp_path: Path) -> None:
    now = load_recipe("salient")
    assert now.optimiser.name == "radam-rectified-only"
    assert load_recipe("salient", ["optimiser.name=radam-seed002"]) == now
    (tmp_path / "recipe.yaml").write_text(recipe_to_yaml(now).replace("radam-rectified-only", "radam-seed002"))
    assert load_recipe(tmp_path / "recipe.yaml") == now


def test_overrides_reach_every_field() -> None:
    recipe = load_recipe(
        "sultani2018",
        [
            "steps=20000",
            "selection.holdout=0",
            "pooling=matlab",
            "optimiser.name=adam",
            "head_options.dropout=0.1",
            "batch.normal=4",
        ],
    )
    assert (recipe.steps, recipe.selection.holdout, recipe.pooling) == (20000, 0, "matlab")
    assert (recipe.optimiser.name, recipe.head_options, recipe.batch.normal) == ("adam", {"dropout": 0.1}, 4)
    assert recipe.optimiser.lr == load_recipe("sultani2018").optimiser.lr
    assert load_recipe("sultani2018").steps != 20000


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps", "not of the form key=value"),
        ("step=3", "no field 'step'.*Did you mean 'steps'.*selection.patience"),
        ("lr=3", "Did you mean 'optimiser.lr'"),
        ("optimiser=adam", "no field 'optimiser'"),
        ("selection.holdouts=0", "Did you mean 'selection.holdout'"),
        ("steps=0", "steps is 0; must be at least 1"),
        ("steps=many", "steps is 'many'"),
        ("pooling=mean", "pooling is 'mean'.*rtfm"),
        ("head_options.k.x=1", "no field 'head_options.k.x'"),
        ("head_options.=1", "no field 'head_options.'"),
        ("head_options.classes=[fire, fight]", r"""is not JSON\. .*--set 'head_options.classes=\["one", "two"\]'"""),
    ],
)
def test_wrong_overrides_say_what_is_right(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("topk", [override])


def test_overrides_reach_the_alternatives_where_they_fit() -> None:
    recipe = load_recipe(
        "auto", ["steps=7", "selection.by=spread", "head_options.k=5", "head_options.dropout=0.1", "name=mine"]
    )
    (other,) = recipe.alternatives
    assert (recipe.name, other.name) == ("mine", "topk")
    assert {one.steps for one in (recipe, other)} == {7}
    assert {one.selection.by for one in (recipe, other)} == {"spread"}
    assert (recipe.head_options, other.head_options) == ({"dropout": 0.1}, {"k": 5, "dropout": 0.1})
    assert load_recipe("auto", ["alternatives=[]"]).alternatives == ()
    assert [one.name for one in load_recipe("auto", ['alternatives=["rtfm", "amiss"]']).alternatives] == [
        "rtfm",
        "amiss",
    ]
    assert load_recipe("auto", ["alternatives=rtfm"]).alternatives == (load_recipe("rtfm"),)


def test_alternatives_and_teachers_are_whole_recipes_in_files(tmp_path: Path) -> None:
    recipe = load_recipe("tca-causal", ["teaching.teacher=amiss", "alternatives=topk"])
    assert recipe.teaching.teacher == load_recipe("amiss")
    (tmp_path / "recipe.yaml").write_text(recipe_to_yaml(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    for override, message in (
        ("teaching.teacher=amis", "Did you mean 'amiss'"),
        ("alternatives=topp", "Did you mean 'topk'"),
        ("alternatives=3", "alternatives is 3"),
        ("scoring.change=maybe", "scoring.change is 'maybe'"),
    ):
        with pytest.raises(UsageError, match=message):
            load_recipe("topk", [override])
    with pytest.raises(UsageError, match="needs all of it"):
        load_recipe("topk", ["scoring.causal=true", "scoring.level=auto"])


def test_unknown_names_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'sultani2018'"):
        load_recipe("sultani2019")
    with pytest.raises(UsageError, match="does not exist"):
        load_recipe(tmp_path / "nothing.yaml")
    file = tmp_path / "recipe.yaml"
    for text, message in (
        ("- a", "not a mapping"),
        ("name: [", "can't be read"),
        ("name: a", "source is missing; head is missing"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=message):
            load_recipe(file)
    file.write_text(recipe_to_yaml(load_recipe("topk")) + "stepz: 3\n")
    with pytest.raises(UsageError, match="no field 'stepz'"):
        load_recipe(file)


def test_recipes_are_values() -> None:
    assert load_recipe("topk") == load_recipe("topk")
    assert isinstance(load_recipe("topk"), Recipe)
