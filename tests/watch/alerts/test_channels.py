"""Channels against real receivers on loopback: an SMTP server, an HTTP server, an MQTT broker, a file."""

import email
import email.message
import email.policy
import errno
import inspect
import json
import logging
import os
import smtplib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

pytest.importorskip("apprise", reason="needs amiss[watch]")
pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")

from amiss.errors import AlertError, UsageError
from amiss.watch.alerts import CHANNELS, Alert, AppriseChannel, LogChannel, StatePublisher, WebhookChannel
from amiss.watch.alerts import _apprise as apprise_module
from amiss.watch.alerts import _mqtt as mqtt_module
from amiss.watch.alerts import _webhook as webhook_module
from amiss.watch.alerts._channels import probe_alert
from amiss.watch.config import (
    CHANNEL_KINDS,
    AppriseSettings,
    ChannelSettings,
    LogSettings,
    MqttSettings,
    WebhookSettings,
)
from amiss.watch.config._webhook_address import embedded_v4
from helpers.events import make_event
from helpers.mqtt import Listener
from helpers.streams import free_port
from helpers.waiting import wait_until

KEY = "0123456789abcdef0123456789abcdef"
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


def an_alert(**changes: Any) -> Alert:
    values = {"key": KEY, "rule": "night", "event": make_event(), "link": "http://nvr.example/events/1"} | changes
    return Alert(**values)


# mail


class Mailbox:
    """An SMTP server's handler: keeps mails; answers as told."""

    def __init__(self) -> None:
        self.mails: list[email.message.EmailMessage] = []
        self.recipients: list[str] = []
        self.refuse: dict[str, str] = {}  # recipient, or DATA → reply
        self.pause_s = 0.0

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, _: Any
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        if "DATA" in self.refuse:
            return self.refuse["DATA"]
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))  # type: ignore[arg-type]
        self.recipients += envelope.rcpt_tos
        if self.pause_s:
            import asyncio

            await asyncio.sleep(self.pause_s)
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    controller_module = pytest.importorskip("aiosmtpd.controller", reason="needs aiosmtpd")
    box = Mailbox()
    controller = controller_module.Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, controller.port
    controller.stop()


def mail_channel(port: int, to: str = "guard@example.org") -> AppriseChannel:
    return apprise_channel(f"mailto://127.0.0.1:{port}?from=nvr@example.org&to={to}&mode=insecure")


def apprise_channel(url: str) -> AppriseChannel:
    return AppriseChannel("mail", AppriseSettings(url=url))


def test_mail_carries_snapshot_link_and_a_stable_message_id(mailbox: tuple[Mailbox, int], tmp_path: Path) -> None:
    box, port = mailbox
    snapshot = tmp_path / "Tür 3.jpg"
    snapshot.write_bytes(JPEG)
    channel = mail_channel(port)
    alert = an_alert(event=make_event(camera="Tür 3", file="a.mp4", file_s=61.9, class_name="fall"), snapshot=snapshot)
    channel.send(alert)
    channel.send(alert)
    first, second = box.mails
    assert first["Message-ID"] == second["Message-ID"] == f"<{KEY}@example.org>"
    assert first["Subject"] == "amiss: Tür 3, fall, score 0.90"
    assert first.get_all("To") == ["guard@example.org"]
    body = first.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "Camera Tür 3\nIn a.mp4 at 0:01:01\nBegan" in text.replace("\r", "")
    assert "It may be: fall\nBest score" in text.replace("\r", "")
    assert "http://nvr.example/events/1" in text
    (picture,) = first.iter_attachments()
    assert picture.get_content_type() == "image/jpeg"
    assert picture.get_payload(decode=True) == JPEG


