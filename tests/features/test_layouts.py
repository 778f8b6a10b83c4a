"""Import of other projects' feature files."""

from pathlib import Path

import numpy as np
import pytest

from amiss.backbones import published_spec
from amiss.errors import FeatureError, UsageError
from amiss.features import import_features, list_layouts, open_feature_set

SEGMENTS, DIM = 32, 12


def write_codes(path: Path, n: int = 3, **changes: object) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "codes": rng.integers(0, 256, (n, SEGMENTS, DIM), dtype=np.uint8),
        "low": rng.normal(size=(n, SEGMENTS)).astype(np.float32),
        "high": 5 + rng.random((n, SEGMENTS)).astype(np.float32),
        "video_ids": np.array([f"video{i}" for i in range(n)]),
    }
    arrays |= changes
    np.savez_compressed(path, **arrays)
    return arrays


def test_c3d_codes_are_recognised_and_decoded(tmp_path: Path) -> None:
    arrays = write_codes(tmp_path / "codes.npz")
    assert import_features(tmp_path / "codes.npz", tmp_path / "out") == 3
    features = open_feature_set(tmp_path / "out")
    assert (features.spec.backbone, features.spec.segments, features.spec.pooling) == ("c3d", SEGMENTS, "norm")
    assert list(features.records) == ["video0", "video1", "video2"]
    for i in range(3):
        low, high = arrays["low"][i][:, None], arrays["high"][i][:, None]
        expected = low + arrays["codes"][i] / 255 * (high - low)
        np.testing.assert_allclose(features.load(f"video{i}")[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_import_again_adds_nothing(tmp_path: Path) -> None:
    write_codes(tmp_path / "codes.npz")
    import_features(tmp_path / "codes.npz", tmp_path / "out")
    index = (tmp_path / "out" / "index.jsonl").read_text()
    assert import_features(tmp_path / "codes.npz", tmp_path / "out", "c3d-codes") == 3
    assert (tmp_path / "out" / "index.jsonl").read_text() == index


def test_real_c3d_codes(shared: Path, tmp_path: Path) -> None:
    """The real file has the codes' header that the reader expects; one video is compared."""
    from amiss.features._layout_c3d_codes import LAYOUT
    from amiss.features._layouts import ImportedVideo, Source

    path = shared / "data" / "ucf_crime" / "c3d_features.npz"
    assert LAYOUT.recognises(path)
    spec = LAYOUT.spec(Source(path))
    assert (spec.dim, spec.segments, spec.with_(segments=None)) == (
        4096,
        32,
        published_spec("c3d", preset="nevinbaiju").with_(pooling="norm"),
    )
    video = next(LAYOUT.videos(Source(path)))
    assert isinstance(video, ImportedVideo)
    with np.load(path) as arrays:
        assert video.video_id == arrays["video_ids"][0]
        low, high = arrays["low"][0][:, None], arrays["high"][0][:, None]
        np.testing.assert_allclose(video.features[:, 0], low + arrays["codes"][0] / 255 * (high - low), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": np.zeros((3, 32, 12), np.float32)}, "codes.*expected uint8"),
        ({"codes": np.zeros((3, 12), np.uint8)}, "codes.*expected uint8"),
        ({"low": np.zeros((2, 32), np.float32)}, r"low \(2, 32\)"),
        ({"video_ids": np.array(["a", "b"])}, "video_ids"),
        ({"video_ids": np.array([{}, {}, {}])}, "video_ids"),
    ],
)
def test_damaged_codes_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    write_codes(tmp_path / "codes.npz", **changes)
    with pytest.raises(FeatureError, match=message):
        import_features(tmp_path / "codes.npz", tmp_path / "out")


def test_codes_beyond_the_bound_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_codes(tmp_path / "codes.npz", low=np.zeros((3, 500_000), np.float32))
    monkeypatch.setenv("AMISS_MAX_ARRAY_MB", "1")
    with pytest.raises(FeatureError, match="its arrays take 6 MB, more than AMISS_MAX_ARRAY_MB = 1"):
        import_features(tmp_path / "codes.npz", tmp_path / "out")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "codes.npz"
    write_codes(path, n=40)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 64] = b"\0" * 64
    path.write_bytes(data)
    with pytest.raises(FeatureError, match=r"damaged|can't be read"):
        import_features(path, tmp_path / "out")


def test_unknown_sources_and_layouts(tmp_path: Path) -> None:
    assert "c3d-codes" in list_layouts()
    (tmp_path / "notes.txt").write_text("no features")
    with pytest.raises(FeatureError, match="in no known layout"):
        import_features(tmp_path / "notes.txt", tmp_path / "out")
    with pytest.raises(FeatureError, match="can't be read"):
        import_features(tmp_path / "notes.txt", tmp_path / "out", "c3d-codes")
    with pytest.raises(FeatureError, match="does not exist"):
        import_features(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(UsageError, match="Did you mean 'c3d-codes'"):
        import_features(tmp_path / "notes.txt", tmp_path / "out", "c3d-code")
    assert not (tmp_path / "out").exists()
