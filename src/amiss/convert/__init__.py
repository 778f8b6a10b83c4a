"""Reference checkpoints of backbones and heads → our modules."""

from amiss.convert._checkpoint_files import read_checkpoint
from amiss.convert._heads import EVALUATION_OPTIONS
from amiss.convert._kinds import from_reference

__all__ = ["EVALUATION_OPTIONS", "from_reference", "read_checkpoint"]
