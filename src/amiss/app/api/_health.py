"""Whether the service lives and works; metrics."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import PlainTextResponse

from amiss.app.api._answers import Context, Model, Viewer
from amiss.app.security import told_to

open_router = APIRouter(tags=["health"])
router = APIRouter(tags=["health"])

_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Health(Model):
    """How the service is."""

    ready: bool
    reasons: list[str]
    """What keeps it from being ready; a camera that is away is no reason. They name cameras: told to who may see all.
    Where files lie is told to admins."""


@open_router.get("/health/live", response_class=PlainTextResponse)
def live(context: Context) -> Response:
    """For monitors, without a login: whether the service goes on."""
    return PlainTextResponse("ok") if context.view.alive() else PlainTextResponse("the supervisor stands still", 503)


@open_router.get("/health/ready", response_class=PlainTextResponse)
def ready(context: Context) -> Response:
    """For monitors, without a login: whether all is well. `/api/v1/health` says what isn't."""
    return PlainTextResponse("no", 503) if context.view.not_ready() else PlainTextResponse("ok")


@router.get("/health")
def health(who: Viewer, context: Context) -> Health:
    """How the service is, and why it isn't ready."""
    reasons = context.view.not_ready()
    told = [told_to(who, reason) for reason in reasons] if who.cameras is None else []
    return Health(ready=not reasons, reasons=told)


@open_router.get("/metrics", response_class=PlainTextResponse)
@router.get("/metrics", response_class=PlainTextResponse)
def metrics(who: Viewer, context: Context) -> Response:
    """Prometheus' text format; for who may see all cameras."""
    if who.cameras is not None:
        raise HTTPException(403, "metrics are of all cameras, and you may not see all")
    return Response(context.view.metrics_text(), media_type=_METRICS)
