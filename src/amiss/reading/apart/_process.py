"""The side of the worker that asks: starts it, reads what it sends, and ends it where it is silent for too long.

Requests are lines of JSON on its standard input, `{"do": …}`; after each, `{}` gives it a place in the shared memory
for one more array. Answers are two lengths of four bytes, JSON, and bytes. Arrays lie in the shared memory. Nothing
that the worker sends is executed.
"""

import atexit
import json
import math
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.errors import AmissError
from amiss.reading._files import ReadError
from amiss.reading._values import shown
from amiss.reading.apart._bounds import decode_bounds
from amiss.storage import Url, located

Image = NDArray[np.uint8]

LENGTHS = struct.Struct("<II")
OWN_VARIABLES = ("AMISS_", "AWS_", "FSSPEC_", "GOOGLE_", "AZURE_")
"""Beginnings of variables of the environment that the worker gets with every request: bounds, and keys of stores."""
_KEPT = max(4, os.cpu_count() or 1)  # workers that wait for the next file
_STEP_S = 0.2
_NEVER = threading.Event()
_LONGEST = 1 << 28  # bytes of an answer
_SAID = 500  # bytes of what an unbounded worker said last, told where it ends without an answer
# With glibc's own choices each picture's memory goes back to the system and comes anew.
_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

_IS_POSSIBLE = sys.platform != "win32"  # there a process can't be given a descriptor, and has no limits


class NotStartedError(AmissError):
    """No process that decodes can be started: there are too many processes or open files, or too little memory."""


class EndedError(AmissError):
    """The process that decoded a file ended, or was silent for so long that it had to be ended."""


@dataclass(frozen=True)
class Message:
    """One answer."""

    kind: str
    values: dict[str, Any]
    data: bytes
    image: Image | None
    """In the shared memory: it holds until the next answer is asked for."""


class _Worker:
    """A process that decodes one file after the other; without bounds, one that does one thing alone."""

    def __init__(self, module: str, is_bounded: bool = True) -> None:
        self._said = None if is_bounded else tempfile.TemporaryFile()  # noqa: SIM115  # until `end`
        try:
            self._shared = os.memfd_create("amiss") if hasattr(os, "memfd_create") else _unnamed_file()
        except OSError as error:
            raise _not_started(error) from error
        self._map: mmap.mmap | None = None
        here = str(Path(__file__).parents[3])  # the folder of the package
        paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
        try:
            self.process = subprocess.Popen(
                # -P: no module comes from the folder in which the command was called.
                [sys.executable, "-P", "-m", "amiss.reading.apart", str(self._shared), str(os.getpid()), module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if self._said is None else self._said,
                pass_fds=(self._shared,),
                env={**os.environ, **(_ENVIRONMENT if is_bounded else {}), "PYTHONPATH": paths},
                bufsize=0,
                process_group=0,  # Ctrl-C is for the asker, which ends it
            )
        except OSError as error:
            os.close(self._shared)
            raise _not_started(error) from error
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._input, self._output = self.process.stdin.fileno(), self.process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)

    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self.process.poll() is None

    def send(self, request: dict[str, Any]) -> None:
        """A request, or a place for an array."""
        with suppress(BrokenPipeError):  # reading tells that it is gone
            os.write(self._input, json.dumps(request).encode() + b"\n")

    def receive(self, path: str, wait_s: float, stop: threading.Event) -> Message | None:
        """The next answer; None where `stop` is set before.

        Raises:
            EndedError: it ended, or none came for `wait_s`.
        """
        if not self._wait(path, wait_s, stop):
            return None
        n_json, n_data = LENGTHS.unpack(self._bytes(LENGTHS.size, path, wait_s))
        if n_json + n_data > _LONGEST:
            self.end()
            raise EndedError(f"{path}: the process that decodes it sent nonsense")
        text, data = self._bytes(n_json, path, wait_s), self._bytes(n_data, path, wait_s)
        try:
            values = json.loads(text)
            image = self._image(*values.pop("at")) if "at" in values else None
            return Message(values.pop("kind"), values, data, image)
        except Exception as error:  # whatever it says that it shouldn't
            self.end()
            raise EndedError(f"{path}: the process that decodes it sent nonsense ({error})") from error

    def _image(self, offset: int, shape: list[int]) -> Image:
        size = os.fstat(self._shared).st_size
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._shared, size)
        return np.frombuffer(self._map, np.uint8, prod(shape), offset).reshape(shape)

    def _wait(self, path: str, wait_s: float, stop: threading.Event) -> bool:
        """Until something comes; False where `stop` is set before."""
        until_s = time.monotonic() + wait_s
        while not self._poll.poll(_STEP_S * 1000):
            if stop.is_set():
                return False
            if time.monotonic() > until_s:
                self.end()
                raise EndedError(
                    f"{path}: decoding gave nothing for {wait_s:g} s and was ended; AMISS_DECODE_WAIT_S allows more"
                )
        return True

    def _bytes(self, count: int, path: str, wait_s: float) -> bytes:
        found = bytearray()
        while len(found) < count:
            self._wait(path, wait_s, _NEVER)
            part = os.read(self._output, min(count - len(found), 1 << 20))
            if not part:
                raise EndedError(self._ended(path))
            found += part
        return bytes(found)

    def _ended(self, path: str) -> str:
        how = self._how()
        if self._said is None:
            self.end()
            return f"{path} ended the process that decodes it ({how})"
        self._said.seek(-min(_SAID, self._said.seek(0, os.SEEK_END)), os.SEEK_END)
        said = shown(" ".join(self._said.read().decode(errors="replace").split()), quoted=False, most=_SAID)
        self.end()
        return f"the process of {path} ended early ({how}): {said or 'it said nothing'}"

    def _how(self) -> str:
        code = self.process.wait()
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"

    def end(self) -> None:
        """Now."""
        if self.process.stdin is None or self.process.stdin.closed:
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._said):
            if pipe is not None:
                pipe.close()
        os.close(self._shared)


