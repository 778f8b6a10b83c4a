"""amiss weights: the table of sources, downloads from a server on this machine, checks."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from amiss.backbones import PublishedWeights, fetch_weights, list_backbones, list_weights
from amiss.backbones import _c3d as c3d
from amiss.backbones import _registry as registry
from amiss.backbones._base import BackboneEntry
from amiss.backbones._download import download
from amiss.cli import app
from amiss.errors import UsageError, WeightsError

CONTENT = bytes(range(256)) * 20_000  # 5 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one file; may break off, ignore ranges, or have another file."""

    content = CONTENT
    etag = '"1"'
    break_after: int | None = None
    """Bytes of an answer; None = all."""
    breaks_left = 0
    takes_ranges = True
    status = 200

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, asked = self.server, self.headers["Range"]
        server.ranges.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.takes_ranges else 0
        if start > len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if asked and server.takes_ranges else 200)
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.breaks_left:
            server.breaks_left -= 1
            body = body[: server.break_after]
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_port}/net-{DIGEST[:8]}.pth"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_download(url, server, tmp_path):
    seen = []
    path = tmp_path / "weights" / "net.pth"
    download(url, path, DIGEST[:8], lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["net.pth"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert server.ranges == [None]


def test_a_download_that_breaks_off_is_gone_on_with(url, server, tmp_path):
    server.break_after, server.breaks_left = 2_000_000, 2
    download(url, tmp_path / "net.pth", DIGEST)
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=2000000-", "bytes=4000000-"]


def test_what_has_arrived_is_kept_for_next_time(url, server, tmp_path):
    server.break_after, server.breaks_left = 1_000_000, 3
    with pytest.raises(OSError, match=r"broke off after 3000000 of 5120000 bytes"):
        download(url, tmp_path / "net.pth", DIGEST)
    (part,) = names(tmp_path)
    assert part.endswith(".part")
    download(url, tmp_path / "net.pth", DIGEST)
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=3000000-"
    assert names(tmp_path) == ["net.pth"]


@pytest.mark.parametrize("change", ["another file", "no ranges", "shorter"])
def test_a_part_that_does_not_fit_is_dropped(url, server, tmp_path, change):
    server.break_after, server.breaks_left = 1_000_000, 3
    with pytest.raises(OSError, match="broke off"):
        download(url, tmp_path / "net.pth", DIGEST)
    match change:
        case "another file":
            server.content, server.etag = CONTENT[::-1], '"2"'
        case "no ranges":
            server.takes_ranges = False
        case _:
            server.content = b"short"
    download(url, tmp_path / "net.pth", hashlib.sha256(server.content).hexdigest())
    assert (tmp_path / "net.pth").read_bytes() == server.content
    assert names(tmp_path) == ["net.pth"]


def test_another_file_than_announced_is_not_kept(url, server, tmp_path):
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(WeightsError, match=r"gave another file than announced: its sha256 is .* Nothing"):
        download(url, tmp_path / "net.pth", DIGEST)
    assert names(tmp_path) == []


@pytest.fixture
def known(url, tmp_path, monkeypatch):
    """c3d with weights on that server; torch hub's cache and $AMISS_WEIGHTS are folders of the test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path / "own"))
    (info,) = (info for info in list_backbones() if info.name == "c3d")
    published = (
        PublishedWeights(id="first", url=url, megabytes=5.1),
        PublishedWeights(id="by_hand", url="https://example.org/page", file="other.pth"),
    )
    entry = BackboneEntry(info, c3d.ENTRIES[0].create, lambda: published)
    monkeypatch.setattr(c3d, "ENTRIES", (entry,))
    assert registry.entry_of("c3d") is entry
    return tmp_path / "torch/hub/checkpoints" / url.rpartition("/")[2]


def run(*args, code=0):
    result = CliRunner().invoke(app, ["weights", *args])
    assert result.exit_code == code, result.output
    return result


def test_fetch_list_where_verify(known, server):
    (first, by_hand) = json.loads(run("list", "c3d", "--json").stdout)
    assert (first["id"], first["default"], first["megabytes"], first["path"]) == ("first", True, 5.1, None)
    assert first["sha256_start"] == DIGEST[:8]
    assert (by_hand["by_hand"], by_hand["megabytes"], by_hand["sha256_start"]) == (True, None, None)
    assert str(known) in run("fetch", "c3d").stderr.replace("\n", "")
    run("fetch", "c3d")
    assert server.ranges == [None]  # once
    assert known.read_bytes() == CONTENT
    assert json.loads(run("where", "c3d", "--json").stdout)[0]["path"] == str(known)
    (verified,) = json.loads(run("verify", "c3d", "--json").stdout)
    assert (verified["verdict"], verified["sha256"]) == ("right", DIGEST)
    known.write_bytes(b"damaged")
    assert f"{known.name}: its sha256 doesn't begin with {DIGEST[:8]}" in run("verify", "c3d", code=1).stderr
    folders = json.loads(run("where", "--json").stdout)
    assert [Path(entry["folder"]).name for entry in folders] == ["own", "checkpoints"]


def test_what_cannot_be_fetched(known, server):
    with pytest.raises(WeightsError, match=r"must be fetched by hand: put other\.pth from https://example\.org/page"):
        fetch_weights("c3d", "by_hand")
    with pytest.raises(UsageError, match=r"c3d has no published weights 'second'; it has \['first', 'by_hand'\]"):
        fetch_weights("c3d", "second")
    server.status = 404
    with pytest.raises(WeightsError, match=r"can't be downloaded \(HTTP Error 404.*put net-.*AMISS_WEIGHTS"):
        fetch_weights("c3d")
    assert not known.exists()
    assert "unknown backbone" in run("fetch", "c3dd", code=2).stderr
    assert "motion has no published weights 'default'; it has none" in run("fetch", "motion", code=2).stderr


def test_every_entry_of_the_table_has_a_source_and_a_licence():
    records = list_weights()
    for record in records:
        assert record.weights.url.startswith(("https://", "http://")), record
        assert record.licence
    assert {"r3d_18", "swin3d_b", "c3d", "i3d", "i3d_resnet50", "mfnet", "resnet3d_50", "squeezenet1_1"} <= {
        record.backbone for record in records
    }
    torch_hub = [record for record in records if "download.pytorch.org" in record.weights.url]
    assert all(len(record.weights.sha256_start) >= 8 for record in torch_hub)
    assert all(record.weights.megabytes > 0 for record in torch_hub)
    defaults = [record.backbone for record in records if record.is_default]
    assert len(defaults) == len(set(defaults)) == len({record.backbone for record in records})
