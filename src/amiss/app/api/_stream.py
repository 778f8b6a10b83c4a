"""News for browsers, as they happen: server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from amiss.app._context import AppContext
from amiss.app._feed import News
from amiss.app.accounts import Identity
from amiss.app.api._answers import Context, Viewer
from amiss.app.api._cameras import camera_of

router = APIRouter(tags=["live"])

_CAMERAS_S = 1.0  # how often cameras are looked at
_ALIVE_S = 15.0  # a line at least so often: proxies end connections that say nothing
_ASK_S = 5.0  # how often it is asked whether the listener may still be told


@router.get(
    "/stream", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}}
)  # fmt: skip
async def stream(who: Viewer, context: Context, request: Request) -> StreamingResponse:
    """What happens, until the client goes: `camera` (as in `GET cameras`, without its `scores`, whenever it has
    changed), `event` (`event_id`, `camera`, `state`), `job`."""
    headers = {"X-Accel-Buffering": "no"}  # nginx would keep it back
    return StreamingResponse(_lines(who, context), media_type="text/event-stream", headers=headers)


async def _lines(who: Identity, context: AppContext) -> AsyncIterator[str]:
    told: dict[str, str] = {}
    said = asked = time.monotonic()
    yield "retry: 3000\n\n"
    with context.feed.listening() as listener:
        while True:
            lines = [_line(news.kind, json.dumps(news.data)) for news in await listener.take(_CAMERAS_S)
                     if _is_for(who, news)]  # fmt: skip
            for name, state in _cameras(who, context).items():
                if told.get(name) != state:
                    told[name] = state
                    lines.append(_line("camera", state))
            now = time.monotonic()
            if now - asked > _ASK_S:
                if not await run_in_threadpool(context.accounts.is_valid, who):
                    return
                asked = now
            if not lines and now - said > _ALIVE_S:
                lines = [": alive\n\n"]
            if lines:
                said = now
                yield "".join(lines)


def _is_for(who: Identity, news: News) -> bool:
    if news.camera is not None:
        return who.may_see(news.camera)
    return who.cameras is None and who.is_at_least("reviewer")


def _cameras(who: Identity, context: AppContext) -> dict[str, str]:
    """Name → what is told of it."""
    statuses = [status for status in context.view.watched.cameras() if who.may_see(status.name)]
    return {status.name: camera_of(status, who).model_dump_json(exclude={"scores"}) for status in statuses}


def _line(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
