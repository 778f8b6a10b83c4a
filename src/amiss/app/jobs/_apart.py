"""Work in a process of its own: what goes wrong there, or is stopped, ends there.

The request is JSON on its standard input, its answers are lines of JSON: `{"progress": [done, total, what]}`,
`{"told": …}`, and at the end `{"result": …}` or `{"error": "…"}`.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any

from amiss.app.jobs._jobs import StoppedError, Work
from amiss.errors import AmissError
from amiss.reading import shown

_STEP_S = 0.2
_LAST_LINES = 5  # of what it said otherwise, told where it ends without an answer
_END_S = 5.0
_NICE = 5  # cameras go first
_LONGEST = 1 << 26  # bytes of an answer


class _SilenceError(RuntimeError):
    """The process ended without an answer."""


def run_apart(module: str, request: dict[str, Any], work: Work, on_told: Callable[[Any], None] = lambda _: None) -> Any:
    """Run a module that calls `answer`, and wait for its result.

    Args:
        module: its name.
        request: what it is asked; ready for JSON.
        work: is told of progress, and stops it.
        on_told: given what it tells on the way.

    Raises:
        StoppedError: it was stopped.
        AmissError: as it raised it there, or that it ended early.
    """
    here = str(Path(__file__).parents[3])  # the folder of the package
    paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
        process_group=0,  # Ctrl-C is for the asker, which ends it
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    said: deque[str] = deque(maxlen=_LAST_LINES)
    listener = Thread(target=_listen, args=(process.stderr, said), daemon=True)
    listener.start()
    try:
        with suppress(BrokenPipeError):  # reading tells that it is gone
            process.stdin.write(json.dumps(request).encode())
            process.stdin.close()
        return _follow(process.stdout, work, on_told)
    except _SilenceError:
        code = process.wait()
        listener.join(_END_S)
        text = shown(" ".join(said), quoted=False, most=500) if said else "it said nothing"
        raise AmissError(f"the process of this job ended early (exit code {code}): {text}") from None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        listener.join(_END_S)


def _follow(output: IO[bytes], work: Work, on_told: Callable[[Any], None]) -> Any:
    rest = b""
    while True:
        if work.stop.is_set():
            raise StoppedError
        if not select.select([output], [], [], _STEP_S)[0]:
            continue
        part = os.read(output.fileno(), 1 << 16)
        if not part or len(rest) > _LONGEST:
            raise _SilenceError
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "progress" in message:
                work.progress(*message["progress"])
            elif "told" in message:
                on_told(message["told"])
            elif "error" in message:
                raise AmissError(message["error"])
            else:
                return message["result"]


def _listen(stream: IO[bytes], said: deque[str]) -> None:
    with stream:
        for line in stream:
            said.append(line.decode(errors="replace").strip())


class Asker:
    """Whom `answer` works for."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output = output

    def progress(self, done: float, total: float, what: str = "") -> None:
        """How far it is; an `OnProgress`."""
        self._say({"progress": [done, total, what]})

    def tell(self, told: Any) -> None:
        """Something on the way; ready for JSON."""
        self._say({"told": told})

    def _say(self, message: dict[str, Any]) -> None:
        self._output.write(json.dumps(message).encode() + b"\n")
        self._output.flush()


def answer(does: Callable[[dict[str, Any], Asker], Any]) -> None:
    """The process's side: read the request, do it, say what came of it. Nothing else may write to its output."""
    with suppress(AttributeError, OSError):
        os.nice(_NICE)
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print isn't an answer
    asker = Asker(output)
    try:
        asker._say({"result": does(json.load(sys.stdin), asker)})
    except BrokenPipeError:  # nobody asks any more
        return
    except AmissError as error:
        asker._say({"error": str(error)})
