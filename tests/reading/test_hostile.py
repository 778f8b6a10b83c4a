"""Files that nobody should have written: each is one line, at once, whatever reads it."""

import os
from pathlib import Path

import pytest

from amiss.convert import read_checkpoint
from amiss.detection import check_detector_folder
from amiss.errors import DetectorError, FeatureError, WeightsError
from amiss.features import import_features, open_feature_set


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a file"])
def test_what_is_no_folder_of_a_detector_or_of_features_is_named(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/null") if kind == "a device" else tmp_path / "odd"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a file":
        path.write_bytes(b"junk")
    with pytest.raises(DetectorError, match=f"can't be read: it is {kind}, not a folder"):
        check_detector_folder(path)
    reason = "is a file, not a feature set" if kind == "a file" else f"can't be read: it is {kind}, not a folder"
    with pytest.raises(FeatureError, match=reason):
        open_feature_set(path)
    reason = "in no known layout" if kind == "a file" else f"it is {kind}, not a file"
    with pytest.raises(FeatureError, match=reason):
        import_features(path, tmp_path / "out")
    reason = "it is damaged, or no checkpoint" if kind == "a file" else f"it is {kind}, not a file"
    with pytest.raises(WeightsError, match=reason):
        read_checkpoint(path)
