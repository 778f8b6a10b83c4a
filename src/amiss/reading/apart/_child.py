"""The side that is asked: reads files one after the other, until nobody asks any more."""

import importlib
import json
import mmap
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from amiss.errors import AmissError
from amiss.reading._files import ReadError
from amiss.reading.apart._bounds import decode_bounds
from amiss.reading.apart._process import LENGTHS, OWN_VARIABLES, Image
from amiss.storage import Url, while_waiting

_ALIVE_S = 1.0
_DESCRIPTORS = 64
_NICE = 5


class Asker:
    """Who asks: gets the answers, and says when there is a place for one more array."""

    def __init__(self, output: int, shared: int) -> None:
        self._output, self._shared = output, shared
        self._map: mmap.mmap | None = None
        self._placed: list[tuple[int, int]] = []  # address and offset of the arrays that were made last
        self._told_s = 0.0
        self.begin()

    def begin(self) -> None:
        """Another file: no place is free until the asker says so."""
        self._free = self._next = 0
        self._placed.clear()

    def requests(self) -> Any:
        """All that are asked, one after the other."""
        for line in sys.stdin.buffer:
            if (request := json.loads(line)).get("do"):
                yield request

    def tell(self, kind: str, data: bytes = b"", image: Image | None = None, **values: Any) -> None:
        """An answer."""
        if image is not None:
            address = image.__array_interface__["data"][0]
            offset = next(offset for known, offset in self._placed if known == address)
            values["at"] = offset, image.shape
        text = json.dumps({"kind": kind, **values}).encode()
        left = memoryview(LENGTHS.pack(len(text), len(data)) + text + data)
        while left:
            left = left[os.write(self._output, left) :]
        self._told_s = time.monotonic()

    def alive(self) -> None:
        """Something was decoded."""
        if time.monotonic() - self._told_s > _ALIVE_S:
            self.tell("alive")

    def place(self, shape: tuple[int, ...], places: int) -> Image:
        """An array in the shared memory, when there is a place for it."""
        while not self._free:
            line = sys.stdin.buffer.readline()
            if not line:
                sys.exit(0)
            self._free += 1
        self._free -= 1
        each = -(-prod(shape) // mmap.PAGESIZE) * mmap.PAGESIZE
        if self._map is None or len(self._map) < places * each:
            os.ftruncate(self._shared, places * each)
            self._map = mmap.mmap(self._shared, places * each)
        offset = (self._next % places) * each
        self._next += 1
        image: Image = np.frombuffer(self._map, np.uint8, prod(shape), offset).reshape(shape)
        self._placed.append((image.__array_interface__["data"][0], offset))
        del self._placed[:-places]
        return image


def _bound_itself() -> None:
    """Limits of the system, so that what goes wrong here ends here."""
    import resource

    bounds = decode_bounds()
    limits = {"RLIMIT_CORE": 0}
    if bounds.decoder != "cuda":  # NVDEC maps all memory of the GPU, and opens many devices
        limits |= {"RLIMIT_AS": bounds.decode_memory_mb << 20, "RLIMIT_NOFILE": _DESCRIPTORS}
    for name, value in limits.items():
        with suppress(ValueError, OSError, AttributeError):  # not on every system
            hard = resource.getrlimit(getattr(resource, name))[1]
            resource.setrlimit(getattr(resource, name), (value, hard))


def _give_way() -> None:
    """Others go first."""
    with suppress(AttributeError, OSError):
        os.nice(_NICE)


def _end_with(asker: int) -> None:
    """Where the asker was killed, what hangs here would hang for ever."""
    while os.getppid() == asker:
        time.sleep(_ALIVE_S)
    os._exit(1)


def main() -> None:
    """Work until nobody asks any more."""
    # Service managers tell these to all processes of a service; what becomes of this one is the asker's decision.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(int(sys.argv[2]),), daemon=True).start()
    importlib.import_module(sys.argv[3])
    output = os.dup(1)
    os.dup2(2, 1)
    asker = Asker(output, int(sys.argv[1]))
    for request in asker.requests():
        for name in [name for name in os.environ if name.startswith(OWN_VARIABLES)]:
            del os.environ[name]
        os.environ.update(request["environment"])
        asker.begin()
        with suppress(OSError):  # of Linux: where memory is short, this process goes first
            Path("/proc/self/oom_score_adj").write_text("1000")
        try:
            with suppress(OSError):
                os.chdir(request["cwd"])
            _bound_itself() if request["is_bounded"] else _give_way()
            module, _, name = request["do"].partition(":")
            path = Path(request["path"]) if request["address"] is None else Url(request["address"])
            with while_waiting(asker.alive):
                getattr(importlib.import_module(module), name)(asker, path, request)
        except (AmissError, ReadError) as error:
            asker.tell("error", text=str(error), errno=getattr(error, "errno", None))
        except MemoryError:
            allowed = decode_bounds().decode_memory_mb
            text = f"decoding needs more than {allowed} MB of memory; AMISS_DECODE_MEMORY_MB allows more"
            asker.tell("error", text=f"{request['path']}: {text}", errno=None)
