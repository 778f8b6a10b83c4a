import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amiss.datasets import build_dataset, check_dataset, list_datasets, read_manifest, write_manifest
from amiss.errors import ManifestError, UsageError
from amiss.video import PictureFolder, VideoWriter


def draw(path, n_frames=20, fps=10.0, seed=0):
    rng = np.random.default_rng(seed)
    with VideoWriter(path, fps, 32, 32) as writer:
        for _ in range(n_frames):
            writer.write(rng.integers(0, 255, (32, 32, 3), np.uint8))


def kinds(problems):
    return sorted(problem.kind for problem in problems)


def counts(manifest):
    return {
        (split, label): sum(video.label == label for video in manifest.split(split))
        for split in ("train", "test")
        for label in (0, 1)
    }


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "mine"
    draw(root / "normal" / "a.mp4", 20, 10.0, 1)
    draw(root / "normal" / "day" / "b.mp4", 21, 12.5, 2)
    draw(root / "Anomalous" / "fight" / "c.mp4", 22, 25.0, 3)
    draw(root / "Anomalous" / "d.mp4", 17, 25.0, 4)
    return root


def test_folder_decodes_and_names_classes(folder):
    manifest, problems = build_dataset("folder", folder)
    assert not problems
    rows = {v.video_id: (v.label, v.class_name, v.n_frames, v.fps, v.split) for v in manifest.videos}
    assert rows == {
        "normal__a": (0, "normal", 20, 10.0, "train"),
        "normal__day__b": (0, "normal", 21, 12.5, "train"),
        "Anomalous__fight__c": (1, "fight", 22, 25.0, "train"),
        "Anomalous__d": (1, None, 17, 25.0, "train"),
    }
    assert all(video.path.is_file() for video in manifest.videos)


def test_folder_round_trip_and_check(folder, tmp_path):
    manifest, _ = build_dataset("folder", folder)
    write_manifest(manifest, tmp_path / "manifest.csv")
    read = read_manifest(tmp_path / "manifest.csv")
    assert read.videos == manifest.videos
    assert check_dataset(read) == []


def test_folder_with_splits_and_events(folder, tmp_path):
    root = tmp_path / "split"
    shutil.copytree(folder, root / "train")
    draw(root / "test" / "anomaly" / "e.mp4", 30, seed=5)
    draw(root / "test" / "normal" / "f.mp4", 30, seed=6)
    (root / "events.csv").write_text("video_id,events\ntest__anomaly__e,5-12;20-33\n")
    manifest, problems = build_dataset("folder", root)
    assert counts(manifest) == {("train", 0): 2, ("train", 1): 2, ("test", 0): 1, ("test", 1): 1}
    assert manifest.by_id["test__anomaly__e"].events == ((5, 12), (20, 33))
    assert kinds(problems) == ["events"]
    assert "20-33 reaches past the last of 30 frames" in str(problems[0])


def test_folder_reports_and_leaves_out_bad_files(folder):
    shutil.copy(folder / "normal" / "a.mp4", folder / "normal" / "copy.mp4")
    (folder / "normal" / "text.mp4").write_text("no video")
    (folder / "normal" / "empty.mp4").touch()
    draw(folder / "elsewhere" / "x.mp4")
    draw(folder / "normal" / "a.mkv.mp4")
    draw(folder / "normal" / "clash.avi.mp4", seed=9)
    (folder / "normal" / "clash.avi.mp4").rename(folder / "normal" / "clash.avi")
    draw(folder / "normal" / "clash.mp4", seed=10)
    manifest, problems = build_dataset("folder", folder)
    assert kinds(problems) == ["duplicate", "duplicate", "unreadable", "unreadable", "unused"]
    assert {"normal__text", "normal__empty", "normal__copy"}.isdisjoint(manifest.by_id)
    assert "normal__a.mkv" in manifest.by_id
    assert manifest.by_id["normal__clash"].path.suffix == ".avi"


