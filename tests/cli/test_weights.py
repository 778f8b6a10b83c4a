"""amiss weights: the table of sources, downloads from a server on this machine, checks."""

import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner

from amiss.backbones import BackboneEntry, PublishedWeights, fetch_weights, find_weights, list_backbones, list_weights
from amiss.backbones import _c3d as c3d
from amiss.backbones.weights import download
from amiss.cli import app
from amiss.errors import UsageError, WeightsError

CONTENT = bytes(range(256)) * 20_000  # 5 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one file; may break off, ignore ranges, or have another file."""

    content = CONTENT
    etag = '"1"'
    content_type: str | None = None
    break_after: int | None = None
    """Bytes of an answer; None = all."""
    breaks_left = 0
    takes_ranges = True
    tells_length = True
    tells_range = True
    status = 200

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.goes_on = threading.Event()  # after the headers
        self.goes_on.set()


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
        is_part = asked and server.takes_ranges
        self.send_response(206 if is_part else 200)
        self.send_header("ETag", server.etag)
        if server.content_type:
            self.send_header("Content-Type", server.content_type)
        if server.tells_length:
            self.send_header("Content-Length", str(len(body)))
        if is_part and server.tells_range:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        server.goes_on.wait(60)
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


@pytest.mark.parametrize("change", ["another file", "no ranges", "no content range", "shorter", "as long", "longer"])
def test_a_part_that_does_not_fit_is_dropped(url, server, tmp_path, change):
    server.break_after, server.breaks_left = 1_000_000, 3
    with pytest.raises(OSError, match="broke off"):
        download(url, tmp_path / "net.pth", DIGEST)
    match change:
        case "another file":
            server.content, server.etag = CONTENT[::-1], '"2"'
        case "no ranges":
            server.takes_ranges = False
        case "no content range":
            server.tells_range = False
        case "shorter":
            server.content = b"short"
        case _:  # as two processes writing into it left it
            (part,) = tmp_path.iterdir()
            part.write_bytes(b"x" * (len(CONTENT) + (change == "longer")))
    download(url, tmp_path / "net.pth", hashlib.sha256(server.content).hexdigest())
    assert (tmp_path / "net.pth").read_bytes() == server.content
    assert names(tmp_path) == ["net.pth"]


def test_another_file_than_announced_is_not_kept(url, server, tmp_path):
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(WeightsError, match=r"gave another file than announced: its sha256 is .* Nothing"):
        download(url, tmp_path / "net.pth", DIGEST)
    assert names(tmp_path) == []


def test_a_web_page_is_refused_and_what_had_arrived_stays(url, server, tmp_path):
    server.break_after, server.breaks_left = 1_000_000, 3
    with pytest.raises(OSError, match="broke off"):
        download(url, tmp_path / "net.pth", DIGEST)
    (part,) = names(tmp_path)
    server.content, server.content_type = b"<html>log in</html>", "text/html; charset=utf-8"
    server.takes_ranges = False
    with pytest.raises(OSError, match="gave a web page instead of the file"):
        download(url, tmp_path / "net.pth", DIGEST)
    with pytest.raises(OSError, match="gave a web page instead of the file"):
        download(url, tmp_path / "other.pth")
    assert names(tmp_path) == [part]
    del server.content, server.content_type, server.takes_ranges
    download(url, tmp_path / "net.pth", DIGEST)
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def start_download(url, path):
    code = (
        "import sys; from pathlib import Path; from amiss.backbones.weights import download; "
        "download(sys.argv[1], Path(sys.argv[2]), sys.argv[3])"
    )
    return subprocess.Popen([sys.executable, "-c", code, url, path, DIGEST], stderr=subprocess.PIPE, text=True)


@pytest.mark.faults
@pytest.mark.skipif(sys.platform == "win32", reason="no locks on Windows")
def test_a_second_process_waits_and_finds_the_file(url, server, tmp_path):
    server.goes_on.clear()
    path = tmp_path / "net.pth"
    first = start_download(url, path)
    while not server.ranges:
        time.sleep(0.01)
    second = start_download(url, path)
    assert second.stderr.readline() == "another process is downloading net.pth: waiting for it\n"
    server.goes_on.set()
    assert (first.communicate()[1], second.communicate()[1]) == ("", "")
    assert (first.returncode, second.returncode) == (0, 0)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert names(tmp_path) == ["net.pth"]


@pytest.mark.faults
@pytest.mark.skipif(sys.platform == "win32", reason="no locks on Windows")
def test_a_killed_download_leaves_no_lock(url, server, tmp_path, capsys):
    server.goes_on.clear()
    first = start_download(url, tmp_path / "net.pth")
    while not server.ranges:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    server.goes_on = threading.Event()  # the answer to the dead one waits for the other
    server.goes_on.set()
    download(url, tmp_path / "net.pth", DIGEST)
    assert capsys.readouterr().err == ""
    assert names(tmp_path) == ["net.pth"]


