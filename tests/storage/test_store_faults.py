"""A store that refuses for a while, a writer that is killed, several writers, wrong keys: nothing is lost or half."""

import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError, OutputError
from amiss.features import FeatureSetWriter, open_feature_set
from amiss.features import _writer as writer_module
from amiss.storage import StorageError, Url, content, listed, publish, publish_unchanged, stamp_of, while_waiting
from helpers.s3 import S3Server

SPEC = FeatureSpec(backbone="numbers", weights="none", dim=4)


def rows(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, 1, 4)).astype(np.float32)


@pytest.mark.parametrize("how", ["refuse", "busy"])
def test_a_store_that_refuses_for_a_while_is_asked_again(s3_server: S3Server, bucket: str, how: str) -> None:
    url = Url(bucket) / "file"
    before = s3_server.n_turned_away
    closed, waited = threading.Event(), threading.Event()

    def refuse() -> None:
        with s3_server.closed(how):  # type: ignore[arg-type]
            closed.set()
            waited.wait(60)

    thread = threading.Thread(target=refuse)
    thread.start()
    closed.wait()
    with while_waiting(waited.set):
        publish(url, b"kept")
    assert waited.is_set()
    thread.join()
    assert s3_server.n_turned_away > before
    assert content(url, 100) == b"kept"


def test_a_store_that_stays_away_is_told(s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMISS_STORAGE_WAIT_S", "1")
    with s3_server.closed("refuse"), pytest.raises(OutputError, match=r"file: the store can't be reached") as caught:
        publish(Url(bucket) / "file", b"x")
    assert "TESTSECRET" not in str(caught.value)
    with s3_server.closed("refuse"), pytest.raises(FeatureError, match="the store can't be reached") as unread:
        open_feature_set(bucket)
    assert unread.value.transient, "a benchmark runs it again"
    with s3_server.closed("refuse"), pytest.raises(StorageError) as unasked:
        content(Url(bucket) / "file", 10)
    sent = pickle.loads(pickle.dumps(unasked.value))  # as by a worker
    assert (str(sent), sent.errno, sent.transient) == (str(unasked.value), unasked.value.errno, True)


def test_what_a_store_says_no_to(any_bucket: str) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        content(Url(any_bucket) / "nothing", 10)
    with pytest.raises(StorageError, match="it is a folder"):
        publish(Url(any_bucket) / "folder" / "file", b"x")
        content(Url(any_bucket) / "folder", 10)
    with pytest.raises(FeatureError, match=r"is not a feature set: spec\.json is missing"):
        open_feature_set(f"{any_bucket}/folder")
    with pytest.raises(FeatureError, match="is not empty and no feature set"):
        FeatureSetWriter(f"{any_bucket}/folder", SPEC)


def test_only_what_was_read_is_replaced(any_bucket: str) -> None:
    url = Url(any_bucket) / "index"
    assert publish_unchanged(url, b"1", None)
    assert not publish_unchanged(url, b"2", None)
    stamp = stamp_of(url)
    assert publish_unchanged(url, b"3", stamp)
    assert not publish_unchanged(url, b"4", stamp)
    assert content(url, 10) == b"3"


def test_several_writers_of_one_set(any_bucket: str) -> None:
    place = f"{any_bucket}/features"

    def write(first: int) -> None:
        with FeatureSetWriter(place, SPEC) as writer:
            for number in range(first, first + 2):
                writer.add(f"v{number:02d}", rows(number), 48, 25.0)

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 2, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    features = open_feature_set(place)
    assert list(features.records) == [f"v{number:02d}" for number in range(6)]
    assert all(np.array_equal(features.load(f"v{number:02d}"), rows(number)) for number in range(6))
    assert not listed(Url(place) / ".index")
    with pytest.raises(FeatureError, match="another spec"):
        FeatureSetWriter(place, FeatureSpec(backbone="numbers", weights="none", dim=5))


def test_a_damaged_index_is_not_mended_over_what_another_writer_adds(
    any_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{any_bucket}/features"
    with FeatureSetWriter(place, SPEC) as writer:
        writer.add("a", rows(0), 48, 25.0)
    index = Url(place) / "index.jsonl"
    publish(index, content(index, 10_000) + b"damaged\n")

    def meanwhile(*_: object) -> None:
        monkeypatch.undo()
        with FeatureSetWriter(place, SPEC) as other:
            other.add("b", rows(1), 48, 25.0)

    monkeypatch.setattr(writer_module, "tell_lost", meanwhile)
    FeatureSetWriter(place, SPEC).close()
    assert list(open_feature_set(place).records) == ["a", "b"]


_CHILD = """
import sys
import numpy as np
from amiss.backbones import FeatureSpec
from amiss.features import FeatureSetWriter
writer = FeatureSetWriter(sys.argv[1], FeatureSpec(backbone="numbers", weights="none", dim=4))
rng = np.random.default_rng
for number in range(3):
    writer.add(f"v{number}", rng(number).normal(size=(3, 1, 4)).astype(np.float32), 48, 25.0)
print("three", flush=True)
sys.stdin.readline()
writer.add("large", np.ones((200_000, 1, 4), np.float32), None, None)
"""


def test_a_writer_killed_while_it_publishes_leaves_no_half_file(s3_server: S3Server, bucket: str) -> None:
    place = f"{bucket}/features"
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "three\n"
    with s3_server.closed("stall"):
        before = s3_server.n_turned_away
        child.stdin.write("\n")
        child.stdin.flush()
        until_s = time.monotonic() + 30
        while s3_server.n_turned_away == before:
            assert time.monotonic() < until_s
            time.sleep(0.05)
        child.kill()
        child.wait()
    child.stdin.close()
    child.stdout.close()
    features = open_feature_set(place)  # as it is: no index was written yet
    assert sorted(features.records) == ["v0", "v1", "v2"]
    assert "large.npy" not in listed(Url(place))
    with FeatureSetWriter(place, SPEC) as writer:
        assert writer.done == {"v0", "v1", "v2"}
        writer.add("v3", rows(3), 48, 25.0)
    assert list(open_feature_set(place).records) == ["v0", "v1", "v2", "v3"]
    assert not listed(Url(place) / ".index")


def test_a_set_of_a_web_server_is_only_read(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="web servers are read only"):
        FeatureSetWriter("https://127.0.0.1:9/features", SPEC)