def _not_started(error: OSError) -> NotStartedError:
    return NotStartedError(
        f"the process that decodes videos can't be started: {error.strerror or error}. End other processes, or allow "
        "more; AMISS_DECODE_WORKER=0 decodes without it, and without its bounds"
    )


def _unnamed_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


_idle: list[_Worker] = []
_lock = threading.Lock()


def _take(module: str) -> _Worker:
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.is_alive():
                return worker
            worker.end()
    return _Worker(module)


def _give(worker: _Worker) -> None:
    with _lock:
        if len(_idle) < _KEPT:
            _idle.append(worker)
            return
    worker.end()


@atexit.register
def _end_all() -> None:
    with _lock:
        while _idle:
            _idle.pop().end()


def is_used() -> bool:
    """Whether files are decoded by a worker: on systems that can bound one, unless it is said otherwise."""
    return _IS_POSSIBLE and decode_bounds().decode_worker


def warm_up(module: str) -> None:
    """Start a worker for the first file that comes, while other things are prepared.

    Args:
        module: that it will need.
    """
    if is_used() and not _idle:
        _give(_Worker(module))


def _here() -> str:
    """The folder that relative paths are meant from; empty where it was removed meanwhile."""
    with suppress(OSError):
        return str(Path.cwd())
    return ""


def run(
    do: str,
    request: dict[str, Any],
    path: str | os.PathLike[str],
    places: int = 0,
    stop: threading.Event = _NEVER,
    error: Callable[[str], Exception] = ReadError,
    is_bounded: bool = True,
) -> Generator[Message, None, None]:
    """Have something done, mostly to a file, and give what the worker says of it.

    Args:
        do: the function that works, `module:name`; given the Asker, the path and the request.
        request: what is asked.
        path: the file; where there is none, what is done, in words.
        places: arrays in the shared memory at once; they are given after the first answer.
        stop: ends it at once, and with it the worker.
        error: makes an error of what the worker says that is wrong with the file.
        is_bounded: its memory is, and the time between its answers. Without bounds, a process of its own does this and
            nothing else, after all others have had the processor; what it prints is told where it ends early.

    Raises:
        EndedError: the file ended the worker, or it was silent for too long.
        NotStartedError: there is no worker.
        Exception: `error`, with the system's number in its context where the system couldn't read.
    """
    bounds = decode_bounds()
    path = located(path)
    name = os.fspath(path)
    own = {key: value for key, value in os.environ.items() if key.startswith(OWN_VARIABLES)}
    address = path.address if isinstance(path, Url) else None
    whole = {**request, "do": do, "path": name, "address": address, "cwd": _here(), "environment": own}
    whole |= {"is_bounded": is_bounded}
    module = do.partition(":")[0]
    worker = _take(module) if is_bounded else _Worker(module, is_bounded=False)
    wait_s = bounds.decode_wait_s if is_bounded else math.inf
    is_ready = False  # for the next file
    try:
        worker.send(whole)
        message: Message | None = None
        while not stop.is_set():
            message = worker.receive(name, wait_s, stop)
            if message is None or message.kind == "end":
                break
            if message.kind == "error":
                is_ready = True
                wrong = error(message.values["text"])
                wrong.__context__ = OSError(message.values["errno"], "") if message.values["errno"] else None
                raise wrong
            if message.kind != "alive":
                yield message
            if message.kind == "begin":
                for _ in range(places):
                    worker.send({})
            elif message.image is not None:
                worker.send({})
        if message is not None and message.kind == "end":
            is_ready = True
            yield message
    finally:
        if is_ready and is_bounded:
            _give(worker)
        else:
            worker.end()
