"""OpenVINO itself, which is optional, and networks converted for it."""

import importlib
import importlib.util
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any

import torch

from amiss.backbones import Backbone
from amiss.errors import UsageError

_TELEMETRY = "openvino_telemetry"
_ONE_AT_A_TIME = threading.RLock()


def load_openvino() -> ModuleType:
    """The package, without its telemetry, which would tell its makers of every conversion."""
    return load_untold("openvino")


def load_untold(name: str) -> ModuleType:
    """Import a package that does without OpenVINO's telemetry where that isn't installed, as if it weren't."""
    found = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(name)
    finally:
        if found is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = found


def openvino_version() -> str | None:
    """Version of the OpenVINO that is installed (`unknown` where it doesn't tell), or None."""
    if importlib.util.find_spec("openvino") is None:
        return None
    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:  # its nightly build is a distribution of another name
        pass
    try:
        return str(getattr(load_openvino(), "__version__", "unknown"))
    except Exception:  # a broken installation; an engine that is built says what is wrong
        return "unknown"


def convert(backbone: Backbone, shape: tuple[int, ...]) -> Any:
    """A network as OpenVINO's model, for inputs [1, 3, T, H, W] of one shape.

    Raises:
        UsageError: OpenVINO can't convert it.
    """
    try:
        with quiet_logs(), warnings.catch_warnings(action="ignore"), torch.inference_mode():  # tracing is meant
            decoder = importlib.import_module("openvino.frontend.pytorch.ts_decoder").TorchScriptPythonDecoder
            # Tracing would run the network three times more to check itself; the tests compare features instead.
            traced = decoder(backbone, example_input=torch.zeros(shape), trace_kwargs={"check_trace": False})
            return load_openvino().convert_model(traced, example_input=torch.zeros(shape), input=[list(shape)])
    except Exception as error:  # the converter raises what it likes
        raise UsageError(
            f"OpenVINO can't convert {backbone.spec.backbone} ({last_line(error)}): use engine torch"
        ) from error


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Where conversion fails, OpenVINO would leave all logs of this process at ERROR.

    One thread at a time: two that overlap would restore what the other one had changed.
    """
    root = logging.getLogger()
    with _ONE_AT_A_TIME:
        state = root.level, root.filters[:], root.handlers[:]
        try:
            yield
        finally:
            root.setLevel(state[0])
            root.filters, root.handlers = state[1], state[2]


def last_line(error: Exception) -> str:
    """What an error says at its end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
