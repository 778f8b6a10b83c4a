"""OpenVINO engine: CPU, float32, bfloat16 or int8. OpenVINO is imported when an engine is built."""

import hashlib
import io
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from amiss._version import __version__
from amiss.backbones import Backbone
from amiss.engines._base import Engine, Prepared
from amiss.engines._int8 import find_int8, hash_tensors, read_int8, shape_of_int8
from amiss.engines._openvino_package import convert, last_line, load_openvino
from amiss.errors import Notice, OutputError, UsageError
from amiss.files import atomic_path, cache_folder, sha256_file

_TYPICAL_FRAME = (240, 320)  # the network is compiled for it at once; most presets make one size of all frames
_SHAPES_KEPT = 3  # compiled networks, where frames keep their size


class OpenVINOEngine(Engine):
    """Runs a backbone in OpenVINO, one crop of one clip at a time.

    Networks are compiled for one shape of the input, so that a clip's features don't depend on others. What was
    compiled is kept in amiss's cache folder, under a name that depends on the weights, the network's source, the
    processor and the versions of what takes part. In int8 the network is one that `quantise` made.

    Raises:
        UsageError: OpenVINO can't be loaded, or can't convert or compile the network; or it was never quantised.
        WeightsError: the quantised network is damaged.
    """

    name = "openvino"

    def __init__(self, backbone: Backbone, precision: str = "fp32", threads: int | None = None) -> None:
        try:
            self._core = load_openvino().Core()
        except Exception as error:  # a broken installation fails in many ways
            raise UsageError(
                f"OpenVINO can't be loaded ({last_line(error)}): reinstall it, or use engine torch"
            ) from error
        self._backbone = backbone.to("cpu")
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # decoding needs the cores too
            **({"INFERENCE_NUM_THREADS": threads} if threads is not None else {}),
        }
        self._int8 = find_int8(self._backbone) if precision == "int8" else None
        self._identity = sha256_file(self._int8) if self._int8 else _identity_of(self._backbone)
        self._requests: dict[tuple[int, ...], Any] = {}
        self.spec = backbone.spec
        self.device = "cpu"
        self.precision = precision
        blank = np.zeros((self.spec.clip_len, *_TYPICAL_FRAME, 3), np.uint8)
        shape = shape_of_int8(self._int8) if self._int8 else self._backbone.preprocess(blank).shape
        self._request(tuple(shape[1:]))

    @property
    def description(self) -> str:
        return super().description + (f" {self._identity[:8]}" if self._int8 else "")  # other clips, another network

    def prepare(self, frames: NDArray[np.uint8]) -> Prepared:
        with torch.inference_mode():
            return (self._backbone.preprocess(frames),)

    def run(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        rows = np.empty((len(prepared), self.spec.crops, self.spec.dim), np.float32)
        for row, (clip,) in zip(rows, prepared, strict=True):
            request = self._request(tuple(clip.shape[1:]))
            for features, x_KTHW in zip(row, clip.numpy(), strict=True):
                features[:] = request.infer([x_KTHW[None]], share_inputs=True, share_outputs=True)[0][0]
        return rows

    def _request(self, shape: tuple[int, ...]) -> Any:
        """What runs inputs [1, *shape]."""
        if shape not in self._requests:
            if len(self._requests) >= _SHAPES_KEPT:
                self._requests.pop(next(iter(self._requests)))
            try:
                self._requests[shape] = self._compiled((1, *shape)).create_infer_request()
            except RuntimeError as error:
                raise UsageError(
                    f"OpenVINO can't compile {self.spec.backbone} for an input of {(1, *shape)} "
                    f"({last_line(error)}): use engine torch"
                ) from error
        return self._requests[shape]

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        processor = self._core.get_property("CPU", "FULL_DEVICE_NAME")
        instructions = sorted(self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        versions = [__version__, load_openvino().__version__, torch.__version__]
        key = json.dumps([self._identity, shape, self._settings, processor, instructions, versions])
        name = f"{self.spec.backbone}-{self.precision}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.blob"
        path = cache_folder() / "openvino" / name
        try:
            return self._core.import_model(_read_kept(path), "CPU", self._settings)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, RuntimeError, ValueError) as error:
            first_line = str(error).splitlines()[0]
            warnings.warn(f"{path} can't be used ({first_line}): the network is compiled anew", stacklevel=2)
        frames, height, width = shape[2:]
        warnings.warn(
            f"{self.spec.backbone} is compiled for clips of {frames} frames of {width}x{height}, once on this machine: "
            "this takes seconds, for long clips minutes",
            Notice,
            stacklevel=2,
        )
        network = read_int8(self._core, self._int8, shape) if self._int8 else convert(self._backbone, shape)
        compiled = self._core.compile_model(network, "CPU", self._settings)
        try:
            _keep(compiled, path)
        except OutputError as error:
            warnings.warn(f"the compiled network isn't kept for next time: {error}", stacklevel=2)
        return compiled


def _keep(compiled: Any, path: Path) -> None:
    """Write a compiled network, behind the SHA-256 of its bytes: OpenVINO doesn't see a damaged weight."""
    stream = io.BytesIO()
    compiled.export_model(stream)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(hashlib.sha256(stream.getbuffer()).digest())
        file.write(stream.getbuffer())


def _read_kept(path: Path) -> bytes:
    with path.open("rb") as file:
        digest, content = file.read(hashlib.sha256().digest_size), file.read()
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("it is damaged")
    return content


def _identity_of(network: nn.Module) -> str:
    """SHA-256 over a network's tensors and the source files of its modules."""
    digest = hashlib.sha256(hash_tensors(network).encode())
    modules = {type(module).__module__ for module in network.modules()}
    for name in sorted(module for module in modules if not module.startswith("torch.")):
        if file := getattr(sys.modules.get(name), "__file__", None):
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()