def test_folder_class_and_what_is_missing(folder, tmp_path):
    manifest, _ = build_dataset("folder", folder, class_name="fight")
    assert [video.video_id for video in manifest.videos if video.label] == ["Anomalous__fight__c"]
    with pytest.raises(UsageError, match=r"'theft'.*'fight'"):
        build_dataset("folder", folder, class_name="theft")
    shutil.rmtree(folder / "Anomalous")
    with pytest.raises(ManifestError, match="no readable anomalous videos"):
        build_dataset("folder", folder)
    with pytest.raises(ManifestError, match="does not exist"):
        build_dataset("folder", tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ManifestError, match="no videos below"):
        build_dataset("folder", tmp_path / "bare")


@pytest.mark.parametrize(
    ("line", "message"),
    [("other,1-2", "no video of this folder"), ("normal__a,1-2", "below normal/"), ("Anomalous__d,5-2", "line 2")],
)
def test_folder_refuses_wrong_events(folder, line, message):
    (folder / "events.csv").write_text(f"video_id,events\n{line}\n")
    with pytest.raises(ManifestError, match=message):
        build_dataset("folder", folder)


def test_check_finds_each_planted_fault(folder, tmp_path):
    draw(folder / "normal" / "gone.mp4", seed=20)
    shutil.copy(folder / "normal" / "a.mp4", tmp_path / "leak.mp4")
    draw(tmp_path / "bare.mp4", seed=21)
    (folder / "text.mp4").write_text("no video")
    (tmp_path / "manifest.csv").write_text(
        "video_id,split,label,path,n_frames,fps,events,group\n"
        "a,train,0,mine/normal/a.mp4,20,10,,g1\n"
        "b,train,0,mine/normal/day/b.mp4,22,12.5,,\n"
        "c,test,1,mine/Anomalous/fight/c.mp4,22,30,5-40,g1\n"
        "gone,train,0,mine/normal/missing.mp4,,,,\n"
        "text,train,0,mine/text.mp4,,,,\n"
        "leak,test,0,leak.mp4,20,10,,\n"
        "bare,test,1,bare.mp4,20,10,,\n"
    )
    problems = check_dataset(read_manifest(tmp_path / "manifest.csv"))
    assert kinds(problems) == ["events", "events", "leak", "leak", "length", "missing", "rate", "unreadable"]
    text = "\n".join(map(str, problems))
    assert "b: decodes to 21 frames, the manifest says 22 (-1)" in text
    assert "group g1 is in the test and in ['train']" in text
    assert "leak (test) is the same file as a (train)" in text
    assert {problem.kind for problem in problems if problem.is_error} == {"leak", "length", "missing", "unreadable"}


def test_benchmark_length_is_told_by_decoding(tmp_path):
    draw(tmp_path / "deep" / "down" / "Abuse001_x264.mp4", 20)
    draw(tmp_path / "Normal_Videos_003_x264.mp4", 30, seed=1)
    (tmp_path / "Normal_Videos_006_x264.mp4").write_text("no video")
    (tmp_path / "annotations.csv").write_text(
        "video_id,class,split,n_frames,events\n"
        "Abuse001_x264,Abuse,train,25,\n"
        "Abuse028_x264,Abuse,test,30,3-9\n"
        "Normal_Videos_003_x264,Normal,test,30,\n"
        "Normal_Videos_006_x264,Normal,test,30,\n"
    )
    manifest, problems = build_dataset("ucf-crime", tmp_path)
    assert kinds(problems) == ["length", "missing", "unreadable"]
    assert any("Abuse001_x264: decodes to 20 frames, annotated are 25 (-5)" in str(problem) for problem in problems)
    assert manifest.by_id["Abuse001_x264"].path.name == "Abuse001_x264.mp4"
    assert manifest.by_id["Abuse028_x264"].path is None


def test_ucf_without_training_list_takes_the_other_videos(tmp_path):
    draw(tmp_path / "Abuse001_x264.mp4")
    draw(tmp_path / "Abuse028_x264.mp4", seed=1)
    (tmp_path / "Temporal_Anomaly_Annotation.txt").write_text("Abuse028_x264.mp4  Abuse  3  9  -1  -1\n")
    manifest, _ = build_dataset("ucf-crime", tmp_path)
    assert {v.video_id: (v.split, v.class_name) for v in manifest.videos} == {
        "Abuse001_x264": ("train", "Abuse"),
        "Abuse028_x264": ("test", "Abuse"),
    }


