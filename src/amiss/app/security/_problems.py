"""Errors as problem+json (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

from amiss.app.accounts import LoginRefusedError, TooManyAttemptsError
from amiss.app.security._folders import told_to
from amiss.errors import AmissError, OutputError, StoreError, showable
from amiss.video import redact

log = logging.getLogger("amiss.app")

PROBLEM_TYPE = "application/problem+json"
_MOST_MISTAKES = 20


class Problem(BaseModel):
    """What was wrong with a request, or kept it from being answered."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no such event"}]
        },
    )

    type: str = "about:blank"
    """Always this: `status` and `detail` say it all."""
    title: str
    """The status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What was wrong, and what to do."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says what was wrong; addresses in it lose their passwords."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=showable(redact(detail)))
    return JSONResponse(body.model_dump(), status, headers, PROBLEM_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """All errors of an application become problems."""

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        return problem(422, "; ".join(map(_in_words, error.errors()[:_MOST_MISTAKES])))

    @app.exception_handler(AmissError)
    async def _amiss(request: Request, error: AmissError) -> Response:
        text = told_to(getattr(request.state, "identity", None), str(error))
        match error:
            case LoginRefusedError():
                return problem(401, text)
            case TooManyAttemptsError():
                return problem(429, text, {"Retry-After": str(round(error.wait_s) + 1)})
            case StoreError() | OutputError():
                log.error("a request failed: %s", error)
                return problem(503, text)
            case _:
                return problem(400, text)

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, error: Exception) -> Response:
        return problem(500, f"{type(error).__name__}: see the log of the server")


def _in_words(mistake: Mapping[str, Any]) -> str:
    """Where and what, without the value: it may be a password."""
    place = ".".join(str(part) for part in mistake["loc"] if part != "body")
    return f"{place}: {mistake['msg']}" if place else str(mistake["msg"])
