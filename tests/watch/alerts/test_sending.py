"""Attempts that end in time, against servers on loopback that never come to an end."""

import http.client
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("apprise", reason="needs amiss[watch]")
pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")

from amiss.errors import AlertError
from amiss.video import Backoff
from amiss.watch.alerts import AppriseChannel, Channel, Dispatcher, WebhookChannel, send_test
from amiss.watch.alerts import _sending as sending_module
from amiss.watch.alerts._channels import Alert, probe_alert
from amiss.watch.alerts._sending import Sending
from amiss.watch.config import LONGEST_SEND_S, AppriseSettings, MqttSettings, Rule, WebhookSettings, load_config
from amiss.watch.store import Store, open_store
from amiss.watch.store._deliveries import LEASE_S
from helpers.events import make_event
from helpers.fake_detector import SPEC, brightness_detector
from helpers.streams import Connection, FakeCamera
from helpers.waiting import wait_until

pytestmark = pytest.mark.faults

SHORT_S = 0.6
SOON = Backoff(first_s=1e-6, cap_s=1e-6, jitter=0)
Script = Callable[[Connection], None]


def again(data: bytes, first: bytes = b"", every_s: float = 0.03) -> Script:
    """What a server sends for ever, each time well within the timeout of a read."""

    def script(connection: Connection) -> None:
        connection.sock.sendall(first)
        while True:
            connection.sock.sendall(data)
            connection.wait(every_s)

    return script


def silent(connection: Connection) -> None:
    connection.wait(60)


class Plugin:
    """A channel of somebody else, who thought of no timeout at all; older than `timeout_s`."""

    expire_s = 3600.0

    def __init__(self, name: str, port: int) -> None:
        self.name, self.url = name, f"http://127.0.0.1:{port}/"

    def open(self) -> None:
        pass

    def send(self, alert: Alert) -> None:
        try:
            with urllib.request.urlopen(self.url, data=alert.key.encode()) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            raise

    def close(self) -> None:
        pass


def plugin(port: int) -> Channel:
    made = Plugin("it", port)
    made.timeout_s = SHORT_S  # type: ignore[attr-defined]
    return made  # type: ignore[return-value]


def webhook(port: int) -> Channel:
    settings = WebhookSettings(url=f"http://127.0.0.1:{port}/", allow_private=("127.0.0.0/8",), timeout_s=SHORT_S)
    return WebhookChannel("it", settings)


def encrypted_webhook(port: int) -> Channel:
    settings = WebhookSettings(url=f"https://127.0.0.1:{port}/", allow_private=("127.0.0.0/8",), timeout_s=SHORT_S)
    return WebhookChannel("it", settings)


def apprise(address: str) -> Callable[[int], Channel]:
    return lambda port: AppriseChannel("it", AppriseSettings(url=address.format(port=port), timeout_s=SHORT_S))


def mqtt(port: int) -> Channel:
    module = pytest.importorskip("amiss.watch.alerts._mqtt", reason="needs amiss[mqtt]")
    channel: Channel = module.MqttChannel("it", MqttSettings(host="127.0.0.1", port=port, timeout_s=SHORT_S))
    return channel