def test_events_of_a_normal_video_are_left_out_and_named(tmp_path):
    draw(tmp_path / "Abuse028_x264.mp4")
    draw(tmp_path / "Quiet.mp4", seed=1)
    (tmp_path / "Temporal_Anomaly_Annotation.txt").write_text(
        "Abuse028_x264.mp4  Abuse  3  9  -1  -1\nQuiet.mp4  Normal  3  9  -1  -1\n"
    )
    manifest, problems = build_dataset("ucf-crime", tmp_path)
    assert manifest.by_id["Quiet"].events == ()
    assert [problem.message for problem in problems if problem.video_id == "Quiet"] == [
        "Quiet: it is called normal, so its events are left out: 3-9"
    ]


def test_xd_from_feature_files(tmp_path):
    for place, name in (("RGB", "m1__#1_label_A__0"), ("RGB", "m1__#1_label_A__1"), ("RGB", "m2_label_B1-0-0__0")):
        (tmp_path / place).mkdir(exist_ok=True)
        np.save(tmp_path / place / f"{name}.npy", np.zeros((1, 2)))
    (tmp_path / "RGBTest").mkdir()
    for name in ("v=x__#1_label_B2-G-0", "y_label_A", "train_label_A"):
        np.save(tmp_path / "RGBTest" / f"{name}__0.npy", np.zeros((1, 2)))
    (tmp_path / "annotations.txt").write_text("v=x__#1_label_B2-G-0 5 10 20 25\n")
    manifest, problems = build_dataset("xd-violence", tmp_path)
    rows = {v.video_id: (v.split, v.label, v.class_name) for v in manifest.videos}
    assert rows["v=x__#1_label_B2-G-0"] == ("test", 1, "Shooting")
    assert rows["y_label_A"] == ("test", 0, "Normal")
    assert rows["m1__#1_label_A"][1:] == (0, "Normal")
    assert len(rows) == 5
    assert kinds(problems) == ["note", "note"]  # no videos; and RGB/ doesn't say that it is for training


def test_avenue_numbers_and_wrong_calls(tmp_path):
    for n in range(1, 3):
        draw(tmp_path / "training_videos" / f"{n:02d}.avi.mp4", seed=n)
        (tmp_path / "training_videos" / f"{n:02d}.avi.mp4").rename(tmp_path / "training_videos" / f"{n:02d}.avi")
    (tmp_path / "avenue_frame_masks.csv").write_text("video_id,n_frames,events\nTest01,1439,77-83\n")
    manifest, problems = build_dataset("cuhk-avenue-official", tmp_path)
    assert manifest.by_id["Train02"].path.name == "02.avi"
    assert {"missing", "events"} <= set(kinds(problems))
    with pytest.raises(UsageError, match="no classes"):
        build_dataset("cuhk-avenue", tmp_path, class_name="x")
    with pytest.raises(ManifestError, match="weak split"):
        build_dataset("ucsd-ped1", tmp_path)
    with pytest.raises(UsageError, match="unknown dataset 'nope'"):
        build_dataset("nope", tmp_path)


def test_list_is_complete():
    names = [info.name for info in list_datasets()]
    assert len(set(names)) == len(names)
    for name in names:  # it is built by the name on its card
        with pytest.raises((ManifestError, UsageError)) as error:
            build_dataset(name, Path("nowhere"))
        assert "unknown dataset" not in str(error.value)
    assert {"folder", "ucf-crime", "xd-violence", "shanghaitech", "cuhk-avenue", "ucsd-ped1", "ucsd-ped2"} <= set(names)
    assert all(info.source and info.licence for info in list_datasets() if info.name != "folder")


