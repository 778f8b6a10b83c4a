"""Training: recipes, sampling, trainer, model selection without the test set; writes detectors.

`train` does it all. Its parts are here for loops of one's own: `resolve_recipe`, `split_training`, `find_all_zero`,
`fit_normalisation`, `load_bags`, `draw_batch`, `make_optimiser`, `Selection`.
"""

import typing

from amiss.late import import_late as _import_late

if typing.TYPE_CHECKING:
    from amiss.training._bags import Bags, find_all_zero, fit_normalisation, hash_data, load_bags, resolve_recipe
    from amiss.training._clip_loss import clip_loss
    from amiss.training._crossfit import clip_targets
    from amiss.training._data_check import DataCheck, keep_copies_together
    from amiss.training._glance_loss import glance_loss
    from amiss.training._holdout import Split, split_training
    from amiss.training._optimisers import OPTIMISERS, make_optimiser
    from amiss.training._out_of_fold import OutOfFold
    from amiss.training._recipe import (
        PLUGINS,
        BatchSettings,
        CalibrationSettings,
        GlanceLossSettings,
        OptimiserSettings,
        Recipe,
        ScoringSettings,
        SelectionSettings,
        TeachingSettings,
    )
    from amiss.training._recipe_files import list_recipes, load_recipe, recipe_to_yaml
    from amiss.training._run_folder import TrainReport
    from amiss.training._sampling import draw_batch
    from amiss.training._selection import HeldOutScore, Selection
    from amiss.training._train import train, train_seeds

__all__ = [
    "OPTIMISERS",
    "PLUGINS",
    "Bags",
    "BatchSettings",
    "CalibrationSettings",
    "DataCheck",
    "GlanceLossSettings",
    "HeldOutScore",
    "OptimiserSettings",
    "OutOfFold",
    "Recipe",
    "ScoringSettings",
    "Selection",
    "SelectionSettings",
    "Split",
    "TeachingSettings",
    "TrainReport",
    "clip_loss",
    "clip_targets",
    "draw_batch",
    "find_all_zero",
    "fit_normalisation",
    "glance_loss",
    "hash_data",
    "keep_copies_together",
    "list_recipes",
    "load_bags",
    "load_recipe",
    "make_optimiser",
    "recipe_to_yaml",
    "resolve_recipe",
    "split_training",
    "train",
    "train_seeds",
]

__getattr__ = _import_late(__name__)