MAIL = apprise("mailto://127.0.0.1:{port}?from=nvr@example.org&to=guard@example.org&mode=insecure")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HTTP = {
    "silent": silent,
    "a header that never ends": again(b"a", b"HTTP/1.1 200 OK\r\nX-Slow: "),
    "continue for ever": again(CONTINUE),
}
CASES: dict[str, tuple[Callable[[int], Channel], Script]] = {
    **{f"webhook, {name}": (webhook, script) for name, script in HTTP.items()},
    **{f"json, {name}": (apprise("json://127.0.0.1:{port}/"), script) for name, script in HTTP.items()},
    **{f"plug-in, {name}": (plugin, script) for name, script in HTTP.items()},
    "plug-in, a body that never ends": (plugin, again(b"a", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")),
    "ntfy, a body that never ends": (
        apprise("ntfy://127.0.0.1:{port}/topic"), again(b"a", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
    ),
    "https, a handshake that never ends": (encrypted_webhook, again(b"\x00", b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xf0")),
    "mail, silent": (MAIL, silent),
    "mail, a greeting letter by letter": (MAIL, again(b"2")),
    "mail, a greeting of endless lines": (MAIL, again(b"220-hello\r\n")),
    "mail, an answer of endless lines": (MAIL, again(b"250-and\r\n", b"220 hello\r\n")),
    "mqtt, silent": (mqtt, silent),
    "mqtt, letter by letter": (mqtt, again(b"\x20")),
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/amiss.db", tmp_path / "spool")
    opened.set_rules([Rule(name="r", channels=("it",), cooldown_s=0)])
    yield opened
    opened.close()


def save(store: Store) -> None:
    store.save_event(make_event())
    assert store.flush(10)


@pytest.mark.parametrize("case", CASES)
def test_no_server_holds_an_attempt_longer_than_its_time(case: str) -> None:
    make, script = CASES[case]
    ended = threading.Event()

    def until_the_end(connection: Connection) -> None:
        try:
            script(connection)
        finally:
            ended.set()  # nobody reads any more

    with FakeCamera(until_the_end) as server:
        channel = make(server.port)
        channel.open()
        began = time.monotonic()
        sending = Sending(channel, probe_alert("it"))
        with pytest.raises(AlertError, match=r"cut off|acknowledged nothing|not connected yet"):
            sending.wait()
        assert time.monotonic() - began < SHORT_S + 1.5
        assert not sending.is_alive
        channel.close()
        assert script is silent or ended.wait(5)


def test_longest_time_is_shorter_than_the_lease() -> None:
    assert LONGEST_SEND_S + 30 < LEASE_S
    with pytest.raises(ValueError, match="at most 240"):
        WebhookSettings(url="http://example.org/", timeout_s=LONGEST_SEND_S + 1)


def test_what_was_cut_off_is_tried_again_and_the_channel_goes_on(store: Store) -> None:
    keys = []

    def script(connection: Connection) -> None:
        request = connection.sock.recv(65536).decode()
        keys.append(request.partition("Idempotency-Key: ")[2].partition("\r")[0])
        if len(keys) == 1:
            again(CONTINUE)(connection)
        connection.sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with FakeCamera(script) as server:
        dispatcher = Dispatcher(store, [webhook(server.port)], backoff=SOON)
        save(store)
        dispatcher.run_once()
        (delivery,) = store.deliveries()
        assert (delivery.state, delivery.attempts, delivery.error) == (
            "sent", 2, None if delivery.error is None else "not taken within 0.6 s: the attempt was cut off",
        )  # fmt: skip
    assert len(keys) == 2
    assert len(set(keys)) == 1
    dispatcher.close()


def test_a_hanging_machine_and_another_one_send_one_alert_once(store: Store, tmp_path: Path) -> None:
    taken: list[str] = []
    hanging = threading.Event()

    def script(connection: Connection) -> None:
        if connection.number == 1:
            connection.sock.recv(100)
            hanging.set()
            again(CONTINUE)(connection)
        taken.append(connection.sock.recv(65536).decode())
        connection.sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    other = open_store(f"sqlite:///{tmp_path}/amiss.db", tmp_path / "other spool")
    with FakeCamera(script) as server:
        first = Dispatcher(store, [webhook(server.port)], backoff=Backoff(first_s=30, cap_s=30, jitter=0))
        second = Dispatcher(other, [webhook(server.port)])
        save(store)
        thread = threading.Thread(target=first.run_once)
        thread.start()
        assert hanging.wait(10)
        assert second.run_once() == 0  # the first has it
        thread.join(10)
        (waiting,) = store.deliveries()
        assert waiting.state == "pending"
        other.outbox.postpone(waiting.key, datetime.now(UTC), "")  # 30 s are over
        assert second.run_once() == 1
        assert first.run_once() == 0
        assert [delivery.state for delivery in store.deliveries()] == ["sent"]
        assert len(taken) == 1
    for dispatcher in (first, second):
        dispatcher.close()
    other.close()


def test_what_can_not_be_cut_off_is_given_up_and_not_sent_again_if_it_was_taken_in_the_end(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_module, "_GRACE_S", 0.05)
    release = threading.Event()
    sent: list[str] = []

    class Deaf(Plugin):
        timeout_s = 0.1

        def send(self, alert: Alert) -> None:
            release.wait(20)  # a library that nobody can stop
            sent.append(alert.key)

    dispatcher = Dispatcher(store, [Deaf("it", 0)], backoff=SOON)
    save(store)
    assert dispatcher.run_once() == 1
    (delivery,) = store.deliveries()
    assert (delivery.state, delivery.error) == ("pending", "not taken within 0.1 s: the attempt was cut off")
    assert "can't be cut off" in caplog.text
    assert dispatcher.run_once() == 0  # one thread uses a channel at a time
    release.set()
    wait_until(lambda: sent)
    wait_until(lambda: dispatcher.run_once() == 0 and store.count_deliveries() == {"sent": 1})
    assert len(sent) == 1
    dispatcher.close()


def test_after_its_time_an_attempt_connects_no_more() -> None:
    problems: list[BaseException] = []
    looked_up = threading.Event()

    class SlowLookUp(Plugin):
        timeout_s = 0.1

        def send(self, alert: Alert) -> None:
            looked_up.wait(10)
            try:
                http.client.HTTPConnection("127.0.0.1", server.port).connect()
            except OSError as error:
                problems.append(error)

    with FakeCamera(silent) as server:
        sending = Sending(SlowLookUp("it", 0), probe_alert("it"))
        sending._thread.join(0.2)
        assert sending._end()
        looked_up.set()
        sending._thread.join(5)
        assert [str(problem) for problem in problems] == ["the time of this attempt is over"]
        assert server.n_connections == 0
        socket.create_connection(("127.0.0.1", server.port)).close()  # others connect as ever


def test_a_plugin_that_ends_its_thread_was_not_taken(store: Store) -> None:
    class Quits(Plugin):
        def send(self, alert: Alert) -> None:
            raise SystemExit

    dispatcher = Dispatcher(store, [Quits("it", 0)])
    save(store)
    assert dispatcher.run_once() == 1
    (delivery,) = store.deliveries()
    assert (delivery.state, delivery.error) == ("pending", "unforeseen: SystemExit")
    dispatcher.close()


def test_the_test_of_a_channel_ends_in_time_too(tmp_path: Path) -> None:
    with FakeCamera(again(CONTINUE)) as server:
        file = tmp_path / "watch.yaml"
        brightness_detector(SPEC).save(tmp_path / "detector")
        file.write_text(
            "detector: detector\ncameras: {c: {url: 'replay:x.mp4'}}\nchannels:\n"
            f"  hook: {{kind: webhook, url: 'http://127.0.0.1:{server.port}/', allow_private: [127.0.0.0/8],"
            " timeout_s: 0.3}\n"
        )
        assert list(send_test(load_config(file))) == [("hook", "not taken within 0.3 s: the attempt was cut off")]


UGLY = b"\x1b[2J\x1b]0;title\x07 no\x00\xe2\x80\xae\x9b31m\t" + b"x" * 5000


def answers(*parts: bytes) -> Script:
    def script(connection: Connection) -> None:
        for part in parts:
            connection.sock.sendall(part)
            connection.sock.recv(65536)

    return script


@pytest.mark.parametrize(
    ("make", "script"),
    [
        (MAIL, answers(b"554 " + UGLY[:400] + b"\r\n")),
        (webhook, answers(UGLY[:200] + b"\r\n\r\n")),
        (plugin, answers(b"HTTP/1.1 500 " + UGLY[:200] + b"\r\n\r\n")),
        (apprise("json://127.0.0.1:{port}/"), answers(b"HTTP/1.1 500 " + UGLY[:200] + b"\r\n\r\n" + UGLY)),
    ],
    ids=["mail", "webhook", "plug-in", "json"],
)
def test_answers_of_servers_are_cleaned_in_errors_log_and_database(
    make: Callable[[int], Channel], script: Script, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with FakeCamera(script) as server:
        dispatcher = Dispatcher(store, [make(server.port)])
        save(store)
        assert dispatcher.run_once() == 1
        (delivery,) = store.deliveries()
        assert delivery.error
        assert len(delivery.error) <= 1000
        said = [record.getMessage() for record in caplog.records if record.name.startswith("amiss")]
        assert said
        for text in (delivery.error, *said):
            assert text.replace("\n", "").isprintable(), text  # a fault of a channel's code has lines
        dispatcher.close()


def test_an_alert_error_is_one_line_of_bounded_length() -> None:
    error = AlertError("first\r\nsecond \x1b[31m" + "y" * 9999)
    assert str(error).startswith(r"first second \x1b[31my")
    assert len(str(error)) == 1000
