"""Web servers: with parts and without, signed addresses, and where a server may lead."""

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from amiss.backbones import FeatureSpec
from amiss.features import FeatureSetWriter, open_feature_set
from amiss.storage import StorageError, Url, cached, content, located, publish
from amiss.video import VideoReader, check_video
from helpers.videos import numbered, read_number, write_video


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler] | partial[SimpleHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    """Python's own server, which gives whole files only."""

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_that_gives_whole_files_only(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [numbered(i) for i in range(40)])
    with FeatureSetWriter(tmp_path / "set", FeatureSpec(backbone="numbers", weights="none", dim=4)) as writer:
        writer.add("v", np.ones((3, 1, 4), np.float32), 48, 25.0)
    with serving(partial(Quiet, directory=str(tmp_path))) as address:
        assert [read_number(frame.image) for frame in VideoReader(f"{address}/v.mp4")] == list(range(40))
        assert check_video(f"{address}/v.mp4").n_frames == 40
        features = open_feature_set(f"{address}/set")
        assert features.load("v").tolist() == np.ones((3, 1, 4)).tolist()
        with pytest.raises(StorageError, match="does not exist"):
            content(Url(f"{address}/nothing"), 10)


class Query(BaseHTTPRequestHandler):
    """Gives another file for each query, and says nothing of their versions."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_copy_is_of_one_query() -> None:
    with serving(Query) as address:
        for path in "/video?id=1", "/video?id=2":
            assert cached(Url(f"{address}{path}")).read_bytes() == path.encode()


class Endless(BaseHTTPRequestHandler):
    """Like a camera, says not how long it is; here it ends after 64 MB."""

    n_sent = 0

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        with suppress(OSError):
            for _ in range(64):
                type(self).n_sent += self.wfile.write(bytes(1 << 20))

    def log_message(self, *_: object) -> None:
        pass


def test_a_file_of_unknown_size_is_copied_up_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMISS_CACHE", str(tmp_path))
    monkeypatch.setenv("AMISS_STORAGE_CACHE_MB", "1")
    with serving(Endless) as address, pytest.raises(StorageError, match=r"more than 1 MB.*AMISS_STORAGE_CACHE_MB"):
        cached(Url(f"{address}/stream"))
    assert Endless.n_sent < 60 << 20
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]


class Parts(SimpleHTTPRequestHandler):
    """Gives what is asked for, and counts it."""

    n_bytes = 0

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        start, end = 0, len(data)
        if asked := self.headers["Range"]:
            start, last = asked.removeprefix("bytes=").split("-")
            start, end = int(start), min(int(last) + 1, end)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self.wfile.write(data[start:end])
        type(self).n_bytes += end - start

    def log_message(self, *_: object) -> None:
        pass


def test_of_an_mp4_with_its_index_at_the_end_only_parts_are_read(tmp_path: Path) -> None:
    data = write_video(tmp_path / "v.mp4", [numbered(i) for i in range(40)]).read_bytes()
    index = data.rindex(b"moov") - 4
    assert data.index(b"mdat") < index
    free = 48 << 20  # a box of nothing between pictures and index
    (tmp_path / "v.mp4").write_bytes(data[:index] + struct.pack(">I4s", free, b"free") + bytes(free - 8) + data[index:])
    with serving(partial(Parts, directory=str(tmp_path))) as address:
        assert [read_number(frame.image) for frame in VideoReader(f"{address}/v.mp4")] == list(range(40))
    assert 0 < Parts.n_bytes < 16 << 20


def test_a_signed_address_is_read_and_not_shown(bucket: str, tmp_path: Path) -> None:
    import s3fs

    path = write_video(tmp_path / "v.mp4", [numbered(i) for i in range(20)])
    publish(Url(bucket) / "v.mp4", path.read_bytes())
    signed = s3fs.S3FileSystem().sign(f"{bucket}/v.mp4")
    assert "Signature" in signed
    reader = VideoReader(signed)
    assert [read_number(frame.image) for frame in reader] == list(range(20))
    assert "Signature" not in str(reader.path)


def test_a_server_that_is_busy_for_a_while_is_asked_again() -> None:
    asked = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.command)
            self.send_response(503 if len(asked) < 5 else 200)
            self.send_header("Content-Length", "0" if len(asked) < 5 else "4")
            self.end_headers()
            if len(asked) >= 5 and self.command == "GET":
                self.wfile.write(b"here")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with serving(Busy) as address:
        assert content(Url(f"{address}/file"), 10) == b"here"


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data", "http://localhost:9/x"])
def test_a_server_may_not_lead_into_a_private_network(target: str) -> None:
    class Leading(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with serving(Leading) as address, pytest.raises(StorageError, match="private network"):
        content(located(f"{address}/v.mp4"), 10)  # type: ignore[arg-type]
