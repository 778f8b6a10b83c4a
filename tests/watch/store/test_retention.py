"""Old media go by days, by bytes and when the disk is nearly full; protected ones stay."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.errors import UsageError
from amiss.watch.config import RetentionSettings
from amiss.watch.store import Retention

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
GB = 10**9
NO_LIMITS = RetentionSettings(days=None, min_free_gb=0)


def event_id(number: int) -> str:
    return f"{number:032x}"


class Store:
    """What the retention asks and tells."""

    def __init__(self, protected: Sequence[int] = (), fail: bool = False) -> None:
        self.protected = {event_id(n) for n in protected}
        self.fail = fail
        self.forgotten: list[int] = []
        self.paths: list[str] = []

    def protected_ids(self) -> set[str]:
        if self.fail:
            raise RuntimeError("the database is away")
        return self.protected

    def forget(self, paths: Sequence[str]) -> None:
        self.paths += paths
        self.forgotten += dict.fromkeys(int(Path(path).stem.partition("-")[0], 16) for path in paths)


def put(media: Path, number: int, age_days: float, n_bytes: int = 1000, camera: str = "yard") -> None:
    taken = NOW - timedelta(days=age_days)
    folder = media / f"{taken:%Y-%m-%d}" / camera
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, size in ((".mp4", n_bytes - 100), (".jpg", 100)):
        path = folder / (event_id(number) + suffix)
        path.write_bytes(b"x" * size)
        os.utime(path, (taken.timestamp(), taken.timestamp()))


def left(media: Path) -> set[int]:
    return {int(path.stem.partition("-")[0], 16) for path in media.rglob("*.mp4")}


def retention(media: Path, settings: RetentionSettings, store: Store, free: int = 10**12) -> Retention:
    def usage(path: Path) -> tuple[int, int, int]:
        used = sum(p.stat().st_size for p in media.rglob("*") if p.is_file())
        return 0, 0, free - used

    return Retention(media, settings, protected_ids=store.protected_ids, forget=store.forget, disk_usage=usage)


def test_by_days(tmp_path: Path) -> None:
    for number, age in enumerate((0.0, 5, 29, 31, 40)):
        put(tmp_path, number, age)
    store = Store(protected=[4])
    report = retention(tmp_path, RetentionSettings(days=30, min_free_gb=0), store).run_once(NOW)
    assert left(tmp_path) == {0, 1, 2, 4}
    assert store.forgotten == [3]
    assert (report.n_events, report.freed_bytes, report.used_bytes, report.problem) == (1, 1000, 4000, None)
    assert not (tmp_path / f"{NOW - timedelta(days=31):%Y-%m-%d}").exists()


def test_by_bytes_the_oldest_first(tmp_path: Path) -> None:
    for number in range(6):
        put(tmp_path, number, age_days=number, camera=f"camera{number % 2}")
    store = Store(protected=[5])
    settings = RetentionSettings(days=None, max_gb=3500 / GB, min_free_gb=0)
    report = retention(tmp_path, settings, store).run_once(NOW)
    assert left(tmp_path) == {0, 1, 5}
    assert store.forgotten == [4, 3, 2]
    assert report.problem is None


def test_a_disk_that_is_nearly_full_is_cleared_until_there_is_room(tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path, number, age_days=number)
    settings = RetentionSettings(days=None, min_free_gb=2000 / GB)
    store = Store()
    assert retention(tmp_path, settings, store, free=12_500).run_once(NOW).n_events == 0  # 2500 are free
    report = retention(tmp_path, settings, store, free=11_500).run_once(NOW)  # 1500 are free
    assert left(tmp_path) == set(range(7))
    assert report.free_bytes >= 4000
    assert report.problem is None


def test_protected_events_stay_though_the_disk_is_full_and_that_is_said(tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path, number, age_days=number)
    settings = RetentionSettings(days=1, max_gb=100 / GB, min_free_gb=1)
    report = retention(tmp_path, settings, Store(protected=range(4)), free=5000).run_once(NOW)
    assert left(tmp_path) == {0, 1, 2, 3}
    assert report.problem is not None
    assert "protected" in report.problem


def test_when_the_store_is_away_nothing_is_deleted(tmp_path: Path) -> None:
    put(tmp_path, 1, age_days=100)
    report = retention(tmp_path, RetentionSettings(days=1), Store(fail=True)).run_once(NOW)
    assert left(tmp_path) == {1}
    assert report.problem == "nothing deleted: the database is away"

    store = Store()
    store.forget = lambda paths: 1 / 0  # type: ignore[method-assign]
    retention(tmp_path, RetentionSettings(days=1), store).run_once(NOW)
    assert left(tmp_path) == {1}


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"x")
    media = tmp_path / "media"
    put(media, 1, age_days=100)
    folder = next(media.glob("*/yard"))
    (folder / (event_id(2) + ".mp4")).symlink_to(outside)
    (folder / "holiday.mp4").write_bytes(b"x")
    (folder / (event_id(3) + ".txt")).write_bytes(b"x")
    (media / "notes").mkdir()
    (media / "notes" / (event_id(4) + ".mp4")).write_bytes(b"x")
    (media / "2026-01-01").write_text("a file")
    for path in media.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (0, 0))
    retention(media, RetentionSettings(days=1), Store()).run_once(NOW)
    assert outside.exists()
    names = {path.name for path in media.rglob("*") if path.is_file() or path.is_symlink()}
    assert names == {event_id(2) + ".mp4", "holiday.mp4", event_id(3) + ".txt", event_id(4) + ".mp4", "2026-01-01"}


def test_abandoned_temporary_files_go(tmp_path: Path) -> None:
    put(tmp_path, 1, age_days=0)
    folder = next(tmp_path.glob("*/yard"))
    for name, age in (("old", 2.0), ("new", 0.1)):
        path = folder / f".partial-1-{name}.mp4"
        path.write_bytes(b"x")
        os.utime(path, ((NOW - timedelta(days=age)).timestamp(),) * 2)
    retention(tmp_path, NO_LIMITS, Store()).run_once(NOW)
    assert [path.name for path in folder.glob(".partial-*")] == [".partial-1-new.mp4"]


def test_all_parts_of_a_clip_go_together(tmp_path: Path) -> None:
    put(tmp_path, 1, age_days=40)
    first = next(tmp_path.rglob("*.mp4"))
    second = first.with_stem(first.stem + "-2")
    second.write_bytes(b"x" * 500)
    os.utime(second, (first.stat().st_mtime,) * 2)
    report = retention(tmp_path, RetentionSettings(), Store()).run_once(NOW)
    assert report.n_events == 1
    assert report.freed_bytes == 1500
    assert not list(tmp_path.rglob("*.mp4"))


def test_an_event_that_was_scored_again_keeps_the_later_files(tmp_path: Path) -> None:
    put(tmp_path, 1, age_days=40)
    put(tmp_path, 1, age_days=1)
    store = Store()
    retention(tmp_path, RetentionSettings(), store).run_once(NOW)
    assert left(tmp_path) == {1}
    old = f"{NOW - timedelta(days=40):%Y-%m-%d}/yard/{event_id(1)}"
    assert sorted(store.paths) == [f"{old}.jpg", f"{old}.mp4"]


def test_no_media_yet(tmp_path: Path) -> None:
    assert retention(tmp_path / "none", RetentionSettings(), Store()).run_once(NOW).n_events == 0


@given(
    st.lists(st.tuples(st.floats(0, 60), st.integers(200, 5000), st.booleans()), max_size=12),
    st.one_of(st.none(), st.floats(0, 60, exclude_min=True)),
    st.one_of(st.none(), st.integers(1, 20_000)),
    st.integers(0, 20_000),
    st.integers(0, 40_000),
)
def test_what_stays_and_what_goes(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[float, int, bool]],
    days: float | None,
    max_bytes: int | None,
    min_free: int,
    disk: int,
) -> None:
    media = tmp_path_factory.mktemp("media")
    for number, (age, size, _) in enumerate(events):
        put(media, number, age, size)
    protected = [number for number, (_, _, is_protected) in enumerate(events) if is_protected]
    store = Store(protected)
    max_gb = None if max_bytes is None else max_bytes / GB
    settings = RetentionSettings(days=days, max_gb=max_gb, min_free_gb=min_free / GB)
    disk += sum(size for _, size, _ in events)
    report = retention(media, settings, store, free=disk).run_once(NOW)
    stays = left(media)
    assert set(protected) <= stays
    assert stays == set(range(len(events))) - set(store.forgotten)
    assert report.used_bytes == sum(events[number][1] for number in stays)
    if report.problem is None:
        assert max_bytes is None or report.used_bytes <= max_bytes
        assert report.free_bytes >= min_free
    free = [number for number in stays if number not in protected]
    if days is not None:
        assert all(events[number][0] <= days + 1e-6 for number in free)  # file times are rounded
    if free and days is None:  # never a newer one before an older one
        oldest = max(events[number][0] for number in free)
        assert all(events[number][0] >= oldest - 1e-6 for number in store.forgotten)


def test_limits_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="max_gb"):
        RetentionSettings(max_gb=-1)
