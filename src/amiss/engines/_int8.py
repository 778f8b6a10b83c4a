"""int8: networks quantised after training by NNCF, on clips of the user's. Made once, kept beside the weights.

The network's weights and what goes in and out of its layers become 8-bit integers, whose scales are chosen on clips
that are like those to come (post-training quantisation: Jacob et al., CVPR 2018, section 3; NNCF adds the correction of
biases of Nagel et al., ICCV 2019). Preprocessing and features stay float32.
"""

import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor, nn

from amiss.backbones import Backbone, find_weights
from amiss.engines._openvino_package import convert, last_line, load_openvino, load_untold, quiet_logs
from amiss.errors import UsageError, WeightsError, how_to_install
from amiss.files import atomic_path

FEWEST_CLIPS = 6
_FILES = ("model.xml", "model.bin")


@dataclass(frozen=True)
class QuantisedNetwork:
    """A quantised network, and what it comes to on clips that it wasn't made from."""

    file_name: str
    """Depends on the backbone, its weights and its preprocessing; the engine looks for it."""
    shape: tuple[int, ...]
    """Of its input, [1, 3, T, H, W]: its scales, and what it pads, are for this one."""
    content: dict[str, NDArray[np.uint8]]
    """OpenVINO's model: the bytes of its two files, by name."""
    cosine: float
    """The least of its features with those of float32, over the clips."""
    contrast: float
    """The same after the mean of float32 is taken from both: whether what tells clips apart is kept."""

    def save(self, folder: Path) -> Path:
        """Write it where weights are looked for.

        Raises:
            OutputError: it can't be written.
        """
        facts = {"shape": json.dumps(self.shape), "sha256": _sha256(self.content)}
        path = folder / self.file_name
        with atomic_path(path) as temporary:
            temporary.write_bytes(save(self.content, facts))
        return path


def quantise(backbone: Backbone, clips: Sequence[Tensor]) -> QuantisedNetwork:
    """Quantise a network to int8: scales from two thirds of the clips, agreement from the others, drawn by lot.

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
    drawn = [inputs[i] for i in np.random.default_rng(0).permutation(len(inputs))]
    unseen, seen = drawn[: len(drawn) // 3], drawn[len(drawn) // 3 :]
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
    mean = expected.mean(dim=0)
    return QuantisedNetwork(
        int8_file_name(backbone),
        tuple(inputs[0].shape),
        _content_of(quantised),
        cosine=float(F.cosine_similarity(found, expected).min()),
        contrast=float(F.cosine_similarity(found - mean, expected - mean).min()),
    )


def int8_file_name(backbone: Backbone) -> str:
    """Name of the file of a backbone's quantised network, for its weights and its preprocessing."""
    spec = backbone.spec
    seen = [spec.sampled, spec.resize, spec.crop, spec.mean, spec.std, spec.value_range, spec.colour]
    digest = hashlib.sha256(json.dumps([hash_tensors(backbone), seen]).encode()).hexdigest()
    return f"{spec.backbone}-int8-{digest[:16]}.safetensors"


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
            f"{backbone.spec.backbone} with these weights and this preset was not quantised yet: `amiss weights "
            f"quantise {backbone.spec.backbone} VIDEOS` makes {name}; or put that file from another machine into "
            "$AMISS_WEIGHTS"
        ) from error


def shape_of_int8(path: Path) -> tuple[int, ...]:
    """The input, [1, 3, T, H, W], that a quantised network was made for.

    Raises:
        WeightsError: the file is damaged.
    """
    try:
        with safe_open(path, "numpy") as file:
            return tuple(map(int, json.loads(file.metadata()["shape"])))
    except Exception as error:  # damaged files raise anything
        raise _damaged(path, last_line(error)) from error


def read_int8(core: Any, path: Path, shape: tuple[int, ...]) -> Any:
    """A quantised network as OpenVINO's model.

    Raises:
        UsageError: it was made for inputs of another shape.
        WeightsError: the file is damaged.
    """
    made_for = shape_of_int8(path)
    if shape != made_for:
        raise UsageError(
            f"{path} was made for an input of {made_for}, not {shape}: quantise again with videos of this size, or use "
            "another precision"
        )
    try:
        with safe_open(path, "numpy") as file:
            content = {name: file.get_tensor(name) for name in _FILES}
            if file.metadata()["sha256"] != _sha256(content):  # OpenVINO doesn't see a damaged weight
                raise ValueError("its content has changed")
        return core.read_model(*(content[name].tobytes() for name in _FILES))
    except Exception as error:  # damaged files raise anything
        raise _damaged(path, last_line(error)) from error


def _damaged(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"{path} can't be read as a quantised network ({reason}): make it again with `amiss weights quantise`"
    )


def _sha256(content: Mapping[str, NDArray[np.uint8]]) -> str:
    return hashlib.sha256(b"".join(content[name].tobytes() for name in _FILES)).hexdigest()


def hash_tensors(network: nn.Module) -> str:
    """SHA-256 over a network's tensors, as 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _load_nncf() -> Any:
    if importlib.util.find_spec("nncf") is None:
        raise UsageError(f"quantising needs NNCF: {how_to_install('int8')}")
    try:
        load_openvino()
        return load_untold("nncf")
    except Exception as error:  # a broken installation fails in many ways
        raise UsageError(
            f"NNCF can't be loaded ({last_line(error)}): reinstall it: {how_to_install('int8')}"
        ) from error


def _features(model: Any, inputs: Sequence[NDArray[np.float32]]) -> Tensor:
    """[N, D], float64."""
    request = load_openvino().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    return torch.from_numpy(np.stack([np.array(request.infer([x])[0][0], float) for x in inputs]))


def _content_of(model: Any) -> dict[str, NDArray[np.uint8]]:
    with tempfile.TemporaryDirectory() as folder:
        load_openvino().save_model(model, Path(folder) / _FILES[0], compress_to_fp16=False)
        return {name: np.frombuffer((Path(folder) / name).read_bytes(), np.uint8) for name in _FILES}
