from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from amiss.datasets import (
    events_of_mask,
    read_avenue_mat,
    read_mask_npy,
    read_shanghaitech,
    read_table,
    read_ucf,
    read_ucsd_matlab,
    read_xd,
)
from amiss.datasets._annotations import ucf_class, xd_class
from amiss.errors import ManifestError


def test_ucf_reads_all_four_kinds_of_line(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text(
        "Abuse028_x264.mp4  Abuse  165  240  -1  -1  \n"
        "Arson/Arson011_x264.mp4 1266 Arson 150 420 680 1267\n"
        "Vandalism/Vandalism048_x264.mp4 7183\n"
        "Training_Normal_Videos_Anomaly/Normal_Videos826_x264.mp4\n"
    )
    abuse, arson, vandalism, normal = read_ucf(file)
    assert (abuse.video_id, abuse.class_name, abuse.label, abuse.events) == ("Abuse028_x264", "Abuse", 1, ((165, 240),))
    assert (arson.n_frames, arson.events) == (1266, ((150, 420), (680, 1267)))
    assert (vandalism.class_name, vandalism.n_frames, vandalism.events) == ("Vandalism", 7183, ())
    assert (normal.video_id, normal.label, normal.n_frames) == ("Normal_Videos826_x264", 0, None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Abuse028_x264.mp4 Abuse 240 165 -1 -1", "empty or reversed"),
        ("Abuse028_x264.mp4 Abuse 1 50 40 90", "overlap"),
        ("Abuse028_x264.mp4 Abuse 1 50 90", "can't be pairs"),
        ("My fire Arson 1 50 -1 -1", "'Arson' is no frame number; a name with spaces needs its suffix"),
        ("Abuse028_x264.mp4 Abuse one two -1 -1", "'one' is no frame number"),
        ("nonsense.mp4", "not a UCF-Crime video name"),
        ("Arson001_x264.mp4", "stands twice"),
    ],
)
def test_ucf_names_the_bad_line(tmp_path, line, message):
    file = tmp_path / "a.txt"
    file.write_text(f"Arson001_x264.mp4\n{line}\n")
    with pytest.raises(ManifestError, match=f"line 2.*{message}"):
        read_ucf(file)


def test_empty_and_missing_files(tmp_path):
    (tmp_path / "a.txt").write_text("\n \n")
    with pytest.raises(ManifestError, match="empty"):
        read_ucf(tmp_path / "a.txt")
    with pytest.raises(ManifestError, match="does not exist"):
        read_xd(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("name", "class_name"),
    [("Abuse001_x264", "Abuse"), ("Normal_Videos_003_x264", "Normal"), ("Normal_Videos551_x264", "Normal")],
)
def test_ucf_class_from_name(name, class_name):
    assert ucf_class(name) == class_name


@pytest.mark.parametrize(
    ("name", "class_name"),
    [
        ("v=S-7rRLrxnVQ__#1_label_B4-0-0", "Riot"),
        ("Bad.Boys.1995__#01_label_G-B2-B6", "Explosion"),
        ("x_label_A", "Normal"),
    ],
)
def test_xd_class_from_name(name, class_name):
    assert xd_class(name) == class_name


def test_xd_name_without_label_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("movie 1 2\n")
    with pytest.raises(ManifestError, match=r"line 1.*_label_"):
        read_xd(tmp_path / "a.txt")


def test_shanghaitech_last_frame_is_one_less_than_frames(tmp_path):
    (tmp_path / "a.txt").write_text("01_001,0,764\n01_0015,1,-1\n01_0014,1\n")
    assert [one.n_frames for one in read_shanghaitech(tmp_path / "a.txt")] == [765, None, None]
    (tmp_path / "b.txt").write_text("01_001,2\n")
    with pytest.raises(ManifestError, match="line 1"):
        read_shanghaitech(tmp_path / "b.txt")


