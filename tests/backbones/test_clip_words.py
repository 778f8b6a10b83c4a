"""CLIP for pictures and words, a tiny one of random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.backbones import ClipWords, find_clip
from amiss.errors import WeightsError
from helpers.tiny_clip import save_tiny_clip

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "clip-vit-base-patch16"
    save_tiny_clip(folder)
    return folder


def test_pictures_and_words_are_what_the_package_makes_of_them(folder: Path) -> None:
    clip = ClipWords(find_clip(folder))
    picture = np.random.RandomState(0).randint(0, 256, (32, 32, 3)).astype(np.uint8)  # one square, of the right size
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = torch.tensor((picture / 255 - mean) / std, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.inference_mode():
        both = model(**tokenizer("a fall", return_tensors="pt"), pixel_values=pixels)
    assert np.allclose(clip.of_picture(picture), both.image_embeds[0], atol=1e-5)
    assert np.allclose(clip.of_words("a fall"), both.text_embeds[0], atol=1e-5)
    assert clip.of_words("word " * 100).shape == (16,)


def test_what_is_at_the_sides_of_a_picture_counts(folder: Path) -> None:
    clip = ClipWords(folder)
    for shape in ((40, 120, 3), (120, 40, 3)):
        dark, at_side = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        at_side[-20:, -20:] = 255
        assert not np.allclose(clip.of_picture(dark), clip.of_picture(at_side), atol=1e-3)


def test_where_it_is_looked_for(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(WeightsError, match=r"save all files of openai/clip-vit-base-patch16 .* as search\.clip"):
        find_clip()
    with pytest.raises(WeightsError, match=r"holds no CLIP: it lacks config\.json"):
        find_clip(tmp_path)
    monkeypatch.setenv("AMISS_WEIGHTS", str(folder.parent))
    assert find_clip() == folder
    monkeypatch.delenv("AMISS_WEIGHTS")
    snapshot = tmp_path / "models--openai--clip-vit-base-patch32/snapshots/0123"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(folder)
    assert find_clip() == snapshot


def test_a_damaged_one_is_told(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(WeightsError, match="no CLIP that can be read"):
        ClipWords(find_clip(tmp_path))
