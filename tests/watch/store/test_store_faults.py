"""Lost and locked databases, kills, refusing receivers: no event and no alert is lost, a key tells what came twice."""

import email
import email.policy
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
pytest.importorskip("alembic", reason="needs amiss[watch]")

from sqlalchemy import create_engine, make_url, text

from amiss.errors import AlertError, StoreError
from amiss.video import Backoff
from amiss.watch.alerts import Alert, Dispatcher, LogChannel
from amiss.watch.alerts import _dispatcher as dispatcher_module
from amiss.watch.config import LogSettings, Rule
from amiss.watch.store import _database as database_module
from amiss.watch.store import _store as store_module
from amiss.watch.store import open_store
from helpers import ROOT
from helpers.events import START, make_event
from helpers.stored_events import all_events

pytest_plugins = ("helpers.databases",)
pytestmark = pytest.mark.faults

QUICK = Backoff(first_s=0.05, cap_s=0.2)
RULES = (Rule(name="r", channels=("log",), cooldown_s=0),)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_S", 0.3)
    monkeypatch.setattr(store_module, "_RETRY_S", (0.1, 0.2))
    monkeypatch.setattr(dispatcher_module, "_POLL_S", 0.05)


def wait_until(condition: Callable[[], object], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another process holds the database's lock for writing."""
    code = """
        import sys
        from sqlalchemy import create_engine, text
        engine = create_engine(sys.argv[1], isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            sqlite = engine.dialect.name == "sqlite"
            connection.execute(text("BEGIN IMMEDIATE" if sqlite else "BEGIN"))
            if not sqlite:
                connection.execute(text("LOCK TABLE events IN ACCESS EXCLUSIVE MODE"))
            print("locked", flush=True)
            sys.stdin.readline()
    """
    process = python(code, url, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "locked\n"
    yield
    process.stdin.write("\n")
    process.stdin.close()
    process.wait()
    process.stdout.close()


def python(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT / "tests", **options,
    )  # fmt: skip


@pytest.mark.parametrize("seconds", [1.5, pytest.param(60, marks=pytest.mark.slow)])
def test_locked_database_delays_and_loses_nothing(database_url: str, tmp_path: Path, seconds: float) -> None:
    store = open_store(database_url, tmp_path / "spool", rules=RULES)
    saved = []
    longest = 0.0
    with locked(database_url):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            event = make_event(started=START + timedelta(seconds=len(saved)))
            began = time.monotonic()
            store.save_event(event)
            longest = max(longest, time.monotonic() - began)
            saved.append(event.event_id)
            time.sleep(0.05)
        wait_until(lambda: store.status().problem)
        assert store.status().waiting == len(saved)
        assert not store.flush(0)
    assert longest < 1  # saving never waits for the lock
    assert store.flush(20)
    assert store.status().problem is None
    assert [stored.event.event_id for stored in reversed(all_events(store))] == saved
    assert len(store.deliveries(limit=10_000)) == len(saved)
    store.close()


def test_sqlite_gone_and_back(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    store = open_store(f"sqlite:///{tmp_path}/disk/events.db", tmp_path / "spool", rules=RULES)
    before = make_event()
    store.save_event(before)
    assert store.flush(10)
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    (tmp_path / "disk").mkdir()  # an empty mount point must not get a database of its own
    during = make_event(started=START + timedelta(minutes=1))
    store.save_event(during)
    wait_until(lambda: store.status().problem)
    with pytest.raises(StoreError, match="can't be used"):
        all_events(store)
    assert list((tmp_path / "disk").iterdir()) == []
    (tmp_path / "disk").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "disk")
    assert store.flush(20)
    assert [stored.event.event_id for stored in all_events(store)] == [during.event_id, before.event_id]
    store.close()


@pytest.mark.parametrize("begins_damaged", [False, True])
def test_sqlite_damaged_and_put_back(tmp_path: Path, begins_damaged: bool) -> None:
    url, file, spool = f"sqlite:///{tmp_path}/events.db", tmp_path / "events.db", tmp_path / "spool"
    store = open_store(url, spool, rules=RULES)
    before = make_event()
    store.save_event(before)
    assert store.flush(10)
    store.close()
    good = file.read_bytes()
    if not begins_damaged:
        store = open_store(url, spool, rules=RULES)
        assert len(all_events(store)) == 1
        store.engine.dispose()
    file.write_bytes(good[:4096] + b"\xa5" * (len(good) - 4096))
    if begins_damaged:
        store = open_store(url, spool, rules=RULES)
    during = make_event(started=START + timedelta(minutes=1))
    store.save_event(during)
    store.set_camera_state("gate", "running")
    wait_until(lambda: "malformed" in (store.status().problem or ""))
    assert (store.status().waiting, store.status().rejected) == (1, 0)
    store.engine.dispose()
    for left in tmp_path.glob("events.db-*"):
        left.unlink()
    whole = tmp_path / "whole.db"
    whole.write_bytes(good)
    whole.replace(file)  # at once: where it is missing for a moment, the store makes a new one
    assert store.flush(20)
    assert [stored.event.event_id for stored in all_events(store)] == [during.event_id, before.event_id]
    assert not (spool / "rejected.jsonl").exists()
    store.close()


def test_disk_full_for_database_and_spool(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("needs root to mount a small tmpfs")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"can't mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        store = open_store(f"sqlite:///{disk}/events.db", disk / "spool", rules=RULES)
        with pytest.raises(OSError, match="No space"):
            (disk / "filler").write_bytes(bytes(2 << 20))
        trace = tuple((number / 2, 0.5) for number in range(2000))
        for number in range(20):
            store.save_event(make_event(started=START + timedelta(minutes=number), trace=trace))
        wait_until(lambda: store.status().problem)
        assert store.status().in_memory > 0
        (disk / "filler").unlink()
        assert store.flush(20)
        assert len(all_events(store)) == len(store.deliveries()) == 20
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.postgres
def test_postgres_gone_and_back(postgres_url: str, postgres_server: str, tmp_path: Path) -> None:
    store = open_store(postgres_url, tmp_path / "spool", rules=RULES)
    sent: list[Alert] = []
    dispatcher = Dispatcher(store, [_Collector("log", sent)], backoff=QUICK)
    dispatcher.start()
    store.save_event(make_event())
    wait_until(lambda: len(sent) == 1)
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    name = make_url(postgres_url).database
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        for number in range(5):
            store.save_event(make_event(started=START + timedelta(minutes=number + 1)))
        wait_until(lambda: store.status().problem)
        assert store.status().waiting == 5
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    admin.dispose()
    assert store.flush(20)
    wait_until(lambda: len(sent) == 6)
    assert len({alert.key for alert in sent}) == 6
    dispatcher.close()
    store.close()


@pytest.mark.postgres
def test_service_that_starts_before_its_database(postgres_url: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = open_store(f"postgresql://me:hunter2@127.0.0.1:{port}/amiss", tmp_path / "spool")
    event = make_event()
    store.save_event(event)
    assert store.status().problem is not None
    with pytest.raises(StoreError) as caught:
        all_events(store)
    assert "hunter2" not in str(caught.value) + str(store.status().problem)
    store.close(0.2)
    store = open_store(postgres_url, tmp_path / "spool")
    assert store.flush(20)
    assert store.get_event(event.event_id) is not None
    store.close()


_WRITER = """
    import sys, threading
    from dataclasses import replace
    from datetime import timedelta
    from pathlib import Path
    from amiss.watch.store import _database, _store
    _database.BUSY_S, _store._RETRY_S = 0.1, (0.05,)
    from amiss.watch.store import open_store
    from helpers.events import START, make_event
    store = open_store(sys.argv[1], Path(sys.argv[2]))
    for number in range(10**6):
        event = make_event(started=START + timedelta(seconds=number))
        for state in (replace(event, state="open", ended=None), event):
            store.save_event(state)
            print(event.event_id, state.state, flush=True)
"""


@pytest.mark.parametrize(("after", "database_locked"), [(1, False), (40, False), (25, True)])
def test_kill_during_an_open_event(database_url: str, tmp_path: Path, after: int, database_locked: bool) -> None:
    open_store(database_url, tmp_path / "spool").close()

    def run_and_kill() -> dict[str, str]:
        process = python(_WRITER, database_url, tmp_path / "spool")
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        return dict(line.split() for line in lines if line.endswith("\n"))

    if database_locked:
        with locked(database_url):
            saved = run_and_kill()
    else:
        saved = run_and_kill()
    store = open_store(database_url, tmp_path / "spool", rules=[Rule(name="r", channels=("log",), on="closed")])
    store.mark_interrupted(["gate"])
    assert store.flush(20)
    found = {stored.event.event_id: stored.event for stored in all_events(store)}
    assert len(saved) >= after // 2
    assert set(saved) <= set(found)
    for event_id, event in found.items():
        if saved.get(event_id) == "closed":
            assert event.state == "closed"
        else:  # interrupted, or its end got to the spool before it got to us
            assert event.state in ("closed", "interrupted")
            assert event.ended is not None
    store.close()


_SENDER = """
    import sys, time
    from pathlib import Path
    from amiss.watch.alerts import Dispatcher
    from amiss.watch.store import open_store
    from amiss.watch.alerts import WebhookChannel
    from amiss.watch.config import WebhookSettings
    store = open_store(sys.argv[1], Path(sys.argv[2]))
    hook = WebhookChannel("log", WebhookSettings(url=sys.argv[3], allow_private=["127.0.0.0/8"]))
    Dispatcher(store, [hook]).start()
    time.sleep(60)
"""


def test_kill_during_a_delivery(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url, tmp_path / "spool", rules=RULES)
    for number in range(6):
        store.save_event(make_event(started=START + timedelta(minutes=number)))
    assert store.flush(10)
    store.close()
    with _SlowReceiver() as receiver:
        for expected in (2, 4):  # twice: a run that dies while its second alert is under way
            process = python(_SENDER, database_url, tmp_path / "spool", receiver.url)
            wait_until(lambda expected=expected: len(receiver.keys) >= expected)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        receiver.pause_s = 0
        process = python(_SENDER, database_url, tmp_path / "spool", receiver.url)
        wait_until(lambda: len(set(receiver.keys)) == 6)
        store_seen = open_store(database_url, tmp_path / "onlooker")
        wait_until(lambda: store_seen.count_deliveries() == {"sent": 6})
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        assert {delivery.key for delivery in store_seen.deliveries()} == set(receiver.keys)
        assert len(receiver.keys) <= 6 + 2  # at most one repeated per kill, each with its key
        store_seen.close()


def test_mail_server_that_refuses_then_takes_and_forgets_then_works(tmp_path: Path) -> None:
    controllers = pytest.importorskip("aiosmtpd.controller", reason="needs aiosmtpd")
    from amiss.watch.alerts import AppriseChannel
    from amiss.watch.config import AppriseSettings

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mails: list[bytes] = []
    answers = ["451 later", "hang up", "250 taken"]

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
            answer = answers.pop(0) if answers else "250 taken"
            if not answer.startswith("4"):
                mails.append(envelope.content)
            if answer == "hang up":  # took it, and the connection breaks before its yes
                server.transport.close()
            return answer

    store = open_store(f"sqlite:///{tmp_path}/e.db", tmp_path / "spool", rules=RULES)
    channel = AppriseChannel(
        "log",
        AppriseSettings(url=f"mailto://127.0.0.1:{port}?from=a@example.org&to=b@example.org&mode=insecure"),
    )
    dispatcher = Dispatcher(store, [channel], backoff=QUICK)
    dispatcher.start()
    store.save_event(make_event())
    wait_until(lambda: [d for d in store.deliveries() if "refused" in (d.error or "")])  # nobody listens yet
    controller = controllers.Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    wait_until(lambda: store.count_deliveries() == {"sent": 1})
    dispatcher.close()
    controller.stop()
    (delivery,) = store.deliveries()
    assert delivery.attempts >= 4
    ids = {email.message_from_bytes(mail, policy=email.policy.default)["Message-ID"] for mail in mails}
    assert ids == {f"<{delivery.key}@example.org>"}
    assert len(mails) == 2
    store.close()


def test_clock_steps_lose_and_repeat_no_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime as real

    shift = timedelta()

    class Clock(real.datetime):
        @classmethod
        def now(cls, tz: real.tzinfo | None = None) -> real.datetime:  # type: ignore[override]
            return real.datetime.now(tz) + shift

    for module in ("alerts._dispatcher", "store._store"):
        monkeypatch.setattr(f"amiss.watch.{module}.datetime", Clock)
    store = open_store(f"sqlite:///{tmp_path}/e.db", tmp_path / "spool", rules=[RULES[0].changed(cooldown_s=60)])
    sent: list[Alert] = []
    channel = _Collector("log", sent, refuse=1)
    dispatcher = Dispatcher(store, [channel], backoff=Backoff(first_s=500, cap_s=500))
    for days, first in ((0, True), (400, False), (-400, True), (0, False)):
        shift = timedelta(days=days)
        store.save_event(make_event(camera=f"camera{days}{first}"))
        assert store.flush(10)
        channel.refuse = 1
        dispatcher.run_once()
    shift = timedelta(seconds=600)  # the time of the next attempt, by a right clock
    dispatcher.run_once()
    dispatcher.run_once()
    assert sorted(alert.event.camera for alert in sent) == sorted({alert.event.camera for alert in sent})
    assert store.count_deliveries() == {"sent": 4}
    store.close()


def test_log_channel_over_a_kill_between_writing_and_recording(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/e.db", tmp_path / "spool", rules=RULES)
    store.save_event(make_event())
    assert store.flush(10)

    class Died(BaseException):
        pass

    class Dies(LogChannel):
        def send(self, alert: Alert) -> None:
            super().send(alert)
            raise Died

    with pytest.raises(Died):
        Dispatcher(store, [Dies("log", LogSettings(path=tmp_path / "a.jsonl"))]).run_once()
    store.close()
    store = open_store(f"sqlite:///{tmp_path}/e.db", tmp_path / "spool")
    Dispatcher(store, [LogChannel("log", LogSettings(path=tmp_path / "a.jsonl"))]).run_once()
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 1
    assert store.count_deliveries() == {"sent": 1}
    store.close()


class _Collector:
    """A channel that keeps what it takes, after refusing some."""

    def __init__(self, name: str, sent: list[Alert], refuse: int = 0) -> None:
        self.name = name
        self.expire_s = 86400.0
        self.sent = sent
        self.refuse = refuse

    def send(self, alert: Alert) -> None:
        if self.refuse:
            self.refuse -= 1
            raise AlertError("not now")
        self.sent.append(alert)

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass


class _SlowReceiver:
    """An HTTP receiver that notes the key at once and answers late."""

    def __init__(self) -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        self.keys: list[str] = []
        self.pause_s = 0.4
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert body["id"] == self.headers["Idempotency-Key"]
                receiver.keys.append(body["id"])
                time.sleep(receiver.pause_s)
                try:
                    self.send_response(204)
                    self.end_headers()
                except OSError:
                    pass  # the sender was killed

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "_SlowReceiver":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