def test_table_ignores_other_columns_and_names_lines(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('video_id,scored_frames,events\n"A,B__#1",160,0-16;32-48\nC,16,\n')
    first, second = read_table(file, "events")
    assert (first.video_id, first.events, first.n_frames) == ("A,B__#1", ((0, 16), (32, 48)), None)
    assert second.events == ()
    file.write_text("video_id,events\na,9-3\n")
    with pytest.raises(ManifestError, match=r"line 2.*reversed"):
        read_table(file)
    with pytest.raises(ManifestError, match=r"line 1: columns .'label'. are missing"):
        read_table(file, "label")


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_runs_give_the_mask_back(flags):
    mask = np.zeros(len(flags), bool)
    spans = events_of_mask(np.array(flags))
    for start, end in spans:
        assert start < end
        mask[start:end] = True
    assert mask.tolist() == flags
    assert all(a[1] < b[0] for a, b in pairwise(spans))


def test_masks(tmp_path):
    np.save(tmp_path / "01_0014.npy", np.array([0, 1, 1, 0, 1], np.uint8))
    one = read_mask_npy(tmp_path / "01_0014.npy")
    assert (one.video_id, one.n_frames, one.events) == ("01_0014", 5, ((1, 3), (4, 5)))
    np.save(tmp_path / "flat.npy", np.zeros((2, 2)))
    with pytest.raises(ManifestError, match="one value per frame"):
        read_mask_npy(tmp_path / "flat.npy")
    volume = np.empty((1, 4), object)
    for i in range(4):
        volume[0, i] = np.full((3, 3), i in (1, 2), np.uint8)
    savemat(tmp_path / "3_label.mat", {"volLabel": volume})
    one = read_avenue_mat(tmp_path / "3_label.mat")
    assert (one.video_id, one.n_frames, one.events) == ("Test03", 4, ((1, 3),))
    (tmp_path / "4_label.mat").write_bytes(b"nothing of the kind")
    with pytest.raises(ManifestError, match="volLabel"):
        read_avenue_mat(tmp_path / "4_label.mat")


def test_ucsd_ranges_are_one_based_and_inclusive(tmp_path):
    file = tmp_path / "UCSDped1.m"
    file.write_text(
        "TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [60:152];\n"
        "TestVideoFile{end+1}.gt_frame = [5:90, 140:200]; % two\n"
    )
    first, second = read_ucsd_matlab(file)
    assert (first.video_id, first.events) == ("Test001", ((59, 152),))
    assert (second.video_id, second.events) == ("Test002", ((4, 90), (139, 200)))
    file.write_text("gt_frame = [a:b]")
    with pytest.raises(ManifestError, match="a:b"):
        read_ucsd_matlab(file)


def test_files_in_circulation(shared):
    folder = shared / "data" / "annotation_formats"
    temporal = {one.video_id: one for one in read_ucf(folder / "ucf_Temporal_Anomaly_Annotation.txt")}
    counted = {one.video_id: one for one in read_ucf(folder / "ucf_Test_Annotation_with_frames.txt")}
    assert temporal.keys() == counted.keys()
    assert all(temporal[name].events == counted[name].events for name in temporal)
    assert sum(one.n_frames for one in counted.values()) == 1_111_808
    assert len(read_ucf(folder / "ucf_Train_Annotation_with_frames.txt")) == 1610
    assert len(read_xd(folder / "xd_annotations.txt")) == 500
    assert len(read_table(folder / "xd_scored_frames.csv")) == 800
    test = read_shanghaitech(folder / "shanghaitech_weak_test.txt")
    assert (len(test), sum(one.label for one in test)) == (199, 44)
    train = read_shanghaitech(folder / "shanghaitech_weak_train.txt")
    assert (len(train), sum(one.label for one in train)) == (238, 63)
    assert len(read_table(folder / "shanghaitech_test_frame_masks.csv", "events")) == 107
    assert len(read_table(folder / "avenue_frame_masks.csv", "events")) == 21
