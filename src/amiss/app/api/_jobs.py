"""Jobs: what people started, and how far it is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import ConfigDict, Field

from amiss.app import jobs
from amiss.app._context import AppContext
from amiss.app.accounts import Identity
from amiss.app.api._answers import ALL_CAMERAS, Context, Id, Model, Reviewer, none_such
from amiss.app.security import told_to
from amiss.app.teach import ask_calibrate, ask_retrain

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[ALL_CAMERAS])

_EXAMPLE: dict[str, Any] = {
    "job_id": "0123456789abcdef0123456789abcdef", "kind": "score", "title": "3 videos", "who": "ada",
    "created": "2026-03-01T12:00:00Z", "state": "running", "started": "2026-03-01T12:00:00Z", "ended": None,
    "n_done": 1.4, "n_total": 3.0, "what": "night.mp4", "problem": None, "result": None,
}  # fmt: skip

Camera = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", examples=["door"])]


class Job(Model):
    """Something that somebody started, as it is now."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    job_id: str
    kind: str
    title: str
    """What it is about."""
    who: str
    """Who started it."""
    created: datetime
    state: jobs.JobState
    started: datetime | None
    ended: datetime | None
    n_done: float
    """How much of it is done, in its own unit …"""
    n_total: float
    """… and of how much; 0 = nobody knows."""
    what: str
    """What is being done."""
    problem: str | None
    """Why it failed."""
    result: dict[str, Any] | None


class Jobs(Model):
    """The newest first."""

    jobs: list[Job]


class ScoreJob(Model):
    """Score recorded videos, one after the other."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "score", "videos": ["ab" * 16]}]})

    kind: Literal["score"]
    videos: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    """Their ids."""


class RetrainJob(Model):
    """Train a detector anew with what was reviewed; an admin's."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "retrain"}]})

    kind: Literal["retrain"]
    camera: Camera | None = None
    """Where cameras have several detectors: the one of this camera."""


class CalibrateJob(Model):
    """Find a camera's threshold by watching it while nothing happens; an admin's."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "calibrate", "camera": "door", "per_hour": 0.1, "hours": 8}]}
    )

    kind: Literal["calibrate"]
    camera: Camera
    per_hour: Annotated[float, Field(gt=0, le=3600)]
    """False alarms an hour, at most."""
    hours: Annotated[float, Field(gt=0, le=1000)]
    """For how long it is watched."""


@router.get("")
def all_jobs(who: Reviewer, context: Context) -> Jobs:
    """What was started, waits, runs, or has ended."""
    return Jobs(jobs=[job_of(job, who) for job in context.jobs.all()])


@router.get("/{job_id}")
def one(job_id: Id, who: Reviewer, context: Context) -> Job:
    """One job."""
    job = context.jobs.get(job_id)
    if job is None:
        raise none_such("job")
    return job_of(job, who)


@router.post("", status_code=202)
def start(
    wanted: Annotated[ScoreJob | RetrainJob | CalibrateJob, Field(discriminator="kind")],
    who: Reviewer,
    context: Context,
) -> Job:
    """Start a job. It begins when those before it have ended."""
    if isinstance(wanted, ScoreJob):
        return _start_score(wanted, who, context)
    _require_admin(who)
    config, file = context.config(), context.config_file
    if config is None or file is None:
        raise HTTPException(400, "there are no cameras here: that takes `amiss serve CONFIG`")
    if wanted.camera is not None and wanted.camera not in config.cameras:
        raise none_such("camera")
    if isinstance(wanted, RetrainJob):
        return job_of(ask_retrain(context.jobs, file.path, wanted.camera, who.name), who)
    job = ask_calibrate(context.jobs, file.path, wanted.camera, wanted.per_hour, wanted.hours, who.name)
    return job_of(job, who)


def _require_admin(who: Identity) -> None:
    if not who.is_at_least("admin"):
        raise HTTPException(403, f"this takes an admin; you are a {who.role}")


def _start_score(wanted: ScoreJob, who: Identity, context: AppContext) -> Job:
    videos = [context.library.get(video_id) for video_id in dict.fromkeys(wanted.videos)]
    found = [video for video in videos if video is not None]
    if len(found) < len(videos):
        raise none_such("video")
    waiting = [video for video in found if video.state not in ("waiting", "scoring")]
    if not waiting:
        raise HTTPException(409, "they are being scored already")
    return job_of(context.library.score(waiting, who.name), who)


@router.delete("/{job_id}")
def stop(job_id: Id, who: Reviewer, context: Context) -> Job:
    """Stop a job. What it has done so far stays. An admin's are stopped by admins."""
    job = context.jobs.get(job_id)
    if job is not None and job.kind != "score":
        _require_admin(who)
    job = context.jobs.stop(job_id)
    if job is None:
        raise none_such("job")
    return job_of(job, who)


def job_of(job: jobs.Job, who: Identity | None) -> Job:
    """What the API shows of a job; who is no admin isn't told where files lie."""
    problem = None if job.problem is None else told_to(who, job.problem)
    return Job(**vars(job) | {"problem": problem})


def job_news(job: jobs.Job) -> dict[str, Any]:
    """The same for the stream of news."""
    return job_of(job, None).model_dump(mode="json")
