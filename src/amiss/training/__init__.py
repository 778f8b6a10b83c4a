"""Training: recipes, sampling, trainer, model selection without the test set; writes detectors."""

from amiss.training._bags import hash_data
from amiss.training._recipe import BatchSettings, OptimiserSettings, Recipe, SelectionSettings
from amiss.training._recipe_files import list_recipes, load_recipe, recipe_to_yaml
from amiss.training._run import TrainReport
from amiss.training._trainer import train, train_seeds

__all__ = [
    "BatchSettings",
    "OptimiserSettings",
    "Recipe",
    "SelectionSettings",
    "TrainReport",
    "hash_data",
    "list_recipes",
    "load_recipe",
    "recipe_to_yaml",
    "train",
    "train_seeds",
]
