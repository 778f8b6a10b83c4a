"""docs/explanations/datasets.md says of every dataset what the program says."""

import pytest

from amiss.datasets import DatasetInfo, list_datasets
from helpers import ROOT

PAGE = (ROOT / "docs" / "explanations" / "datasets.md").read_text(encoding="utf-8").replace("\\*", "*")


@pytest.mark.parametrize("info", list_datasets(), ids=lambda info: info.name)
def test_each_dataset_has_its_section(info: DatasetInfo) -> None:
    section = PAGE.partition(f"\n## {info.name}\n")[2].partition("\n## ")[0]
    for fact in (info.title, info.size, info.needs, info.source, info.licence, info.defects):
        assert fact in " ".join(section.split())
