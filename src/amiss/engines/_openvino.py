"""OpenVINO engine: CPU, float32 or bfloat16. OpenVINO is imported when an engine is built."""

import hashlib
import importlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from amiss._version import __version__
from amiss.backbones import Backbone
from amiss.engines._base import Engine, Prepared
from amiss.errors import OutputError, UsageError
from amiss.files import atomic_path, cache_folder

_TYPICAL_FRAME = (240, 320)  # the network is compiled for it at once; most presets make one size of all frames
_SHAPES_KEPT = 3  # compiled networks, where frames keep their size


class OpenVINOEngine(Engine):
    """Runs a backbone in OpenVINO, one crop of one clip at a time.

    Networks are compiled for one shape of the input, so that a clip's features don't depend on others. What was
    compiled is kept in amiss's cache folder, under a name that depends on the weights, the network's source, the
    processor and the versions of what takes part.

    Raises:
        UsageError: OpenVINO can't be loaded, or can't convert or compile the network.
    """

    name = "openvino"

    def __init__(self, backbone: Backbone, precision: str = "fp32", threads: int | None = None) -> None:
        try:
            self._core = _package().Core()
        except Exception as error:  # a broken installation fails in many ways
            raise UsageError(
                f"OpenVINO can't be loaded ({_last_line(error)}): reinstall it, or use engine torch"
            ) from error
        self._backbone = backbone.to("cpu")
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # decoding needs the cores too
            **({"INFERENCE_NUM_THREADS": threads} if threads is not None else {}),
        }
        self._identity = _identity_of(self._backbone)
        self._requests: dict[tuple[int, ...], Any] = {}
        self.spec = backbone.spec
        self.device = "cpu"
        self.precision = precision
        blank = np.zeros((self.spec.clip_len, *_TYPICAL_FRAME, 3), np.uint8)
        self._request(tuple(self._backbone.preprocess(blank).shape[1:]))

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
                    f"({_last_line(error)}): use engine torch"
                ) from error
        return self._requests[shape]

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        processor = self._core.get_property("CPU", "FULL_DEVICE_NAME")
        instructions = sorted(self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        versions = [__version__, _package().__version__, torch.__version__]
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
        compiled = self._core.compile_model(self._converted(shape), "CPU", self._settings)
        try:
            _keep(compiled, path)
        except OutputError as error:
            warnings.warn(f"the compiled network isn't kept for next time: {error}", stacklevel=2)
        return compiled

    def _converted(self, shape: tuple[int, ...]) -> Any:
        root = logging.getLogger()
        state = root.level, root.filters[:], root.handlers[:]
        try:
            with warnings.catch_warnings(action="ignore"), torch.inference_mode():  # about tracing, which is meant
                example = torch.zeros(shape)
                return _package().convert_model(self._backbone, example_input=example, input=[list(shape)])
        except Exception as error:  # the converter raises what it likes
            raise UsageError(
                f"OpenVINO can't convert {self.spec.backbone} ({_last_line(error)}): use engine torch"
            ) from error
        finally:  # where conversion fails, OpenVINO would leave all logs of this process at ERROR
            root.setLevel(state[0])
            root.filters, root.handlers = state[1], state[2]


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _package() -> ModuleType:
    """OpenVINO without its telemetry, which would tell its makers of every conversion; it does without where absent."""
    with _hidden("openvino_telemetry"):
        return importlib.import_module("openvino")  # here, since it takes time and may be absent


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """As if a package weren't installed."""
    found = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if found is None:
            del sys.modules[package]
        else:
            sys.modules[package] = found


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
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    modules = {type(module).__module__ for module in network.modules()}
    for name in sorted(module for module in modules if not module.startswith("torch.")):
        if file := getattr(sys.modules.get(name), "__file__", None):
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()
