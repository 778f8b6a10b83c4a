"""Feature sets: extraction, storage, pooling, other projects' layouts."""

import typing

from amiss.late import import_late as _import_late

if typing.TYPE_CHECKING:
    from amiss.backbones import FeatureSpec
    from amiss.features._axes import Axes, parse_axes
    from amiss.features._concat import JoinedVideo, join_video, joined_spec
    from amiss.features._copy import Copied, copy_features
    from amiss.features._extraction import Extracted, ExtractedRange, ExtractedVideo, extract_video, extract_videos
    from amiss.features._feature_set import Features, FeatureSet, open_feature_set
    from amiss.features._index import TIMES, FeatureRecord
    from amiss.features._layouts import Ids, export_features, import_features, list_layouts
    from amiss.features._near_duplicates import NearDuplicate, near_duplicates
    from amiss.features._pooling import POOLING_RULES, UNIT_LENGTH_RULES, PoolingRule, pool, pool_as
    from amiss.features._ranges import RangedVideo
    from amiss.features._readers import SplittableVideo, VideoRange
    from amiss.features._row_spans import row_spans, video_times
    from amiss.features._verify import Fault, Repair, repair, verify
    from amiss.features._writer import FeatureSetWriter

__all__ = [
    "POOLING_RULES",
    "TIMES",
    "UNIT_LENGTH_RULES",
    "Axes",
    "Copied",
    "Extracted",
    "ExtractedRange",
    "ExtractedVideo",
    "Fault",
    "FeatureRecord",
    "FeatureSet",
    "FeatureSetWriter",
    "FeatureSpec",
    "Features",
    "Ids",
    "JoinedVideo",
    "NearDuplicate",
    "PoolingRule",
    "RangedVideo",
    "Repair",
    "SplittableVideo",
    "VideoRange",
    "copy_features",
    "export_features",
    "extract_video",
    "extract_videos",
    "import_features",
    "join_video",
    "joined_spec",
    "list_layouts",
    "near_duplicates",
    "open_feature_set",
    "parse_axes",
    "pool",
    "pool_as",
    "repair",
    "row_spans",
    "verify",
    "video_times",
]

__getattr__ = _import_late(__name__)