def test_threads_wait_for_each_other_too(url, server, tmp_path, capsys):
    server.goes_on.clear()
    threads = [threading.Thread(target=download, args=(url, tmp_path / "net.pth", DIGEST)) for _ in range(5)]
    for thread in threads:
        thread.start()
    said = ""
    while said.count("waiting") < 4:
        said += capsys.readouterr().err
        time.sleep(0.01)
    server.goes_on.set()
    for thread in threads:
        thread.join()
    assert server.ranges == [None]
    assert names(tmp_path) == ["net.pth"]


def test_without_length_and_hash_nothing_is_taken(url, server, tmp_path):
    server.tells_length = False
    with pytest.raises(WeightsError, match=r"doesn't tell how long the file is, and its sha256 is not on record"):
        download(url, tmp_path / "net.pth")
    assert names(tmp_path) == []
    download(url, tmp_path / "net.pth", DIGEST)  # the hash would tell
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def test_the_hash_may_be_on_record_apart_from_the_name():
    named = PublishedWeights(id="a", url="https://example.org/net-0123abcd.pth")
    saved = PublishedWeights(id="a", url="https://example.org/model.bin", save_as="net.bin")
    assert (named.sha256_start, saved.sha256_start) == ("0123abcd", "")
    hashed = PublishedWeights(id="a", url="https://example.org/model.bin", save_as="net.bin", sha256=DIGEST)
    assert (hashed.file_name, hashed.sha256_start) == ("net.bin", DIGEST)
    (clip,) = list_weights(["clip_vit_l_14"])
    assert len(clip.weights.sha256_start) == 64


@pytest.fixture
def known(url, tmp_path, monkeypatch):
    """c3d with weights on that server; torch hub's cache and $AMISS_WEIGHTS are folders of the test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path / "own"))
    monkeypatch.setattr(PublishedWeights, "installed", None)  # what pip brings is no matter here
    (tmp_path / "own").mkdir()
    (info,) = (info for info in list_backbones() if info.name == "c3d")
    published = (
        PublishedWeights(id="first", url=url, megabytes=5.1),
        PublishedWeights(id="by_hand", url="https://example.org/page", file="other.pth"),
    )
    entry = BackboneEntry(info, c3d.ENTRIES[0].create, lambda: published)
    monkeypatch.setattr(c3d, "ENTRIES", (entry,))
    assert [record.weights for record in list_weights(["c3d"])] == list(published)
    return tmp_path / "torch/hub/checkpoints" / url.rpartition("/")[2]


def torch_file(tensors, **options):
    buffer = io.BytesIO()
    torch.save(tensors, buffer, **options)
    return buffer.getvalue()


TENSORS = {"fc6.weight": torch.arange(40_000.0)}  # 0.16 MB
WEIGHT_FILES = {
    "net.pt": torch_file(TENSORS),
    "net.pickle": torch_file(TENSORS, _use_new_zipfile_serialization=False),
    "net.pkl": pickle.dumps({"blobs": {"conv1_w": np.arange(40_000, dtype=np.float32)}}, protocol=2),
    "net.safetensors": save(TENSORS),
}


@pytest.fixture
def unhashed(server, tmp_path, monkeypatch):
    """(file name) → c3d with weights of that name on the server, their SHA-256 not on record; where they would go."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("AMISS_WEIGHTS", raising=False)

    def publish(name):
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        published = (PublishedWeights(id="first", url=url, megabytes=0.2),)
        entry = BackboneEntry(c3d.ENTRIES[0].info, c3d.ENTRIES[0].create, lambda: published)
        monkeypatch.setattr(c3d, "ENTRIES", (entry,))
        return tmp_path / "torch/hub/checkpoints" / name

    return publish


@pytest.mark.parametrize("name", WEIGHT_FILES)
def test_weights_without_a_hash_are_taken_where_they_can_be_read(unhashed, server, name):
    path, server.content = unhashed(name), WEIGHT_FILES[name]
    assert fetch_weights("c3d") == path
    assert path.read_bytes() == server.content
    (verified,) = json.loads(run("verify", "c3d", "--json").stdout)
    assert (verified["verdict"], verified["sha256"]) == ("unknown", hashlib.sha256(server.content).hexdigest())


@pytest.mark.parametrize("name", WEIGHT_FILES)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>a proxy</html>     ", "it has 25 bytes, not about 0 MB"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 200000\n", "it has 68 bytes, not about 0 MB"),
        (b"<html>a long page</html>" * 10_000, "it can't be read as weights"),
        (None, "it can't be read as weights"),
        (torch_file({"fc6.weight": torch.zeros(200_000)}), "it has 80.,... bytes"),
    ],
    ids=["page", "pointer", "long page", "damaged", "larger"],
)
def test_what_is_no_weight_file_is_not_kept(unhashed, server, name, content, reason):
    path = unhashed(name)
    server.content = content or WEIGHT_FILES[name][:130_000]
    with pytest.raises(
        WeightsError, match=rf"weights first of c3d .*another file than announced: {reason}.*put {name} .*checkpoints"
    ):
        fetch_weights("c3d")
    assert names(path.parent) == []


