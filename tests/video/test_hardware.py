"""Decoding by NVDEC: what can be told of it without a GPU, and with one that it gives what the processor gives."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange

from amiss.backbones import create_backbone
from amiss.engines import create_engine
from amiss.errors import UsageError, VideoError
from amiss.features import extract_video
from amiss.video import ClipReader, VideoReader, use_decoder, video_bounds, why_no_nvdec
from amiss.video._rgb import RgbConverter
from helpers.command import amiss
from helpers.videos import write_video

HAS_GPU = torch.cuda.is_available()
without_gpu = pytest.mark.skipif(HAS_GPU, reason="there is a CUDA device")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMISS_DECODER", "cuda")


def test_only_known_decoders_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMISS_DECODER", "auto")
    use_decoder("cpu")
    assert video_bounds().decoder == "cpu"
    with pytest.raises(UsageError, match="decoder is 'gpu'; it must be auto, cpu or cuda"):
        use_decoder("gpu")


@without_gpu
def test_where_it_is_not_there_this_is_said_before_anything_is_done(tmp_path: Path) -> None:
    assert why_no_nvdec()
    with pytest.raises(UsageError, match=r"decoder cuda: NVDEC can't be used here \(.+\); leave it out, or choose cpu"):
        use_decoder("cuda")
    ran = amiss(
        "extract",
        write_video(tmp_path / "a.mp4", 20),
        "--backbone",
        "motion",
        "--out",
        tmp_path / "f",
        "--decoder",
        "cuda",
    )
    assert (ran.code, (tmp_path / "f").exists()) == (2, False)
    assert "error: decoder cuda: NVDEC can't be used here" in ran.err


@without_gpu
@pytest.mark.parametrize("apart", ["1", "0"])
@pytest.mark.usefixtures("cuda")
def test_a_file_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: str) -> None:
    monkeypatch.setenv("AMISS_DECODE_WORKER", apart)
    path = write_video(tmp_path / "a.mp4", 20)
    with pytest.raises(VideoError, match=r"a\.mp4: NVDEC can't be used here \(.+\); leave out decoder cuda"):
        ClipReader(path, 16, 16, "pad")


@pytest.mark.usefixtures("cuda")
def test_a_codec_that_it_does_not_have_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 20, codec="ffv1")
    with pytest.raises(VideoError, match=r"a\.mkv: NVDEC doesn't decode ffv1 video; leave out decoder cuda"):
        ClipReader(path, 16, 16, "pad")


@pytest.mark.parametrize("colour_range", [ColorRange.MPEG, ColorRange.JPEG])
def test_its_format_gives_the_same_colours(tmp_path: Path, colour_range: ColorRange) -> None:
    """NVDEC stores what the processor does in another order, of which libav by itself makes other colours."""
    blocks = np.random.RandomState(0).randint(0, 256, (3, 12, 16, 3)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    with av.open(str(write_video(tmp_path / "a.mp4", blocks))) as container:
        for picture in container.decode(video=0):
            picture.color_range = colour_range
            as_nvdec = picture.reformat(format="nv12")
            expected = RgbConverter(picture)(picture)
            assert np.array_equal(RgbConverter(as_nvdec)(as_nvdec), expected)
            assert np.abs(as_nvdec.to_ndarray(format="rgb24").astype(int) - expected).max() > 2


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="no CUDA device")
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_it_gives_what_the_processor_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_video(tmp_path / "a.mp4", 60, codec=codec, options=options)
    engine = create_engine(create_backbone("r3d_18", "random"), "cuda")
    found = []
    for decoder in ("cpu", "cuda"):
        monkeypatch.setenv("AMISS_DECODER", decoder)
        frames = [(frame.time_s, frame.image.astype(int)) for frame in VideoReader(path)]
        found.append((frames, extract_video(path, engine)))
    (cpu, of_cpu), (cuda, of_cuda) = found
    assert [time_s for time_s, _ in cpu] == [time_s for time_s, _ in cuda]
    assert max(np.abs(a - b).max() for (_, a), (_, b) in zip(cpu, cuda, strict=True)) <= 2
    a, b = of_cpu.features[:, 0], of_cuda.features[:, 0]
    assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 0.9999