@pytest.mark.parametrize("folder_name", ["ucf_crime", "annotation_formats"])
def test_real_ucf_crime(shared, folder_name):
    manifest, problems = build_dataset("ucf-crime", shared / "data" / folder_name)
    assert counts(manifest) == {("train", 0): 800, ("train", 1): 810, ("test", 0): 150, ("test", 1): 140}
    test = manifest.split("test")
    assert sum(video.n_frames for video in test) == 1_111_808
    positive = sum(min(end, video.n_frames) - start for video in test for start, end in video.events)
    assert positive == 84_182
    assert sum(problem.kind == "events" for problem in problems) == 5


@pytest.mark.parametrize(
    ("class_name", "train", "test"),
    [("Abuse", 48, 2), ("arson", 41, 9), ("Burglary", 87, 13), ("RoadAccidents", 127, 23), ("Stealing", 95, 5)],
)
def test_real_ucf_crime_by_class(shared, class_name, train, test):
    manifest, _ = build_dataset("ucf-crime", shared / "data" / "annotation_formats", class_name=class_name)
    assert counts(manifest) == {("train", 0): 271, ("train", 1): train, ("test", 0): 61, ("test", 1): test}


def test_real_ped2_and_fights(shared):
    manifest, problems = build_dataset("ucsd-ped2", shared / "data" / "ucsd_ped2")
    assert not problems
    assert counts(manifest) == {("train", 0): 4, ("train", 1): 6, ("test", 0): 12, ("test", 1): 6}
    published = read_table_split(shared / "data" / "ucsd_ped2" / "weak_split.csv")
    assert {video.video_id: video.split for video in manifest.videos} == published
    official, _ = build_dataset("ucsd-ped2-official", shared / "data" / "ucsd_ped2")
    assert counts(official) == {("train", 0): 16, ("train", 1): 0, ("test", 0): 0, ("test", 1): 12}


def test_real_lists_without_videos(shared):
    formats = shared / "data" / "annotation_formats"
    avenue, _ = build_dataset("cuhk-avenue", formats)
    assert {video.video_id: video.split for video in avenue.videos} == read_table_split(
        formats / "avenue_weak_split.csv"
    )
    assert counts(avenue) == {("train", 0): 10, ("train", 1): 14, ("test", 0): 6, ("test", 1): 7}
    shanghai, _ = build_dataset("shanghaitech", formats)
    assert counts(shanghai) == {("train", 0): 175, ("train", 1): 63, ("test", 0): 155, ("test", 1): 44}
    assert all(video.events for video in shanghai.split("test") if video.label)
    xd, _ = build_dataset("xd-violence", formats)
    assert counts(xd) == {("train", 0): 0, ("train", 1): 0, ("test", 0): 300, ("test", 1): 500}


@pytest.mark.slow
def test_real_fights(shared):
    manifest, problems = build_dataset("surveillance-fights", shared / "data" / "surveillance_fights")
    assert len(manifest.videos) == 210
    assert not problems
    assert len({video.group for video in manifest.videos}) > 20


def read_table_split(path):
    return dict(line.split(",")[:2] for line in path.read_text().splitlines()[1:])


def test_folder_takes_what_links_lead_to_and_says_what_it_leaves_out(tmp_path):
    root = tmp_path / "mine"
    draw(root / "elsewhere" / "a.mp4", seed=1)
    draw(root / "unlinked" / "x.mp4", seed=2)
    draw(tmp_path / "outside" / "b.mp4", seed=3)
    draw(root / "normal" / "c.mp4", seed=4)
    (root / "normal" / "batch").symlink_to("../elsewhere")
    (root / "normal" / "broken.mp4").symlink_to("nowhere.mp4")
    (root / "normal" / "notes.txt").write_text("no video")
    (root / "anomalous").symlink_to("../outside")
    manifest, problems = build_dataset("folder", root)
    assert sorted(manifest.by_id) == ["anomalous__b", "normal__batch__a", "normal__c"]
    text = "\n".join(str(problem).removeprefix(f"{root}: ") for problem in problems)
    assert text == (
        "left out 1, broken links: normal/broken.mp4\nleft out as no videos: 1 .txt\n"
        "unlinked/x.mp4: is neither below normal/ nor below anomalous/; left out"
    )


