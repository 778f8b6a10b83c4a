"""ShanghaiTech with the weak split: Zhong et al., CVPR 2019."""

from dataclasses import replace
from pathlib import Path

from amiss.datasets._annotations import read_mask_npy, read_shanghaitech
from amiss.datasets._building import masks_of, no_classes, without_events
from amiss.datasets._dataset import WEAK_SPLIT_NOTE, Dataset, DatasetInfo
from amiss.datasets._sources import BuiltDataset, Progress, Sources, assemble


def build_shanghaitech(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """ShanghaiTech, weak split (238 training, 199 test), with frame masks as .npy or CSV."""
    no_classes("shanghaitech", class_name)
    sources = Sources.below(root)
    masks = masks_of(sources, "*shanghai*mask*.csv", "test_frame_mask*.csv")
    masks |= {
        one.video_id: one
        for path in sources.find("[0-9][0-9]_[0-9]*.npy")
        if "mask" in path.parent.name.lower()
        for one in [read_mask_npy(path)]
    }
    rows = []
    for split, pattern in (("train", "*weak*train*.txt"), ("test", "*weak*test*.txt")):
        fallback = "sh*_train*.txt" if split == "train" else "sh*_test*.txt"
        for one in read_shanghaitech(sources.need("shanghaitech", f"weak {split} list", pattern, fallback)):
            mask = masks.get(one.video_id)
            known = mask is not None and one.label == 1
            rows.append(
                replace(one, split=split, n_frames=mask.n_frames, events=mask.events)
                if known and mask
                else replace(one, split=split)
            )
    built = assemble("shanghaitech", sources, rows, progress)
    return without_events("shanghaitech", built)


SHANGHAITECH = Dataset(
    DatasetInfo(
        name="shanghaitech",
        title="ShanghaiTech, weak split (Zhong et al. 2019)",
        size="238 train (63 anomalous), 199 test (44)",
        needs="*weak*train*.txt, *weak*test*.txt, frame masks (test_frame_mask/*.npy or CSV)",
        source="https://svip-lab.github.io/dataset/campus_dataset.html",
        licence="none stated; research use",
        defects=WEAK_SPLIT_NOTE + "; the test list's third column is frames less one",
    ),
    build_shanghaitech,
    picture_fps=24.0,
)
