"""Feature sets: extraction, storage, pooling, other projects' layouts."""

from amiss.backbones import FeatureSpec
from amiss.features._feature_set import FeatureRecord, Features, FeatureSet, FeatureSetWriter, open_feature_set

__all__ = ["FeatureRecord", "FeatureSet", "FeatureSetWriter", "FeatureSpec", "Features", "open_feature_set"]
