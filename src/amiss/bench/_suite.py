"""Suite: what a benchmark compares, as YAML with typed, checked fields."""

import itertools
import json
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from amiss.errors import UsageError
from amiss.evaluation import get_protocol
from amiss.jobs import Missing
from amiss.reading import read_text, refusing
from amiss.settings import Settings, in_words
from amiss.training import Recipe, load_recipe
from amiss.yaml import MAX_LENGTH, read_yaml

_FORMER_METRICS = {"macro_auc": "within"}  # in suites of before

Metric = Annotated[
    Literal["auc", "ano_auc", "within", "ap", "pr_auc_trapezoid", "video_auc", "event_ap", "latency_aware_ap"],
    BeforeValidator(lambda name: _FORMER_METRICS.get(name, name) if isinstance(name, str) else name),
]
_MOST_SEEDS = 1000
_MOST_VARIANTS = 10_000  # of one recipe: nobody waits for more
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class DatasetChoice(Settings):
    """A dataset: built from a folder by name, or a manifest."""

    name: str
    """Of `amiss datasets` with `root`; any name with `manifest`."""
    root: Path | None = None
    """Folder that the dataset is built from."""
    manifest: Path | None = None
    """A manifest instead."""
    class_name: Annotated[str | None, Field(alias="class")] = None
    """Only this class of anomalies."""
    label: str = ""
    """Name in the report; default: the name, and the class."""
    folds: Annotated[int | None, Field(ge=2)] = None
    """Cross-validation for datasets without a test split: so many folds, groups kept whole."""
    protocols: list[str] = Field(default=["exact"], min_length=1)
    """The first one is what models are ranked by; all are computed from the same scores."""
    metric: Metric | None = None
    """What is ranked by; default: auc, or video_auc where only labels of whole videos are known."""
    glances: Path | None = None
    """Clicked frames of training videos (`video_id,frame`): the report says how well systems localise without looking
    at the test set."""
    leaks: Literal["error", "drop"] = "error"
    """Copies in training and test, by their features: an error, or the training ones are left out."""
    ground_truth: dict[str, Path] = Field(default={})
    """Protocol → published ground-truth vector (.npy), which must be the one that the protocol generates."""

    @model_validator(mode="before")
    @classmethod
    def _set_label(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("label") and isinstance(values.get("name"), str):
            class_name = values.get("class")
            values = {**values, "label": values["name"] + (f" {class_name}" if class_name else "")}
        return values

    @model_validator(mode="after")
    def _check(self) -> "DatasetChoice":
        if (self.root is None) == (self.manifest is None):
            raise ValueError("give either root (folder to build it from) or manifest")
        if self.manifest is not None and self.class_name is not None:
            raise ValueError("class goes with root; a manifest has the videos that it has")
        for protocol in (*self.protocols, *self.ground_truth):
            get_protocol(protocol)
        return self


class FeatureChoice(Settings):
    """Features: stored ones, or a backbone to extract them with."""

    name: str
    """Name in the report."""
    datasets: list[str] | None = None
    """Labels of the datasets it is for; default: all."""
    path: Path | None = None
    """Feature set, or features in another project's layout, which are imported."""
    layout: str | None = None
    """That layout; recognised if left out."""
    concat: Annotated[list[Path] | None, Field(min_length=2)] = None
    """Stored features whose rows are joined, as `amiss features concat` does; each as `path`."""
    fps: Annotated[float | None, Field(gt=0)] = None
    """Frames per second of the videos, where features of different rates are joined and don't say it."""
    optional: bool = False
    """Left out where an environment variable in it isn't set."""
    backbone: str | None = None
    """Extract with this backbone instead; join with `+` to fuse."""
    weights: str | dict[str, str] = "default"
    """`default`, `random` or a file; for a fusion: name → choice."""
    stride: Annotated[int | None, Field(ge=1)] = None
    """Frames from the start of one clip to the next; default: the preset's."""
    crops: Literal[1, 5, 10] = 1
    """Spatial views per clip."""
    preset: str = "default"
    """Preprocessing of a named project."""
    missing: Missing = "error"
    """Videos without features: an error, or left out and said so in the report."""

    @model_validator(mode="after")
    def _check(self) -> "FeatureChoice":
        if sum(given is not None for given in (self.path, self.concat, self.backbone)) != 1:
            raise ValueError("give either path (of stored features), concat (several to join) or backbone (to extract)")
        extracting = {"weights", "stride", "crops", "preset"} & self.model_fields_set
        if self.backbone is None and extracting:
            raise ValueError(f"{', '.join(sorted(extracting))}: only for features to extract with a backbone")
        if self.path is None and self.layout is not None:
            raise ValueError("layout: only for stored features in one path")
        if self.concat is None and self.fps is not None:
            raise ValueError("fps: only for features to join (concat)")
        return self


class RecipeChoice(Settings):
    """A recipe, and what is changed in it."""

    recipe: str
    """Of `amiss recipes`, or a recipe.yaml."""
    name: str = ""
    """Name in the report; default: the recipe's."""
    set: dict[str, Any] = Field(default={})
    """Field → value. A list of values is swept: one system per combination. A list of one value is that value, so what
    is itself a list, such as names of classes, stands in one."""
    datasets: list[str] | None = None
    """Labels of the datasets it is for; default: all."""
    features: list[str] | None = None
    """Names of the features it is for; default: all."""


class ScoresChoice(Settings):
    """Someone's scores or detector, measured beside the suite's own systems."""

    name: str
    """Name in the report."""
    dataset: str
    """Label of the dataset."""
    files: Annotated[list[Path], Field(min_length=1)] | None = None
    """Score files, one per seed."""
    detector: Path | None = None
    """A detector directory instead."""
    features: str | None = None
    """Name of the features that the detector takes."""
    selection: Literal["last", "selected", "oracle(test)"] | None = None
    """How the model behind the scores was chosen; where nobody says, it counts as chosen on the test set."""

    @model_validator(mode="after")
    def _check(self) -> "ScoresChoice":
        if (self.files is None) == (self.detector is None):
            raise ValueError("give either files (scores) or detector")
        if (self.detector is None) != (self.features is None):
            raise ValueError("features goes with detector: name the features that it takes")
        return self


def _seeds(value: Any) -> Any:
    """One message where each type of the field has its own."""
    is_list = isinstance(value, list) and value and all(type(seed) is int for seed in value)
    if not is_list and not (type(value) is int and 1 <= value <= _MOST_SEEDS):
        raise ValueError(f"must be how many, 1 to {_MOST_SEEDS}, or a list of seeds")
    return value


class Suite(Settings):
    """Recipes x feature sets x seeds x protocols, on one or several datasets."""

    name: str
    """Title of the report."""
    note: str = ""
    """What a reader should know."""
    datasets: Annotated[list[DatasetChoice], Field(min_length=1)]
    """Datasets."""
    features: list[FeatureChoice] = Field(default=[])
    """Feature sets."""
    recipes: list[RecipeChoice] = Field(default=[])
    """Recipes."""
    scores: list[ScoresChoice] = Field(default=[])
    """Others' scores and detectors."""
    seeds: Annotated[int | list[int], BeforeValidator(_seeds)] = 3
    """How many training seeds (0, 1, …), or which."""
    bootstrap: Annotated[int, Field(ge=100)] = 1000
    """Resamplings of the test videos, for intervals and comparisons."""

    @property
    def seed_list(self) -> list[int]:
        """The training seeds."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @model_validator(mode="after")
    def _check(self) -> "Suite":
        labels = [dataset.label for dataset in self.datasets]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"datasets {twice} stand twice; give each its own label")
        named = {choice.name for choice in self.features}
        restricted = {f"features.{i}": choice.datasets for i, choice in enumerate(self.features)}
        restricted |= {f"recipes.{i}": choice.datasets for i, choice in enumerate(self.recipes)}
        for where, datasets in restricted.items():
            if strangers := sorted(set(datasets or ()) - set(labels)):
                raise ValueError(f"{where}.datasets: {strangers} are not in datasets {labels}")
        for number, recipe in enumerate(self.recipes):
            if strangers := sorted(set(recipe.features or ()) - named):
                raise ValueError(f"recipes.{number}.features: {strangers} are not in features {sorted(named)}")
        for number, entry in enumerate(self.scores):
            if entry.dataset not in labels or (entry.features is not None and entry.features not in named):
                raise ValueError(
                    f"scores.{number}: dataset or features are not in the suite ({labels}, {sorted(named)})"
                )
        if len(set(self.seed_list)) != len(self.seed_list):
            raise ValueError(f"seeds: {self.seed_list} has one twice")
        if not self.scores and not (self.recipes and self.features):
            raise ValueError("there is nothing to compare: give features and recipes, or scores")
        return self


@dataclass(frozen=True)
class Variant:
    """A recipe with one combination of the swept settings."""

    name: str
    """`topk`, or `topk k=3` in a sweep."""
    recipe: Recipe
    choice: RecipeChoice
    swept: tuple[tuple[str, Any], ...]
    """(field, value) of what is swept."""


def load_suite(path: str | os.PathLike[str]) -> Suite:
    """Read a suite. `${NAME}` stands for an environment variable; paths are relative to the suite's folder.

    Raises:
        UsageError: unreadable, an unknown field or name, a value that a field can't take, a variable that isn't set;
            names the field.
    """
    file = Path(path)
    with refusing(UsageError, f"suite {file}"):
        raw, _ = read_yaml(read_text(file, MAX_LENGTH))
    if not isinstance(raw, dict):
        raise UsageError(f"suite {file} is not a mapping of fields; it needs at least name and datasets")
    try:
        suite = Suite.model_validate(_expand(_without_absent(raw), ""))
        list_variants(suite := _with_absolute_paths(suite, file.resolve().parent))
    except ValidationError as error:
        raise UsageError(f"suite {file}: {in_words(error, Suite)}") from None
    except UsageError as error:
        raise UsageError(f"suite {file}: {error}") from None
    return suite


def list_variants(suite: Suite) -> list[Variant]:
    """The recipes of a suite with every combination of their swept settings, in order.

    Raises:
        UsageError: unknown recipe or field, or two variants of one name.
    """
    variants: list[Variant] = []
    for number, choice in enumerate(suite.recipes):
        try:
            variants += _variants_of(choice)
        except UsageError as error:
            raise UsageError(f"recipes.{number}: {error}") from None
    names = [variant.name for variant in variants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"recipes {twice} stand twice; give each its own name")
    return variants


def _variants_of(choice: RecipeChoice) -> Iterator[Variant]:
    given = {key: value if isinstance(value, list) else [value] for key, value in choice.set.items()}
    if empty := [key for key, values in given.items() if not values]:
        raise UsageError(f"set.{empty[0]}: the list of values is empty")
    swept = {key: values for key, values in given.items() if len(values) > 1}
    if (count := math.prod(map(len, swept.values()))) > _MOST_VARIANTS:
        raise UsageError(f"set: {count} combinations; at most {_MOST_VARIANTS} are taken")
    fixed = [f"{key}={json.dumps(values[0])}" for key, values in given.items() if key not in swept]
    for values in itertools.product(*swept.values()):
        setting = tuple(zip(swept, values, strict=True))
        recipe = load_recipe(choice.recipe, [*fixed, *(f"{key}={json.dumps(value)}" for key, value in setting)])
        parts = [choice.name or recipe.name, *(f"{key.rpartition('.')[2]}={value}" for key, value in setting)]
        yield Variant(" ".join(parts), recipe, choice, setting)


def _without_absent(raw: dict[str, Any]) -> dict[str, Any]:
    """The suite without optional features whose variables aren't set, and recipes that are only for those."""
    kept, absent = [], set()
    for choice in raw["features"] if isinstance(raw.get("features"), list) else ():
        unset = {name for name in _VARIABLE.findall(json.dumps(choice)) if name not in os.environ}
        if unset and isinstance(choice, dict) and choice.get("optional") is True:
            absent.add(choice.get("name"))
            warnings.warn(
                f"features {choice.get('name')} are left out: {', '.join(sorted(unset))} is not set", stacklevel=3
            )
        else:
            kept.append(choice)
    if not absent:
        return raw
    recipes = []
    for recipe in raw.get("recipes") or ():
        wanted = recipe.get("features") if isinstance(recipe, dict) else None
        left = [name for name in wanted if name not in absent] if isinstance(wanted, list) else None
        if left is None or left:
            recipes.append(recipe if left is None else {**recipe, "features": left})
    return {**raw, "features": kept, "recipes": recipes}


def _expand(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _expand(item, f"{where}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, f"{where}.{number}") for number, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise UsageError(f"{where} is {value!r}, but the environment variable {found[1]} is not set")
        return os.environ[found[1]]

    return _VARIABLE.sub(variable, value)


def _with_absolute_paths(suite: Suite, folder: Path) -> Suite:
    def absolute(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    def weights(choice: str | dict[str, str]) -> str | dict[str, str]:
        if isinstance(choice, dict):
            return {name: str(weights(file)) for name, file in choice.items()}
        return str(folder / choice) if Path(choice).suffix else choice

    def recipe(name: str) -> str:
        return str(folder / name) if Path(name).suffix in (".yaml", ".yml") else name

    return suite.model_copy(
        update={
            "datasets": [
                d.model_copy(
                    update={
                        "root": absolute(d.root),
                        "manifest": absolute(d.manifest),
                        "glances": absolute(d.glances),
                        "ground_truth": {name: folder / path for name, path in d.ground_truth.items()},
                    }
                )
                for d in suite.datasets
            ],
            "features": [
                f.model_copy(
                    update={
                        "path": absolute(f.path),
                        "concat": None if f.concat is None else [folder / path for path in f.concat],
                        "weights": weights(f.weights),
                    }
                )
                for f in suite.features
            ],
            "recipes": [r.model_copy(update={"recipe": recipe(r.recipe)}) for r in suite.recipes],
            "scores": [
                s.model_copy(
                    update={
                        "files": None if s.files is None else [folder / file for file in s.files],
                        "detector": absolute(s.detector),
                    }
                )
                for s in suite.scores
            ],
        }
    )
