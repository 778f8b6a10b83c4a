"""Each file appears complete or not at all."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from amiss.errors import OutputError
from amiss.files import atomic_path, is_about_name, lock_file, remove_leftovers, sha256_file, write_json, write_text


def test_file_appears_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b.txt", "whole")
    assert (tmp_path / "a" / "b.txt").read_text() == "whole"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_failure_keeps_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("before")
    with pytest.raises(RuntimeError, match="boom"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("boom")
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_is_an_output_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"can't write .*x\.txt: No space left"),
        atomic_path(tmp_path / "x.txt") as temporary,
    ):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write"):
        write_text(tmp_path / "file" / "x.txt", "x")


def test_suffix_is_kept_for_writers_that_look_at_it(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "x.mp4") as temporary:
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"x")


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"auc": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".partial-1-x.npy").write_bytes(b"half")
    (tmp_path / "y.npy").write_bytes(b"whole")
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["y.npy"]


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_file(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_lock_file_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    inside, waited, most = 0, [], 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with lock_file(path, on_wait=lambda: waited.append(1)):
            with counting:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with counting:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert waited
    assert not path.exists()


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with (
        pytest.warns(UserWarning, match=r"a\.lock can't be locked \(No locks available\): see to it"),
        lock_file(tmp_path / "a.lock", on_wait=lambda: pytest.fail("it waited")),
    ):
        pass


def test_the_longest_names_can_be_written_and_longer_ones_are_told_apart(tmp_path):
    write_text(tmp_path / ("a" * 251 + ".txt"), "there")
    assert (tmp_path / ("a" * 251 + ".txt")).read_text() == "there"
    with pytest.raises(OutputError) as error:
        write_text(tmp_path / ("a" * 252 + ".txt"), "not there")
    assert is_about_name(error.value)
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(OutputError) as error:
        write_text(tmp_path / ("a" * 251 + ".txt") / "b.txt", "not there")
    assert not is_about_name(error.value)
