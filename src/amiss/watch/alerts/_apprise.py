"""Alerts through Apprise; mail with a Message-ID that stays the same over attempts."""

import email
import logging
import re
import smtplib
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, unquote

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its PGP support looks for imghdr
    import apprise
    from apprise.exception import AppriseException
    from apprise.plugins.email.base import NotifyEmail

from amiss._version import __version__
from amiss.errors import AlertError
from amiss.watch.alerts._channels import Alert
from amiss.watch.config import AppriseSettings

log = logging.getLogger("amiss.watch.alerts")

TIMEOUT_S = 30.0
_SECRET_LENGTH = 4
_MOST_REMEMBERED = 1000  # alerts that some recipients have


class AppriseChannel:
    """One Apprise URL: mail, Telegram, ntfy, … (see Apprise's list of services).

    Mail has the idempotency key in its Message-ID, so that a mail that was taken twice is recognised; JSON, XML and
    form posts have it in the header Idempotency-Key. Other services have no place for it.
    """

    def __init__(self, name: str, settings: AppriseSettings) -> None:
        self.name = name
        self.expire_s = settings.expire_s
        self.timeout_s = settings.timeout_s
        self._settings = settings
        self._taken: dict[str, set[str]] = {}  # mail: recipients that have an alert which others don't have yet
        service = settings.service()
        self._secrets = _secrets(settings.url.get_secret_value(), service.url(privacy=True), service.password)

    def open(self) -> None:
        """Nothing is kept open."""

    def send(self, alert: Alert) -> None:
        """See `Channel.send`."""
        service = self._settings.service()
        files = [str(alert.snapshot)] if self._settings.attach and alert.snapshot and service.attachment_support else []
        if isinstance(service, NotifyEmail):
            attachments = apprise.AppriseAttachment(files, asset=service.asset) if files else None
            self._mail(service, alert, attachments)
            return
        headers = getattr(service, "headers", None)
        if isinstance(headers, dict):
            headers["Idempotency-Key"] = alert.key
        if alert.link and getattr(service, "click", "") is None:  # ntfy: a tap on the message opens the event
            service.click = alert.link
        sender = apprise.Apprise(service, asset=service.asset)
        try:
            result = sender.notify(body=alert.text, title=alert.title, attach=files or None, body_format="text")
        except ValueError as error:  # such as a host that can't be one
            raise AlertError(self._clean(str(error))) from None
        if not result:
            said = "; ".join(dict.fromkeys(entry.message for entry in result.logs()))
            raise AlertError(self._clean(said) or f"{service.service_name} did not take it")

    def close(self) -> None:
        """Nothing is kept open."""

    def _mail(self, service: NotifyEmail, alert: Alert, attachments: Any) -> None:
        messages = service.prepare_emails(
            subject=alert.title, body=alert.text, notify_format=apprise.NotifyFormat.TEXT,
            from_addr=service.from_addr, to=service.targets, cc=service.cc, bcc=service.bcc,
            reply_to=service.reply_to, smtp_host=service.smtp_host, attach=attachments, names=service.names,
            headers=service.headers | {"X-Amiss-Alert": alert.key, "User-Agent": f"amiss/{__version__}"},
            pgp=service.pgp, pgp_mode=service.pgp_mode, tzinfo=service.tzinfo,
        )  # fmt: skip
        sender = str(service.from_addr[1])
        taken = self._taken.pop(alert.key, set())
        refused: list[tuple[int, str]] = []
        try:
            with _session(service) as server:
                for message in messages:
                    if message.recipient in taken:
                        continue  # took it in an attempt in which another recipient didn't
                    parsed = email.message_from_string(str(message.body))
                    parsed.replace_header("Message-ID", f"<{alert.key}@{sender.partition('@')[2]}>")
                    # smtplib leaves the line ends of bytes as they are
                    whole = parsed.as_bytes(policy=parsed.policy.clone(linesep="\r\n"))
                    try:
                        server.sendmail(sender, message.to_addrs, whole)
                    except smtplib.SMTPRecipientsRefused as error:
                        refused += [(code, _text(reply)) for code, reply in error.recipients.values()]
                        continue
                    taken.add(message.recipient)
        except smtplib.SMTPResponseException as error:
            raise AlertError(self._clean(f"the mail server said {error.smtp_code} {_text(error.smtp_error)}")) from None
        except (OSError, ValueError, smtplib.SMTPException, AppriseException) as error:
            raise AlertError(self._clean(f"mail server {service.smtp_host}: {error or type(error).__name__}")) from None
        finally:
            self._remember(alert.key, taken)
        if refused:
            said = self._clean("recipient refused: " + "; ".join(f"{code} {text}" for code, text in refused))
            permanent = all(500 <= code < 600 for code, _ in refused)
            if not (taken and permanent):
                raise AlertError(said, permanent=permanent)
            log.warning("alert %s reached %d of %d recipients of %s; %s", alert.key, len(taken),
                        len(taken) + len(refused), self.name, said)  # fmt: skip
        self._taken.pop(alert.key, None)

    def _remember(self, key: str, taken: set[str]) -> None:
        """For the next attempt, if there is one: nobody tells of alerts that are given up."""
        if taken:
            self._taken[key] = taken
        while len(self._taken) > _MOST_REMEMBERED:
            del self._taken[next(iter(self._taken))]

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())


@contextmanager
def _session(service: NotifyEmail) -> Iterator[smtplib.SMTP]:
    """A connection to the mail server as the URL describes it. What goes wrong after the last mail is no matter."""
    context = ssl.create_default_context()
    if not service.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    host, port = str(service.smtp_host), int(service.port or 0)
    if service.secure_mode == "ssl":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
    try:
        if service.secure_mode == "starttls":
            server.starttls(context=context)
        if service.user and service.password:
            server.login(service.user, service.password)
        yield server
        with suppress(OSError, smtplib.SMTPException):
            server.quit()
    finally:
        server.close()


def _text(reply: bytes | str) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply


def _secrets(url: str, masked: str, password: str | None) -> list[str]:
    """The password and other parts of the URL that Apprise masks, however they are written; longest first."""
    parts = {part for part in re.split(r"[/:@?&=,]+", url) if len(part) >= _SECRET_LENGTH}
    hidden = {part for part in parts if part not in masked} | ({password} if password else set())
    plain = hidden | {unquote(part) for part in hidden}
    return sorted(plain | {quote(part, safe="") for part in plain}, key=len, reverse=True)
