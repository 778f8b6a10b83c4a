"""int8: networks quantised after training by NNCF, on clips of the user's. Made once, kept beside the weights.

The network's weights and what goes in and out of its layers become 8-bit integers, whose scales are chosen on clips
that are like those to come (post-training quantisation: Jacob et al., CVPR 2018, section 3; NNCF adds the correction of
biases of Nagel et al., ICCV 2019). Preprocessing and features stay float32.
"""

import contextlib
import hashlib
import importlib.util
import io
import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from torch import Tensor, nn

from amiss._version import __version__
from amiss.backbones import Backbone, find_weights
from amiss.engines._openvino_package import convert, last_line, load_openvino, load_untold, quiet_logs
from amiss.errors import UsageError, WeightsError
from amiss.files import atomic_path

FEWEST_CLIPS = 6
_FILES = ("model.xml", "model.bin")


@dataclass(frozen=True)
class QuantisedNetwork:
    """A quantised network, and what it comes to on clips that it wasn't made from.

    Attributes:
        file_name: Depends on the backbone and its weights; the engine looks for it.
        backbone: Registry name.
        content: OpenVINO's model: the bytes of its two files, by name.
        cosine: The least of its features with those of float32, over the clips.
        contrast: The same after the mean of float32 is taken from both: whether what tells clips apart is kept.
    """

    file_name: str
    backbone: str
    content: dict[str, NDArray[np.uint8]]
    cosine: float
    contrast: float

    def save(self, folder: Path) -> Path:
        """Write it where weights are looked for.

        Raises:
            OutputError: it can't be written.
        """
        facts = {"backbone": self.backbone, "amiss": __version__, "cosine": str(self.cosine)}
        path = folder / self.file_name
        with atomic_path(path) as temporary:
            temporary.write_bytes(save(self.content, facts))
        return path


def quantise(backbone: Backbone, clips: Sequence[Tensor]) -> QuantisedNetwork:
    """Quantise a network to int8: scales from two of three clips, agreement from the others.

    Args:
        backbone: with its weights; not a fusion, nor a formula.
        clips: of videos like those to come, at least 6, preprocessed: [C, 3, T', H', W']. Of each the first crop is
            taken; those of another size than the first clip's are left out.

    Raises:
        UsageError: too few clips of one size, NNCF or OpenVINO is not installed, or the network can't be converted.
    """
    name = backbone.spec.backbone
    nncf = _load_nncf()
    inputs = [clip[:1].numpy() for clip in clips if clip.shape == clips[0].shape]
    if len(inputs) < FEWEST_CLIPS:
        raise UsageError(f"{len(inputs)} clips of one size are too few to quantise {name}: give more or longer videos")
    unseen = inputs[2::3]
    seen = [x for i, x in enumerate(inputs) if i % 3 != 2]
    model = convert(backbone, inputs[0].shape)
    expected = _features(model, unseen)
    attends = any("attention" in type(module).__name__.lower() for module in backbone.modules())
    try:
        with quiet_logs(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            nncf.set_log_level(logging.ERROR)  # and no progress bars
            quantised = nncf.quantize(
                model, nncf.Dataset(seen), subset_size=len(seen),
                model_type=nncf.ModelType.TRANSFORMER if attends else None,
            )  # fmt: skip
    except Exception as error:  # it raises what it likes
        raise UsageError(f"{name} can't be quantised ({last_line(error)}): use another precision") from error
    found = _features(quantised, unseen)
    mean = expected.mean(axis=0)
    return QuantisedNetwork(
        int8_file_name(backbone),
        name,
        _content_of(quantised),
        cosine=float(_cosines(found, expected).min()),
        contrast=float(_cosines(found - mean, expected - mean).min()),
    )


def int8_file_name(backbone: Backbone) -> str:
    """Name of the file of a backbone's quantised network, for the weights that it has."""
    return f"{backbone.spec.backbone}-int8-{hash_tensors(backbone)[:16]}.safetensors"


def find_int8(backbone: Backbone) -> Path:
    """The file of a backbone's quantised network, in `$AMISS_WEIGHTS` or torch hub's cache.

    Raises:
        UsageError: there is none.
    """
    name = int8_file_name(backbone)
    try:
        return find_weights(name)
    except WeightsError as error:
        raise UsageError(
            f"{backbone.spec.backbone} with these weights was not quantised yet: `amiss weights quantise "
            f"{backbone.spec.backbone} VIDEOS` makes {name}; or put that file from another machine into $AMISS_WEIGHTS"
        ) from error


def read_int8(core: Any, path: Path, shape: tuple[int, ...]) -> Any:
    """A quantised network as OpenVINO's model for inputs of this shape.

    Raises:
        WeightsError: the file is damaged.
    """
    try:
        model, weights = (load_file(path)[name].tobytes() for name in _FILES)
        network = core.read_model(model, weights)
        network.reshape(list(shape))
    except Exception as error:  # damaged files raise anything
        raise WeightsError(
            f"{path} can't be read as a quantised network ({last_line(error)}): make it again with "
            "`amiss weights quantise`"
        ) from error
    return network


def hash_tensors(network: nn.Module) -> str:
    """SHA-256 over a network's tensors, as 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _load_nncf() -> Any:
    if importlib.util.find_spec("nncf") is None:
        raise UsageError("quantising needs NNCF: pip install 'amiss[int8]'")
    try:
        load_openvino()
        return load_untold("nncf")
    except Exception as error:  # a broken installation fails in many ways
        raise UsageError(f"NNCF can't be loaded ({last_line(error)}): reinstall it with `amiss[int8]`") from error


def _features(model: Any, inputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    request = load_openvino().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    return np.stack([np.array(request.infer([x])[0][0], float) for x in inputs])


def _cosines(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float64] = (a * b).sum(axis=1) / np.maximum(norms, np.finfo(float).tiny)
    return cosines


def _content_of(model: Any) -> dict[str, NDArray[np.uint8]]:
    with tempfile.TemporaryDirectory() as folder:
        load_openvino().save_model(model, Path(folder) / _FILES[0], compress_to_fp16=False)
        return {name: np.frombuffer((Path(folder) / name).read_bytes(), np.uint8) for name in _FILES}
