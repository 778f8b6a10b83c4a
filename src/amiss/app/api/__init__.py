"""The API, under `/api/v1`: one file per subject."""

from fastapi import APIRouter

from amiss.app.api import (
    _cameras,
    _detectors,
    _events,
    _health,
    _jobs,
    _keys,
    _me,
    _raised,
    _reviews,
    _settings,
    _similar,
    _stream,
    _system,
    _users,
    _videos,
    _words,
)
from amiss.app.api._answers import PROBLEMS
from amiss.app.api._jobs import job_news
from amiss.app.api._videos import UPLOAD_PATH

open_router = _health.open_router
"""Routes without a login: whether the service lives."""

router = APIRouter(prefix="/api/v1", responses=PROBLEMS)
"""All others."""
_SUBJECTS = (_me, _cameras, _raised, _words, _events, _similar, _reviews, _videos, _detectors, _jobs, _users, _keys,
             _settings, _stream, _system, _health)  # fmt: skip
for _subject in _SUBJECTS:
    router.include_router(_subject.router)

__all__ = ["UPLOAD_PATH", "job_news", "open_router", "router"]