def test_folder_keeps_a_file_that_is_both_normal_and_anomalous_and_says_so(folder):
    (folder / "Anomalous" / "e.mp4").write_bytes((folder / "normal" / "a.mp4").read_bytes())
    (folder / "normal" / "z.mp4").write_bytes((folder / "normal" / "a.mp4").read_bytes())
    manifest, problems = build_dataset("folder", folder)
    assert {"Anomalous__e", "normal__a"} <= manifest.by_id.keys()
    assert "normal__z" not in manifest.by_id
    assert any("one is normal and one anomalous" in str(problem) for problem in problems)


def pictures(folder, n_frames=20, seed=0, suffix="tif"):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(1, n_frames + 1):
        Image.fromarray(rng.integers(0, 255, (24, 32), np.uint8)).save(folder / f"{number:03d}.{suffix}")


def test_ped2_as_it_is_published_is_pictures_beside_masks(tmp_path):
    for seed, name in enumerate(("Train/Train001", "Train/Train002", "Test/Test001", "Test/Test002")):
        pictures(tmp_path / name, 20, seed)
    pictures(tmp_path / "Test" / "Test001_gt", 20, 9, "bmp")
    (tmp_path / "Test" / "UCSDped2.m").write_text(
        "TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [11:20];\nTestVideoFile{end+1}.gt_frame = [5:10];\n"
    )
    manifest, problems = build_dataset("ucsd-ped2-official", tmp_path)
    found = {video.video_id: video for video in manifest.videos if video.path is not None}
    assert sorted(found) == ["Test001", "Test002", "Train001", "Train002"]
    assert found["Test001"].events == ((10, 20),)
    assert {video.fps for video in found.values()} == {10.0}
    assert {problem.kind for problem in problems} == {"missing", "events"}
    write_manifest(manifest, tmp_path / "manifest.csv")
    read = read_manifest(tmp_path / "manifest.csv").by_id["Test001"]
    assert isinstance(read.path, PictureFolder)
    assert read.path.fps == 10.0


def test_shanghaitech_as_it_is_published_is_pictures_and_videos(tmp_path):
    draw(tmp_path / "training" / "videos" / "01_001.mp4", 30, 24.0, 1)
    pictures(tmp_path / "testing" / "frames" / "01_0014", 40, 2, "jpg")
    (tmp_path / "testing" / "test_frame_mask").mkdir(parents=True)
    mask = np.zeros(40, np.int8)
    mask[8:16] = 1
    np.save(tmp_path / "testing" / "test_frame_mask" / "01_0014.npy", mask)
    (tmp_path / "weak_train.txt").write_text("01_001,0,29\n")
    (tmp_path / "weak_test.txt").write_text("01_0014,1,39\n")
    manifest, problems = build_dataset("shanghaitech", tmp_path)
    test = manifest.by_id["01_0014"]
    assert (test.n_frames, test.fps, test.events) == (40, 24.0, ((8, 16),))
    assert manifest.by_id["01_001"].path.name == "01_001.mp4"
    assert not [problem for problem in problems if problem.kind != "note"]


def test_folder_takes_pictures_at_the_rate_that_is_given_and_says_where_none_is(tmp_path):
    pictures(tmp_path / "normal" / "01_001", 20, 1, "jpg")
    pictures(tmp_path / "normal" / "copy", 20, 1, "jpg")
    pictures(tmp_path / "anomalous" / "fall" / "v.1", 20, 2, "png")
    manifest, problems = build_dataset("folder", tmp_path)
    assert {video.video_id: video.fps for video in manifest.videos} == {
        "anomalous__fall__v.1": 25.0,
        "normal__01_001": 25.0,
    }
    assert [str(problem) for problem in problems] == [
        "normal__copy: the same file as normal__01_001; left out",
        "2 videos are folders of pictures; they have no rate of their own and are taken at 25 a second: --fps says "
        "another",
    ]
    manifest, problems = build_dataset("folder", tmp_path, picture_fps=8)
    assert {video.fps for video in manifest.videos} == {8}
    assert len(problems) == 1
    assert not check_dataset(manifest)


