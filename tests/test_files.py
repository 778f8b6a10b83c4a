"""Each file appears complete or not at all."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from amiss import files
from amiss.errors import OutputError
from amiss.files import (
    NamesInFolder,
    append_line,
    atomic_path,
    ignores_case,
    is_about_name,
    is_reserved,
    lock_file,
    remove_leftovers,
    sha256_file,
    write_json,
    write_text,
)


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


# Windows and macOS, as far as they can be stood in for


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        *((name, True) for name in ("CON", "nul.npy", "aux.event01.mp4", "com1", "LPT9.json", "con .txt", "a.", "a ")),
        *((name, True) for name in ("a:b.npy", "why?.json", "a|b", 'a"b', "a\\b", "a\tb")),
        *((name, False) for name in ("console", "nullify.npy", "com10", "a.con", ".con", "a..npy", ".", "..", "Tür 3")),
    ],
)
def test_names_that_windows_keeps_for_itself(name: str, reserved: bool) -> None:
    assert is_reserved(name) is reserved


def test_windows_writes_no_video_to_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_IS_WINDOWS", True)
    for path in (tmp_path / "NUL.npy", tmp_path / "aux" / "x.npy", tmp_path / "a." / "x.npy"):
        with pytest.raises(OutputError, match="Windows can't have a file or folder named") as caught:
            write_text(path, "lost")
        assert is_about_name(caught.value)  # it concerns that video only
    write_text(tmp_path / "nullify.npy", "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["nullify.npy"]


def test_windows_waits_for_who_reads_a_file_that_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_IS_WINDOWS", True)
    monkeypatch.setattr(files, "_WAITS_S", (0.001, 0.001))
    refusals = [PermissionError(errno.EACCES, "in use")] * 2
    replace = Path.replace

    def busy(path: Path, target: Path) -> Path:
        if refusals:
            raise refusals.pop()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", busy)
    write_text(tmp_path / "x.txt", "new")
    assert (tmp_path / "x.txt").read_text() == "new"
    refusals += [PermissionError(errno.EACCES, "in use")] * 3
    with pytest.raises(OutputError, match="in use"):
        write_text(tmp_path / "x.txt", "newer")
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


@pytest.mark.skipif(os.name == "nt", reason="asks how a descriptor was opened")
def test_only_what_may_be_written_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def as_on_windows(descriptor: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(os, "fsync", as_on_windows)
    write_text(tmp_path / "x.txt", "whole")
    assert (tmp_path / "x.txt").read_text() == "whole"


def test_names_that_are_one_file_where_capitals_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = ignores_case(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert one is (tmp_path.with_name(tmp_path.name.swapcase()).exists())
    monkeypatch.setattr(files, "ignores_case", lambda _: False)
    names = NamesInFolder(tmp_path, ["Yard"])
    names.claim("yard")
    monkeypatch.setattr(files, "ignores_case", lambda _: True)
    names = NamesInFolder(tmp_path, ["Yard", "caf\u00e9"])
    names.claim("Yard")
    names.claim("gate")
    for twin in ("yard", "GATE", "cafe\u0301"):
        with pytest.raises(OutputError, match="is the same file here; rename one of them") as caught:
            names.claim(twin)
        assert is_about_name(caught.value)


def test_a_line_is_added_after_half_a_line_and_none_stays_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    append_line(path, "1")
    path.write_bytes(path.read_bytes() + b'{"ha')
    append_line(path, "2")
    assert path.read_bytes() == b'1\n{"ha\n2\n'

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append_line(path, "3")
    assert path.read_bytes() == b'1\n{"ha\n2\n'
