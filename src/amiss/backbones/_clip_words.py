"""CLIP for pictures and words (Radford et al., ICML 2021): both become vectors of one space, compared by the cosine.

A folder as Hugging Face keeps it: config.json, the weights, the tokenizer's files. Nothing is downloaded.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._transformers import CLIP_COLOURS, transformers_package
from amiss.backbones.weights import hugging_face_cache, weights_folders
from amiss.errors import WeightsError
from amiss.files import sha256_file

_NAMES = ("clip-vit-base-patch16", "clip-vit-base-patch32", "clip-vit-large-patch14")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
_VIEWS = 3


def find_clip(folder: Path | None = None) -> Path:
    """The folder of a CLIP on this machine: this one, or of a known name in `$AMISS_WEIGHTS` or Hugging Face's cache.

    Raises:
        WeightsError: there is none, or it lacks files.
    """
    if folder is not None:
        if lacking := _lacking(folder):
            raise WeightsError(f"{folder} holds no CLIP: it lacks {lacking}")
        return folder
    for name in _NAMES:
        places = [place / name for place in weights_folders()]
        places += sorted((hugging_face_cache() / f"models--openai--{name}" / "snapshots").glob("*"))
        for place in places:
            if not _lacking(place):
                return place
    raise WeightsError(
        f"there are no CLIP weights on this machine: save all files of openai/{_NAMES[0]} from huggingface.co in "
        f"{weights_folders()[0] / _NAMES[0]}, or name their folder as search.clip in the configuration"
    )


def _lacking(folder: Path) -> str:
    """What a folder lacks to hold a CLIP; empty: nothing."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not any((folder / name).is_file() for name in _WEIGHTS):
        return " or ".join(_WEIGHTS)
    if not any(all((folder / name).is_file() for name in names) for names in _TOKENIZERS):
        return "tokenizer.json"
    return ""


class ClipWords:
    """A CLIP that sees pictures and reads words. Its methods may be called from any thread.

    Args:
        folder: see `find_clip`.

    Raises:
        WeightsError: its files can't be read, or are of another network.
        UsageError: the package `transformers` is missing.
    """

    def __init__(self, folder: Path) -> None:
        package = transformers_package()
        weights = next(folder / name for name in _WEIGHTS if (folder / name).is_file())
        try:
            model = package.CLIPModel.from_pretrained(folder, local_files_only=True, output_loading_info=True)
            self._tokenizer = package.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # whatever the package makes of a damaged file
            raise WeightsError(f"{folder} holds no CLIP that can be read: {str(error).splitlines()[0]}") from error
        self._model, report = model
        if report["missing_keys"]:
            raise WeightsError(f"{weights} lacks {len(report['missing_keys'])} tensors of a CLIP")
        self._model.eval().requires_grad_(False)
        self.kind = f"clip-{sha256_file(weights)[:16]}"
        """Vectors of one kind can be compared."""
        side = self._model.config.vision_config.image_size
        self._prepare = Preprocessing(resize=side, interpolation="bicubic", antialias=True, crop=side, **CLIP_COLOURS)
        self._longest = self._model.config.text_config.max_position_embeddings
        self._alone = threading.Lock()

    def of_picture(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A picture [H, W, 3] RGB → its vector [D], of length 1: the mean of three squares along its longer side."""
        squares = torch.stack([self._prepare(square[None])[0, :, 0] for square in _squares(picture)])
        with self._alone, torch.inference_mode():
            seen = self._model.visual_projection(self._model.vision_model(pixel_values=squares).pooler_output)
        return _direction(torch.nn.functional.normalize(seen, dim=-1).mean(0))

    def of_words(self, words: str) -> NDArray[np.float32]:
        """Words → their vector [D], of length 1. What is too long is cut."""
        with self._alone, torch.inference_mode():
            tokens = self._tokenizer(words, truncation=True, max_length=self._longest, return_tensors="pt")
            read = self._model.text_projection(self._model.text_model(**tokens).pooler_output)
        return _direction(read[0])


def _direction(vector: torch.Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = torch.nn.functional.normalize(vector.float(), dim=-1).numpy()
    return found


def _squares(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """At the beginning, in the middle and at the end: what is at a picture's sides counts, too."""
    height, width = picture.shape[:2]
    side, longer = min(height, width), max(height, width)
    starts = np.unique(np.linspace(0, longer - side, _VIEWS).astype(int)).tolist()
    if width >= height:
        return [picture[:, start : start + side] for start in starts]
    return [picture[start : start + side] for start in starts]