def test_mail_without_snapshot(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    mail_channel(port).send(an_alert())
    assert not box.mails[0].is_multipart()


def test_recipient_that_took_a_mail_gets_no_second_one(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    channel = mail_channel(port, "a@example.org,b@example.org")
    box.refuse["b@example.org"] = "451 greylisted, come back"
    with pytest.raises(AlertError, match="451 greylisted") as caught:
        channel.send(an_alert())
    assert not caught.value.permanent
    box.refuse.clear()
    channel.send(an_alert())
    assert box.recipients == ["a@example.org", "b@example.org"]


def test_refusals_for_good_and_for_now(mailbox: tuple[Mailbox, int], caplog: pytest.LogCaptureFixture) -> None:
    box, port = mailbox
    box.refuse["guard@example.org"] = "550 no such user"
    with pytest.raises(AlertError, match="550 no such user") as caught:
        mail_channel(port).send(an_alert())
    assert caught.value.permanent
    with caplog.at_level(logging.WARNING, "amiss.watch.alerts"):
        mail_channel(port, "guard@example.org,other@example.org").send(an_alert())  # somebody has it
    assert "reached 1 of 2" in caplog.text
    box.refuse = {"DATA": "452 mailbox full"}
    with pytest.raises(AlertError, match="452 mailbox full") as caught:
        mail_channel(port).send(an_alert())
    assert not caught.value.permanent


def test_mail_server_that_is_not_there() -> None:
    with pytest.raises(AlertError, match="Connection refused"):
        mail_channel(free_port()).send(an_alert())


@pytest.mark.faults
def test_mail_server_that_takes_a_mail_and_answers_too_late(
    mailbox: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, port = mailbox
    monkeypatch.setattr(apprise_module, "TIMEOUT_S", 0.3)
    box.pause_s = 0.8
    with pytest.raises(AlertError, match="timed out"):
        mail_channel(port).send(an_alert())
    box.pause_s = 0
    mail_channel(port).send(an_alert())
    wait_until(lambda: len(box.mails) == 2)
    assert len({mail["Message-ID"] for mail in box.mails}) == 1  # taken twice, recognisable as one


@pytest.mark.parametrize("after_banner", [b"", b"220 hello\r\n", b"554 go away\r\n"])
def test_mail_server_that_hangs_or_hangs_up(after_banner: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_module, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def accept() -> None:
            connection, _ = server.accept()
            held.append(connection)
            connection.sendall(after_banner)

        thread = threading.Thread(target=accept)
        thread.start()
        began = time.monotonic()
        with pytest.raises(AlertError, match=r"timed out|554 go away") as caught:
            mail_channel(server.getsockname()[1]).send(an_alert())
        assert time.monotonic() - began < 5
        assert not caught.value.permanent
        thread.join()
        held[0].close()


def test_password_is_in_no_error_and_no_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def chatty(*_: object, **__: object) -> None:
        raise smtplib.SMTPAuthenticationError(535, b"5.7.8 hunter2 s@cret of joe is wrong")

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(smtplib.SMTP, "__init__", chatty)
    channel = apprise_channel("mailto://joe:hunter2%20s%40cret@mail.example.org?to=a@example.org&mode=insecure")
    with pytest.raises(AlertError) as caught:
        channel.send(an_alert())
    assert "535" in str(caught.value)
    assert "s@cret" not in str(caught.value) + caplog.text
    with pytest.raises(UsageError) as refused:
        apprise_channel("nosuchservice://joe:hunter2secret@host")
    assert "hunter2secret" not in str(refused.value) + caplog.text


def test_short_and_quoted_passwords_are_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def chatty(*_: object, **__: object) -> None:
        raise OSError("no entry for abc or s%40me or s@me")

    monkeypatch.setattr(smtplib.SMTP, "__init__", chatty)
    for password in ("abc", "s%40me"):
        url = f"mailto://joe:{password}@mail.example.org?to=a@example.org&mode=insecure"
        with pytest.raises(AlertError) as caught:
            apprise_channel(url).send(an_alert())
        said = str(caught.value)
        assert not any(form in said for form in ([password] if password == "abc" else ["s@me", "s%40me"]))


def test_a_mail_host_that_can_be_none_is_an_error_in_words() -> None:
    channel = apprise_channel(f"mailto://127.0.0.1?smtp={'a' * 70}&from=a@example.org&to=b@example.org&mode=insecure")
    with pytest.raises(AlertError, match="mail server a"):
        channel.send(an_alert())


def test_mails_that_are_given_up_are_forgotten(mailbox: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch) -> None:
    box, port = mailbox
    monkeypatch.setattr(apprise_module, "_MOST_REMEMBERED", 3)
    channel = mail_channel(port, "a@example.org,b@example.org")
    for refused in (("a@example.org", "b@example.org"), ("b@example.org",)):
        box.refuse = dict.fromkeys(refused, "451 later")
        for number in range(5):
            with pytest.raises(AlertError):
                channel.send(an_alert(key=f"{number:032}"))
    assert len(channel._taken) == 3
    box.refuse.clear()
    for number in range(5):
        channel.send(an_alert(key=f"{number:032}"))
    assert channel._taken == {}


# HTTP


class Posts:
    """What an HTTP server was sent, and what it answers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[int] = []
        self.location = ""


@pytest.fixture
def posts() -> Iterator[tuple[Posts, int]]:
    kept = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            read = body if body.startswith(JPEG[:3]) else json.loads(body)
            kept.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, read))
            self.send_response(kept.answers.pop(0) if kept.answers else 200)
            if kept.location:
                self.send_header("Location", kept.location)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield kept, server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


LOOPBACK = ("127.0.0.0/8",)


def webhook(url: str, **settings: Any) -> WebhookChannel:
    return WebhookChannel("hook", WebhookSettings(url=url, **settings))


def test_webhook_posts_the_event_with_its_key(posts: tuple[Posts, int]) -> None:
    kept, port = posts
    url = f"http://joe:p%40ss@127.0.0.1:{port}/hook?x=1"
    channel = webhook(url, headers={"X-Site": "7"}, allow_private=LOOPBACK)
    alert = an_alert()
    channel.send(alert)
    ((path, headers, body),) = kept.seen
    assert path == "/hook?x=1"
    assert headers["idempotency-key"] == body["id"] == KEY
    assert headers["x-site"] == "7"
    assert headers["authorization"] == "Basic am9lOnBAc3M="
    assert body["event"]["event_id"] == alert.event.event_id
    assert body["event"]["started"] == "2026-03-01T12:00:00.250000+00:00"
    assert "trace" not in body["event"]
    assert (body["rule"], body["link"]) == ("night", "http://nvr.example/events/1")


@pytest.mark.parametrize(
    ("status", "permanent"), [(500, False), (503, False), (429, False), (404, False), (400, True), (410, True)]
)
def test_webhook_that_is_refused(posts: tuple[Posts, int], status: int, permanent: bool) -> None:
    kept, port = posts
    kept.answers = [status]
    channel = webhook(f"http://127.0.0.1:{port}/", allow_private=LOOPBACK)
    with pytest.raises(AlertError, match=str(status)) as caught:
        channel.send(an_alert())
    assert caught.value.permanent == permanent
    channel.send(an_alert())
    assert len({headers["idempotency-key"] for _, headers, _ in kept.seen}) == 1


def test_webhook_follows_no_redirect(posts: tuple[Posts, int]) -> None:
    kept, port = posts
    kept.answers = [302]
    kept.location = f"http://127.0.0.1:{port}/elsewhere"
    with pytest.raises(AlertError, match="redirects aren't followed"):
        webhook(f"http://127.0.0.1:{port}/", allow_private=LOOPBACK).send(an_alert())
    assert [path for path, _, _ in kept.seen] == ["/"]


def test_webhook_goes_to_no_private_address_unless_listed(posts: tuple[Posts, int]) -> None:
    kept, port = posts
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "169.254.169.254", "10.1.2.3", "[::1]", "[::ffff:127.0.0.1]"):
        with pytest.raises(UsageError, match="private address"):
            webhook(f"http://{host}:{port}/", allow_private=("192.168.0.0/16",))
    with pytest.raises(AlertError, match="private address"):  # so written it is known only when it is looked up
        webhook(f"http://127.1:{port}/", allow_private=("192.168.0.0/16",)).send(an_alert())
    assert kept.seen == []


def test_name_that_resolves_to_a_private_address(posts: tuple[Posts, int], monkeypatch: pytest.MonkeyPatch) -> None:
    _, port = posts
    looked_up = []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        looked_up.append(host)
        address = "93.184.215.14" if len(looked_up) > 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(webhook_module.socket, "getaddrinfo", resolve)
    with pytest.raises(AlertError, match="private address"):
        webhook(f"http://innocent.example:{port}/").send(an_alert())
    assert looked_up == ["innocent.example"]  # one look-up: what was checked is what is used


@pytest.mark.parametrize(
    ("address", "inside"),
    [("::ffff:10.0.0.1", "10.0.0.1"), ("64:ff9b::7f00:1", "127.0.0.1"), ("2002:7f00:1::", "127.0.0.1"),
     ("2001:db8::1", "2001:db8::1"), ("8.8.8.8", "8.8.8.8")],
)  # fmt: skip
def test_embedded_addresses(address: str, inside: str) -> None:
    assert str(embedded_v4(ip_address(address))) == inside


@pytest.mark.parametrize(
    "url",
    ["ftp://x/", "file:///etc/passwd", "http://", "http://h:port/", "gopher://x", "http://a..b/", f"http://{'a' * 64}/",
     "http://[::1/", "http://x/hook?token=sesame y", "http://x/sésame", "http://a sesame/"],
)  # fmt: skip
def test_webhook_urls_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="WebhookSettings: ") as caught:
        webhook(url)
    assert "sesame" not in str(caught.value)
    with pytest.raises(UsageError, match="header 'X-Key'") as caught:
        webhook("http://x.example/", headers={"X-Key": "two lines\r\nsesame"})
    assert "sesame" not in str(caught.value)
    with pytest.raises(UsageError, match="allow_private"):
        webhook("http://x/", allow_private=("nonsense",))


def test_webhook_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_module, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(AlertError, match="timed out"):
            webhook(url, allow_private=LOOPBACK).send(an_alert())


def test_apprise_json_has_the_key_too(posts: tuple[Posts, int]) -> None:
    kept, port = posts
    channel = AppriseChannel("json", AppriseSettings(url=f"json://127.0.0.1:{port}/x"))
    channel.send(an_alert())
    ((path, headers, body),) = kept.seen
    assert (path, headers["idempotency-key"]) == ("/x", KEY)
    assert "Camera gate" in body["message"]
    kept.answers = [500]
    with pytest.raises(AlertError, match="500"):
        channel.send(an_alert())


def test_ntfy_shows_the_picture_and_opens_the_event(posts: tuple[Posts, int], tmp_path: Path) -> None:
    kept, port = posts
    snapshot = tmp_path / "a.jpg"
    snapshot.write_bytes(JPEG)
    channel = AppriseChannel("ntfy", AppriseSettings(url=f"ntfy://127.0.0.1:{port}/doors"))
    channel.send(an_alert(snapshot=snapshot))
    channel.send(an_alert())
    (picture, plain) = kept.seen
    assert picture[0].startswith("/doors?")
    assert "Camera+gate" in picture[0]
    assert picture[2] == JPEG
    assert plain[2]["topic"] == "doors"
    assert picture[1]["x-click"] == plain[1]["x-click"] == "http://nvr.example/events/1"
    AppriseChannel("ntfy", AppriseSettings(url=f"ntfy://127.0.0.1:{port}/x?click=http://own")).send(an_alert())
    assert kept.seen[-1][1]["x-click"] == "http://own"


# MQTT


def mqtt_channel(
    port: int, cameras: Sequence[str] = (), *, presence: bool = True, **options: Any
) -> mqtt_module.MqttChannel:
    channel = mqtt_module.MqttChannel("mqtt", MqttSettings(host="127.0.0.1", port=port, **options))
    if presence:
        channel.announce(cameras)
    channel.open()
    return channel


def test_mqtt_alerts_states_and_discovery(broker: Callable[[], int]) -> None:
    port = broker()
    listener = Listener(port)
    channel = mqtt_channel(port, cameras=["front gate"])
    assert listener.next("amiss/availability")[0] == "online"
    topic = "homeassistant/binary_sensor/amiss_front_gate/alarm/config"
    config = json.loads(listener.next(topic)[0])
    assert config["state_topic"] == "amiss/front_gate/alarm"
    assert config["availability_topic"] == "amiss/availability"
    assert config["unique_id"] == "amiss_front_gate_alarm"
    assert listener.next("amiss/front_gate/alarm")[0] == "OFF"  # whatever an earlier run left there
    opened = make_event(camera="front gate", state="open")
    channel.publish_event(opened)
    assert json.loads(listener.next("amiss/front_gate/event")[0])["event_id"] == opened.event_id
    assert listener.next("amiss/front_gate/alarm")[0] == "ON"
    alert = an_alert(event=opened)
    channel.send(alert)
    body = json.loads(listener.next("amiss/front_gate/alert")[0])
    assert (body["id"], body["event"]["camera"]) == (KEY, "front gate")
    channel.publish_event(make_event(camera="front gate", event_id=opened.event_id))
    assert listener.next("amiss/front_gate/alarm")[0] == "OFF"
    later = make_event(camera="front gate", state="open", started=opened.started + timedelta(minutes=1))
    channel.publish_event(later)
    channel.publish_event(make_event(camera="front gate", event_id=opened.event_id, clip="a.mp4"))  # of the earlier one
    assert listener.next("amiss/front_gate/alarm")[0] == "ON"
    earlier = make_event(camera="front gate", state="open", started=opened.started - timedelta(hours=1))
    channel.publish_event(replace(earlier, event_id="e" * 32))  # the clock was set back: newer all the same
    assert json.loads(listener.next("amiss/front_gate/event")[0])["event_id"] == "e" * 32
    channel.publish_event(replace(earlier, event_id="e" * 32, state="closed"))
    assert listener.next("amiss/front_gate/alarm")[0] == "ON"
    assert listener.next("amiss/front_gate/alarm")[0] == "OFF"
    channel.publish_event(later)  # scored again
    channel.publish_state("front gate", "reconnecting")
    assert listener.next("amiss/front_gate/status")[0] == "reconnecting"
    channel.close()
    assert listener.next("amiss/availability")[0] == "offline"
    listener.close()
    late = Listener(port)  # retained: whoever comes later sees it too
    seen = {
        topic: payload for topic, payload, retained in (late.messages.get(timeout=10) for _ in range(6)) if retained
    }
    assert seen["amiss/availability"] == "offline"
    assert seen["amiss/front_gate/alarm"] == "ON"
    assert json.loads(seen["amiss/front_gate/event"])["event_id"] == later.event_id
    late.close()


def test_mqtt_broker_that_comes_later_and_comes_back(
    broker: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_module, "TIMEOUT_S", 0.3)
    closed_port = free_port()
    lost = mqtt_channel(closed_port)
    with pytest.raises(AlertError, match=f"127.0.0.1:{closed_port}"):
        lost.send(an_alert())
    lost.close()
    monkeypatch.setattr(mqtt_module, "TIMEOUT_S", 10)
    port = broker()
    channel = mqtt_channel(port)
    channel.publish_event(make_event(state="open"))
    channel.send(an_alert())
    broker()  # killed and started anew: it has forgotten what was retained
    listener = Listener(port)
    channel.send(an_alert(key="f" * 32))
    assert listener.next("amiss/gate/alarm")[0] == "ON"
    assert json.loads(listener.next("amiss/gate/alert")[0])["id"] == "f" * 32
    channel.close()
    listener.close()


def test_mqtt_last_will(broker: Callable[[], int]) -> None:
    port = broker()
    listener = Listener(port)
    channel = mqtt_channel(port)
    assert listener.next("amiss/availability")[0] == "online"
    channel._client.loop_stop()
    sock = channel._client.socket()
    assert sock is not None
    sock.shutdown(socket.SHUT_RDWR)  # as if the machine had died
    sock.close()
    assert listener.next("amiss/availability")[0] == "offline"
    listener.close()


def test_mqtt_offline_of_an_older_connection_is_not_the_last_word(broker: Callable[[], int]) -> None:
    port = broker()
    listener = Listener(port)
    channel = mqtt_channel(port)
    assert listener.next("amiss/availability")[0] == "online"
    listener.client.publish("amiss/availability", "offline", qos=1, retain=True)
    assert listener.next("amiss/availability")[0] == "offline"
    assert listener.next("amiss/availability")[0] == "online"
    channel.close()
    assert listener.next("amiss/availability")[0] == "offline"
    time.sleep(0.2)
    assert listener.messages.empty()
    listener.close()


def test_mqtt_visitor_says_nothing_of_presence(broker: Callable[[], int]) -> None:
    port = broker()
    listener = Listener(port)
    service = mqtt_channel(port)
    assert listener.next("amiss/availability")[0] == "online"
    visitor = mqtt_channel(port, presence=False)
    visitor.send(an_alert())
    visitor.close()
    broken = mqtt_channel(port, presence=False)
    wait_until(broken._connected.is_set)
    sock = broken._client.socket()
    assert sock is not None
    sock.shutdown(socket.SHUT_RDWR)
    time.sleep(0.3)
    broken.close()
    service.send(an_alert(key="f" * 32))
    seen = [listener.messages.get(timeout=10)[0] for _ in range(2)]
    assert seen == ["amiss/gate/alert"] * 2
    service.close()
    listener.close()


def test_mqtt_failed_alerts_leave_no_thread_and_not_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs amiss[mqtt]")
    before = threading.active_count()
    mqtt_module.MqttChannel(
        "mqtt", MqttSettings(host="127.0.0.1", port=free_port())
    ).close()  # not connected before `open`
    assert threading.active_count() == before
    monkeypatch.setattr(mqtt_module, "TIMEOUT_S", 0.01)
    monkeypatch.setattr(mqtt_module, "_MOST_REMEMBERED", 5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel = mqtt_channel(server.getsockname()[1])
        channel._connected.set()  # to a broker that acknowledges nothing
        for number in range(20):
            with pytest.raises(AlertError):
                channel.send(an_alert(key=f"{number:032}"))
        assert len(channel._sent) <= 5
        channel._connected.clear()
        channel.close()
    assert threading.active_count() == before


def test_mqtt_closes_at_once_also_while_it_connects_to_a_silent_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_module, "TIMEOUT_S", 0.01)
    connecting, closing = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel = mqtt_module.MqttChannel("mqtt", MqttSettings(host="127.0.0.1", port=server.getsockname()[1]))
        channel._client.on_pre_connect = lambda *_: (connecting.set(), closing.wait(10))
        channel.open()
        assert connecting.wait(10)
        channel._connected.set()
        with pytest.raises(AlertError):
            channel.send(an_alert())
        channel._connected.clear()
        closer = threading.Thread(target=channel.close)
        closer.start()
        wait_until(lambda: channel._client._thread_terminate)
        closing.set()
        closer.join(10)
        assert not closer.is_alive()


class Shower(LogChannel):
    """A channel that notes the states which it is told."""

    def __init__(self) -> None:
        super().__init__("shower", LogSettings(path=Path()))
        self.seen: list[Any] = []

    def announce(self, cameras: Sequence[str]) -> None:
        pass

    def publish_event(self, event: Any) -> None:
        self.seen.append((event.camera, event.event_id))

    def publish_state(self, camera: str, state: str) -> None:
        self.seen.append((camera, state))


def test_a_new_channel_is_told_what_is_so_now(tmp_path: Path) -> None:
    showing = StatePublisher()
    first, second = Shower(), Shower()
    showing.set_channels([first, LogChannel("log", LogSettings(path=tmp_path))], ["gate"])
    newest = make_event()
    showing.state("gate", "connecting")
    showing.state("gate", "running")
    showing.event(newest)
    showing.event(make_event(started=newest.started - timedelta(hours=1)))  # the clip of an earlier one
    assert len(first.seen) == 4
    showing.set_channels([second], ["gate"])
    assert second.seen == [("gate", "running"), ("gate", newest.event_id)]
    showing.state("gate", "stalled")
    assert second.seen[-1] == ("gate", "stalled")
    assert len(first.seen) == 4


def test_the_newest_event_is_the_one_that_opened_last_though_the_clock_was_set_back() -> None:
    showing, shower = StatePublisher(), Shower()
    showing.set_channels([], ["gate"])
    first = make_event(state="open")
    second = make_event(state="open", started=first.started - timedelta(hours=1))
    showing.event(first)
    showing.event(second)
    showing.event(replace(first, state="closed"))
    showing.set_channels([shower], ["gate"])
    assert shower.seen == [("gate", second.event_id)]


def test_a_removed_camera_is_told_of_once_more_and_forgotten() -> None:
    showing, first, second = StatePublisher(), Shower(), Shower()
    showing.set_channels([], ["gate", "yard"])
    showing.state("gate", "running")
    showing.state("yard", "running")
    showing.event(make_event())
    showing.set_channels([first], ["yard"])
    assert ("gate", "stopped") in first.seen
    assert ("yard", "running") in first.seen
    showing.state("gate", "stopped")  # its worker has ended
    showing.event(make_event())
    showing.set_channels([second], ["yard"])
    assert second.seen == [("yard", "running")]


# file


def test_log_appends_and_never_repeats(tmp_path: Path) -> None:
    path = tmp_path / "log" / "alerts.jsonl"
    channel = LogChannel("log", LogSettings(path=path))
    channel.send(an_alert())
    channel.send(an_alert())
    with path.open("ab") as file:
        file.write(b'{"torn')  # a crash in the middle of a line
    channel.send(an_alert(key="e" * 32))
    lines = path.read_text().splitlines()
    assert json.loads(lines[0])["id"] == KEY
    assert json.loads(lines[2])["id"] == "e" * 32
    assert len(lines) == 3


def test_half_a_line_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    channel = LogChannel("log", LogSettings(path=path))
    channel.send(an_alert())
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])  # a crash after its key was written
    channel.send(an_alert())
    torn, line = path.read_text().splitlines()
    assert (len(torn), json.loads(line)["id"]) == (len(whole) - 20, KEY)


def test_log_on_a_full_disk_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alerts.jsonl"
    channel = LogChannel("log", LogSettings(path=path))
    channel.send(an_alert())
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AlertError, match="No space left"):
        channel.send(an_alert(key="e" * 32))
    assert path.read_bytes() == before
    monkeypatch.undo()
    channel.send(an_alert(key="e" * 32))
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == [KEY, "e" * 32]


def test_log_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(AlertError, match="can't be written"):
        LogChannel("log", LogSettings(path=tmp_path)).send(an_alert())


def test_probe(tmp_path: Path) -> None:
    alert = probe_alert("log")
    LogChannel("log", LogSettings(path=tmp_path / "a.jsonl")).send(alert)
    body = json.loads((tmp_path / "a.jsonl").read_text())
    assert "this is a test of the channel log" in body["text"]
    assert probe_alert("log").key != alert.key


# kinds


def test_every_kind_takes_its_settings() -> None:
    settings = {one.model_fields["kind"].default: one for one in get_args(get_args(ChannelSettings)[0])}
    assert set(settings) == set(CHANNELS.names()) == set(CHANNEL_KINDS)
    for kind, channel in CHANNELS.items():
        assert list(inspect.signature(channel).parameters) == ["name", "settings"]
        assert get_type_hints(channel.__init__)["settings"] is settings[kind]
