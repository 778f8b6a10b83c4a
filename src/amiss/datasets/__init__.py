"""Manifests and the datasets they describe."""

from amiss.datasets._annotations import (
    Annotation,
    events_of_mask,
    read_avenue_mat,
    read_mask_npy,
    read_shanghaitech,
    read_table,
    read_ucf,
    read_ucsd_matlab,
    read_xd,
)
from amiss.datasets._check import check_dataset
from amiss.datasets._dataset import DatasetInfo
from amiss.datasets._folder import are_sorted_by_label
from amiss.datasets._glances import Glances, read_glances
from amiss.datasets._manifest import (
    Manifest,
    Split,
    Video,
    format_events,
    parse_events,
    read_manifest,
    unique_ids,
    video_id_of,
    write_manifest,
)
from amiss.datasets._problems import Problem, first_names
from amiss.datasets._registry import build_dataset, list_datasets
from amiss.datasets._sources import BuiltDataset
from amiss.datasets._summary import ClassSummary, summarise

__all__ = [
    "Annotation",
    "BuiltDataset",
    "ClassSummary",
    "DatasetInfo",
    "Glances",
    "Manifest",
    "Problem",
    "Split",
    "Video",
    "are_sorted_by_label",
    "build_dataset",
    "check_dataset",
    "events_of_mask",
    "first_names",
    "format_events",
    "list_datasets",
    "parse_events",
    "read_avenue_mat",
    "read_glances",
    "read_manifest",
    "read_mask_npy",
    "read_shanghaitech",
    "read_table",
    "read_ucf",
    "read_ucsd_matlab",
    "read_xd",
    "summarise",
    "unique_ids",
    "video_id_of",
    "write_manifest",
]