def test_own_videos_in_ucf_crimes_lists(tmp_path):
    """Any suffix, capitals other than in the list, names with spaces, accents in two spellings."""
    names = ("arson901_x264.mkv", "Normal_Videos901_x264.MP4", "Normal_Videos902_X264.mp4", "My fire 01.mp4",
             "cafe\u0301 1.mp4", "left over.mp4")  # fmt: skip
    for seed, name in enumerate(names):
        draw(tmp_path / "videos" / name, 20, seed=seed)
    (tmp_path / "Train_Annotation.txt").write_text(
        "Arson/Arson901_x264.avi 20\nArson/My fire 01.mp4 20\nNormal/Normal_Videos902_x264.mp4 20\n"
        "Arson/caf\u00e9 1.mp4 20\n"
    )
    (tmp_path / "Test_Annotation.txt").write_text("Normal_Videos901_x264.MP4 Normal -1 -1 -1 -1\n")
    manifest, problems = build_dataset("ucf-crime", tmp_path)
    assert {v.video_id: (v.label, v.split, v.path.name) for v in manifest.videos} == {
        "Arson901_x264": (1, "train", "arson901_x264.mkv"),
        "My fire 01": (1, "train", "My fire 01.mp4"),
        "Normal_Videos902_x264": (0, "train", "Normal_Videos902_X264.mp4"),
        "caf\u00e9 1": (1, "train", "cafe\u0301 1.mp4"),
        "Normal_Videos901_x264": (0, "test", "Normal_Videos901_x264.MP4"),
    }
    assert [problem.message for problem in problems] == [
        "ucf-crime: 1 video files are in no annotation and left out: left over"
    ]


def test_ubnormal_as_it_is_published(tmp_path):
    scene = tmp_path / "UBnormal" / "Scene1"
    names = ("normal_scene_1_scenario_1", "normal_scene_1_scenario1_9", "abnormal_scene_1_scenario_1",
             "abnormal_scene_1_scenario_2_fog", "abnormal_scene_1_scenario_3")  # fmt: skip
    for seed, name in enumerate(names):
        draw(scene / f"{name}.mp4", 20, seed=seed)
    for name, tracks in (
        ("abnormal_scene_1_scenario_2_fog", "3,2,4\n7,4,9\n8,15.0,17.0\n"),
        ("abnormal_scene_1_scenario_1", "1,0,5"),
    ):
        notes = scene / f"{name}_annotations"
        notes.mkdir()
        (notes / f"{name}_tracks.txt").write_text(tracks)
        for i in range(20):
            Image.new("L", (32, 32)).save(notes / f"{name}_{i:04d}_gt.png")
    lists = tmp_path / "scripts"
    lists.mkdir()
    for file, names in {
        "normal_training": ["normal_scene_1_scenario_1"],
        "abnormal_training": ["abnormal_scene_1_scenario_1"],
        "abnormal_validation": ["abnormal_scene_1_scenario_3"],
        "normal_test": ["normal_scene_1_scenario1_9"],
        "abnormal_test": ["abnormal_scene_1_scenario_2_fog"],
    }.items():
        (lists / f"{file}_video_names.txt").write_text("\n".join(names))
    manifest, problems = build_dataset("ubnormal", tmp_path)
    assert {v.video_id: (v.split, v.label, v.events) for v in manifest.videos} == {
        "normal_scene_1_scenario_1": ("train", 0, ()),
        "abnormal_scene_1_scenario_1": ("train", 1, ((0, 6),)),
        "abnormal_scene_1_scenario_3": ("val", 1, ()),
        "normal_scene_1_scenario1_9": ("test", 0, ()),
        "abnormal_scene_1_scenario_2_fog": ("test", 1, ((2, 10), (15, 18))),
    }
    assert all(video.path.is_file() for video in manifest.videos)
    assert not problems
    (lists / "normal_test_video_names.txt").unlink()
    with pytest.raises(ManifestError, match="no list below"):
        build_dataset("ubnormal", scene)
