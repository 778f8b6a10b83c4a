"""The API, under `/api/v1`: one file per subject."""

from fastapi import APIRouter

from amiss.app.api import _cameras, _events, _health, _keys, _me, _reviews, _stream, _system, _users
from amiss.app.api._answers import PROBLEMS

open_router = _health.open_router
"""Routes without a login: whether the service lives."""

router = APIRouter(prefix="/api/v1", responses=PROBLEMS)
"""All others."""
for _subject in (_me, _cameras, _events, _reviews, _users, _keys, _stream, _system, _health):
    router.include_router(_subject.router)

__all__ = ["open_router", "router"]
