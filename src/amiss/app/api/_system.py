"""The machine and the service: disk, spool, database, messages."""

from __future__ import annotations

import shutil
import time
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from amiss._version import __version__
from amiss.app.api._answers import Admin, Context, Model
from amiss.reading import shown
from amiss.video import redact
from amiss.watch.store import DeliveryState

router = APIRouter(tags=["system"])

_STARTED = time.monotonic()


class Disk(Model):
    """Where clips and pictures are."""

    media_bytes: int
    """Of all clips and pictures."""
    free_bytes: int | None
    """Null: the disk doesn't tell."""
    total_bytes: int | None


class Spool(Model):
    """What waits for the database."""

    waiting: int
    """Records."""
    waiting_bytes: int
    waiting_s: float
    in_memory: int
    """Of these, what the disk didn't take: lost with the process."""
    dropped: int
    rejected: int


class System(Model):
    """How the service is."""

    version: str
    up_s: float
    """For how long it has been running."""
    ready: bool
    reasons: list[str]
    """What keeps it from being ready."""
    database: str
    """sqlite or postgresql."""
    disk: Disk
    spool: Spool
    deliveries: dict[str, int]
    """Messages by state."""
    listeners: int
    """Browsers that follow what happens."""


class Delivery(Model):
    """A message, sent or to be sent."""

    tells: str
    """`event`, or of a camera `offline` or `back`."""
    event_id: str | None
    camera: str
    rule: str
    channel: str
    state: DeliveryState
    attempts: int
    created: datetime
    finished: datetime | None
    error: str | None
    """Why it wasn't taken."""


class Deliveries(Model):
    """The newest first."""

    deliveries: list[Delivery]


@router.get("/system")
def system(who: Admin, context: Context) -> System:
    """How the service is."""
    watched, view = context.view.watched, context.view
    status, health, reasons = watched.store.status(), watched.health(), view.not_ready()
    try:
        usage = shutil.disk_usage(watched.media)
    except OSError:
        usage = None
    return System(
        version=__version__, up_s=round(time.monotonic() - _STARTED, 1), ready=not reasons, reasons=reasons,
        database=watched.store.engine.dialect.name,
        disk=Disk(
            media_bytes=health.media_bytes, free_bytes=usage and usage.free, total_bytes=usage and usage.total
        ),
        spool=Spool(
            waiting=status.waiting, waiting_bytes=status.waiting_bytes, waiting_s=round(status.waiting_s, 1),
            in_memory=status.in_memory, dropped=status.dropped, rejected=status.rejected,
        ),
        deliveries=dict(view.deliveries()), listeners=context.feed.n_listeners,
    )  # fmt: skip


@router.get("/deliveries")
def deliveries(
    who: Admin,
    context: Context,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Deliveries:
    """Messages to channels, and what became of them."""
    found = context.store.deliveries(state=state, limit=limit)
    fields = [name for name in Delivery.model_fields if name != "error"]
    return Deliveries(
        deliveries=[
            Delivery(**{name: getattr(one, name) for name in fields},
                     error=None if one.error is None else shown(redact(one.error), quoted=False, most=1000))
            for one in found
        ]
    )  # fmt: skip