def test_a_file_that_is_no_weight_file_is_told(unhashed, server):
    path = unhashed("c3d.pickle")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"<html>a proxy</html>")
    for command in ("verify", "fetch"):
        said = " ".join(run(command, "c3d", code=1).stderr.split())
        assert f"{path} can't be read as weights: it is damaged, or no weight file. Delete it or move it" in said
        assert "`amiss weights fetch c3d --weights first`" in said
    assert json.loads(run("verify", "c3d", "--json", code=1).stdout)[0]["verdict"] == "wrong"
    assert server.ranges == []


def test_fetch_goes_on_after_a_failure(known, server, tmp_path, monkeypatch):
    said = run("fetch", "mfnet", "c3d", code=1).stderr.replace("\n", "")
    assert "mfnet are not on this machine and must be fetched by hand" in said
    assert f"c3d: {known}" in said
    assert known.read_bytes() == CONTENT


def test_the_networks_of_a_fusion_are_fetched(known, server):
    said = run("fetch", "motion+c3d+mfnet", code=1).stderr.replace("\n", "")
    assert "mfnet are not on this machine" in said
    assert "motion" not in said
    assert f"c3d: {known}" in said
    assert {record.backbone for record in list_weights(["motion+c3d+mfnet", "c3d"])} == {"c3d", "mfnet"}


def test_verify_names_what_is_missing_of_the_backbones_that_are_named(known, server):
    entries = json.loads(run("verify", "c3d", "--json").stdout)
    assert [(entry["id"], entry["verdict"], entry["sha256"]) for entry in entries] == [
        ("first", "missing", None),
        ("by_hand", "missing", None),
    ]
    assert "0 weight files on this machine, 0 wrong" in run("verify", "c3d").stderr
    assert json.loads(run("verify", "--json").stdout) == []


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
    (verified, missing) = json.loads(run("verify", "c3d", "--json").stdout)
    assert (verified["verdict"], verified["sha256"], missing["verdict"]) == ("right", DIGEST, "missing")
    known.write_bytes(b"damaged")
    assert f"{known.name}: its sha256 doesn't begin with {DIGEST[:8]}" in run("verify", "c3d", code=1).stderr
    with pytest.raises(
        WeightsError, match=r"is not the weight file .*Delete it .*`amiss weights fetch c3d --weights first`"
    ):
        fetch_weights("c3d")
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


def test_a_weights_variable_that_does_not_serve_is_named(known, tmp_path, monkeypatch):
    (tmp_path / "mine.pth").write_bytes(b"weights")
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path / "mine.pth"))
    file = r"\$AMISS_WEIGHTS is the file .*mine\.pth, which serves only where its own name is asked for"
    with pytest.raises(WeightsError, match=f"fetched by hand: put other.pth .*{file}"):
        fetch_weights("c3d", "by_hand")
    with pytest.raises(WeightsError, match=f"weight file other.pth is missing: .*{file}"):
        find_weights("other.pth")
    with pytest.warns(
        UserWarning, match=rf"c3d needs {known.name}, which is downloaded: {file}\. .*give it as weights"
    ):
        fetch_weights("c3d")
    known.unlink()
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path / "typo"))
    with pytest.warns(UserWarning, match=r"\$AMISS_WEIGHTS is .*typo, which doesn't exist"):
        fetch_weights("c3d")


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


def licences(name):
    return {record.weights.id: record.licence for record in list_weights([name])}


def test_licences_are_those_of_the_weights():
    assert "CC-BY-NC-4.0" in licences("i3d_resnet50")["kinetics400"]
    assert "CC-BY-NC-4.0" in licences("i3d_resnet50_nl")["kinetics400"]
    vit = licences("vit_b_16")
    assert "CC-BY-NC-4.0" in vit["IMAGENET1K_SWAG_E2E_V1"]
    assert "CC-BY-NC-4.0" in vit["IMAGENET1K_SWAG_LINEAR_V1"]
    assert "CC-BY-NC-4.0" not in vit["IMAGENET1K_V1"]
    resnet = licences("resnet3d_50")
    assert resnet["K_200ep"] == "MIT; weights trained on Kinetics-700"
    assert resnet["MS_200ep"] == "MIT; weights trained on Moments in Time, STAIR Actions"
    assert resnet["kinetics400_2018"] == "MIT; weights trained on Kinetics-400"
    assert "Charades" in licences("i3d")["charades"]


def test_a_backbone_shows_the_licence_of_its_default_weights():
    infos = {info.name: info for info in list_backbones()}
    for record in list_weights():
        if record.is_default:
            assert record.licence == infos[record.backbone].licence
