"""Tables and lists as people, pandas, Excel and Windows write them: taken where there is no doubt, else one line."""

from pathlib import Path

import pytest

from amiss.datasets import Video, read_manifest, read_shanghaitech, read_table, read_ucf, read_xd
from amiss.errors import ManifestError

PLAIN = "video_id,split,label\na,train,0\nb,train,1\n"
VIDEOS = (Video(video_id="a", split="train", label=0), Video(video_id="b", split="train", label=1))


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        "sep=;\n" + PLAIN.replace(",", ";"),
        '"sep=;"\n' + PLAIN.replace(",", ";"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\n\n" + PLAIN,
        ",video_id,split,label\n0,a,train,0\n1,b,train,1\n",
        "Unnamed: 0,video_id,split,label\n0,a,train,0\n7,b,train,1\n",
        '"",video_id,split,label\n1,a,train,0\n2,b,train,1\n',
        ";video_id;split;label\n0;a;train;0\n1;b;train;1\n",
        "video_id,split,label,,\na,train,0,,\nb,train,1,,\n,,,,\n",
        "video_id,split,label\na,train,0,,\nb,train,1,\n",
        "Video ID,Split,Label\na,Train,0\nb,TRAIN,1\n",
        "video_id,split,label\na,train,0.0\nb,train,1.0\n",
        "video_id,split,label\na,train,False\nb,train,True\n",
        '"video_id","split","label"\n"a","train","0"\n"b","train","1"\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_one_table_in_many_dresses(tmp_path: Path, text: str, encoding: str) -> None:
    assert read_manifest(write(tmp_path, text, encoding)).videos == VIDEOS


def test_numbers_as_spreadsheets_and_pandas_write_them(tmp_path: Path) -> None:
    (a,) = read_manifest(write(tmp_path, "video_id;split;label;n_frames;fps\na;train;0;60.0;29,97\n")).videos
    assert (a.n_frames, a.fps) == (60, 29.97)
    (b,) = read_table(write(tmp_path, "video_id,n_frames,label,fps\nb,6e1,1.0,25.0\n"))
    assert (b.n_frames, b.label, b.fps) == (60, 1, 25.0)


def test_paths_of_windows(tmp_path: Path) -> None:
    (tmp_path / r"odd\name.mp4").touch()
    text = "video_id,split,label,path\na,train,0,videos\\normal\\a.mp4\nb,train,0,odd\\name.mp4\n"
    a, b = read_manifest(write(tmp_path, text)).videos
    assert (a.path, b.path) == (tmp_path / "videos" / "normal" / "a.mp4", tmp_path / r"odd\name.mp4")
    drive = "video_id,split,label,path\na,train,0,C:\\data\\a.avi\nb,train,0,C:\\data\\b.avi\n"
    with pytest.warns(UserWarning, match=r"line 2: path .*a\.avi' is of a drive of Windows, as 1 more, .* relative to"):
        read_manifest(write(tmp_path, drive))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"video_id,split,label\n\xfcber,train,0\n", r"line 2 is not UTF-8 \(byte 0xfc\): save it as UTF-8"),
        (b"video_id,split,label\na\0b,train,0\n", "line 2 has a NUL character"),
        (b"video_id,split,label\na\x07b,train,0\n", r"line 2: video_id 'a\\x07b' has control characters"),
        (b"video_id,split,label\n" + b"a" * 200_000 + b",train,0\n", "line 2: a value has more than 131072 characters"),
        (b"video_id,split,label\n" + b"a" * 9000 + b",train,0\n", r"line 2: video_id 'a{60,90}… has 9000 characters"),
        (b'video_id,split,label\n"a,train,0\nb,train,1\n', r"line \d: 1 values for 3 columns"),
        (b"video_id,,label,split\na,x,0,train\n", "line 1: column 2 has no name: name it, or remove it"),
        (b",video_id,split,label\nx,a,train,0\n", "line 1: column 1 has no name"),
        (b"video_id,split,label\na,train,0,left\n", "line 2: 4 values for 3 columns"),
        (
            b"id,split,label\na,train,0\n",
            r"columns \['video_id'\] are missing; .* and names \['id', 'split', 'label'\]",
        ),
        (b"video_id,split,label,n_frames\na,train,0,60.5\n", "line 2: n_frames is '60.5'; it must be a whole number"),
        (b"video_id;split;label;fps\na;train;0;23,976\n", "line 2: fps is '23,976': write 23.976 or 23976"),
        (b"video_id,split,label,events,fps\na,test,1,1.2-2.0,30\n", "line 2: .* looks like seconds; .* 36-60 at 30"),
        (b"video_id,split,label,events\na,test,1,0:01:20-0:01:30\n", "line 2: .* seconds; .* 2000-2250 at 25 frames"),
        (b"video_id,split,label,events\na,test,1,80s-90s\n", "line 2: .* looks like seconds"),
        (
            b"video_id,split,label,path\na,test,1," + b"a" * 3000 + b"\n",
            "line 2: path is 'a{60,90}…: File name too long",
        ),
    ],
)
def test_what_is_in_doubt_is_one_line(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(text)
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_names_in_lists_have_any_suffix_and_spaces(tmp_path: Path) -> None:
    text = (
        "Arson/Arson901_x264.mkv 60\n"
        "Arson/My fire 01.MP4 60.0\n"
        '"Videos/Normal/My walk 2.Mov" 70\n'
        "Training_Normal_Videos_Anomaly\\door 3.avi\n"
        "Normal_Videos901_x264.MP4 normal -1 -1 -1 -1\n"
        "Abuse028_x264.mp4,Abuse,165,240,-1,-1\n"
        "Our thing/walk 1.ts 100 Brawl 10.0 20.0\n"
    )
    rows = read_ucf(write(tmp_path, text, "utf-16"))
    assert [(one.video_id, one.class_name, one.label, one.n_frames, one.events) for one in rows] == [
        ("Arson901_x264", "Arson", 1, 60, ()),
        ("My fire 01", "Arson", 1, 60, ()),
        ("My walk 2", "Normal", 0, 70, ()),
        ("door 3", "Normal", 0, None, ()),
        ("Normal_Videos901_x264", "Normal", 0, None, ()),
        ("Abuse028_x264", "Abuse", 1, None, ((165, 240),)),
        ("walk 1", "Brawl", 1, 100, ((10, 20),)),
    ]
    (xd,) = read_xd(write(tmp_path, "A film #1__label_B2-G-0.mp4 10 20 -1 -1\n"))
    assert (xd.video_id, xd.class_name, xd.events) == ("A film #1__label_B2-G-0", "Shooting", ((10, 20),))
    for text in ("01_001.avi,0,764\nmy cam 2,1,-1\n", "01_001;0;764\nmy cam 2;1.0;-1.0\n", "01_001 0 764\nmy_cam 1\n"):
        first, second = read_shanghaitech(write(tmp_path, text))
        assert (first.video_id, first.label, first.n_frames) == ("01_001", 0, 765)
        assert (second.video_id.replace("_", " ")[:6], second.label, second.n_frames) == ("my cam"[:6], 1, None)


@pytest.mark.parametrize("line", ["a" * 300_000, "a " * 100_000, "a,1," * 50_000, '"' * 100_000, ".mp4 " * 60_000])
@pytest.mark.parametrize("read", [read_ucf, read_xd, read_shanghaitech])
def test_long_lines_are_refused_at_once(tmp_path: Path, line: str, read) -> None:
    with pytest.raises(ManifestError) as caught:
        read(write(tmp_path, line))
    assert len(str(caught.value)) < 600
