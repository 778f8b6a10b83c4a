"""What a threshold would have raised on a camera in the last days, and which one gives so many false alarms an hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import numpy as np
from fastapi import APIRouter, HTTPException, Query
from pydantic import ConfigDict
from pydantic.config import JsonDict

from amiss.app._context import AppContext
from amiss.app.accounts import Identity
from amiss.app.api._answers import CameraName, Context, Model, Reviewer, none_such
from amiss.detection import Alarm, AlarmSettings, ScoreTrack, detector_digest
from amiss.errors import EvaluationError
from amiss.watch import Config, read_history
from amiss.watch.store import EventQuery, StoredEvent, Verdict
from amiss.watch.teach import promoted_detector

router = APIRouter(prefix="/cameras", tags=["cameras"])

_MOST_LISTED, _MOST_EVENTS = 200, 1000
_POINTS, _BINS = 25, 800
_LOWEST_SHARE = 0.9  # of clips lie below the lowest `off` of the curve
_EXAMPLE: JsonDict = {
    "camera": "door", "since": "2026-03-01T12:00:00Z", "until": "2026-03-08T12:00:00Z", "hours": 167.9,
    "threshold_on": 0.62, "threshold_off": 0.5, "message": "threshold 0.6200: 9 alarms in 167.90 h of normal footage",
    "is_enough": True, "n_alarms": 12, "alarms": [], "n_confirmed": 3, "n_found": 3, "curve": [[0.5, 40], [0.62, 12]],
    "scores": [[0.0, 0.1]], "problem": None,
}  # fmt: skip


class WouldAlarm(Model):
    """An alarm that would have been raised."""

    started: datetime
    ended: datetime
    peak: datetime
    score: float
    event_id: str | None
    """The event that was raised then; null = none was."""
    verdict: Verdict | None
    """What people said of it."""


class Raised(Model):
    """What thresholds would have raised."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    camera: str
    since: datetime
    until: datetime
    hours: float
    """Of these days, those of which scores are kept, by the detector that watches now."""
    threshold_on: float
    threshold_off: float
    message: str | None
    """What the footage says of this threshold, where it was looked for."""
    is_enough: bool
    """Whether the hours can show so few false alarms an hour."""
    n_alarms: int
    """That would have been raised."""
    alarms: list[WouldAlarm]
    """The newest 200 of them, newest first."""
    n_confirmed: int
    """Events that were raised and confirmed in that time …"""
    n_found: int
    """… and of these, those that would have been raised."""
    curve: list[tuple[float, int]]
    """(threshold, alarms that it would have raised); empty where it wasn't asked for"""
    scores: list[tuple[float, float]]
    """(seconds since `since`, highest smoothed score) of stretches of time; empty stretches are left out."""
    problem: str | None
    """Why nothing can be said; null = it can."""


@router.get("/{camera}/raised")
def raised(
    camera: CameraName,
    who: Reviewer,
    context: Context,
    threshold: Annotated[
        float | None, Query(gt=0, lt=1, description="Left out, with `per_hour`, too: the one of now")
    ] = None,
    per_hour: Annotated[
        float | None, Query(gt=0, le=3600, description="Look for the lowest threshold with so few false alarms an hour")
    ] = None,
    days: Annotated[float, Query(gt=0, le=31)] = 7,
    curve: Annotated[bool, Query(description="Also say it of other thresholds, which takes longer")] = True,
) -> Raised:
    """What a threshold would have raised on a camera in the last days.

    With `per_hour` the threshold is looked for first, in all that was scored but the events that people confirmed:
    what nobody confirmed counts as normal.
    """
    if threshold is not None and per_hour is not None:
        raise HTTPException(400, "give a threshold, or per_hour, not both")
    config = _config(camera, who, context)
    until = datetime.now(UTC)
    since = until - timedelta(days=days)
    alarm = _alarm_now(camera, config, context)
    track = _track(camera, config, since)
    known = _events(camera, since, context)
    confirmed = [one for one in known if one.verdict == "confirmed"]
    normal = track.without([_span(one) for one in confirmed])
    message, is_enough, problem = None, True, None
    if not len(track.scores):
        problem = (
            "no scores of this camera are kept yet by the detector that watches now: they come while it is watched, "
            "and are kept for retention.scores_days"
        )
    elif threshold is not None:
        alarm = alarm.with_thresholds(threshold, threshold * _ratio(alarm))
    elif per_hour is not None:
        try:
            found = normal.threshold_for(per_hour, alarm)
        except EvaluationError as error:
            raise HTTPException(400, str(error)) from error
        alarm, message, is_enough = found.settings, found.message, found.is_enough
    alarms = track.alarms(alarm)
    on, off = alarm.thresholds
    return Raised(
        camera=camera, since=since, until=until, hours=round(track.hours, 3), threshold_on=on, threshold_off=off,
        message=message, is_enough=is_enough, n_alarms=len(alarms),
        alarms=[_would_alarm(one, known) for one in alarms[: -_MOST_LISTED - 1 : -1]], n_confirmed=len(confirmed),
        n_found=_found(alarms, confirmed), curve=_curve(track, alarm) if curve else [],
        scores=_highest(track, since), problem=problem,
    )  # fmt: skip


def _config(camera: str, who: Identity, context: AppContext) -> Config:
    config = context.config()
    if config is None or camera not in config.cameras or not who.may_see(camera):
        raise none_such("camera")
    return config


def _alarm_now(camera: str, config: Config, context: AppContext) -> AlarmSettings:
    """With the thresholds that it is watched with; those of the file, or 0.5, where it isn't."""
    alarm = config.cameras[camera].alarm
    for status in context.view.watched.cameras():
        if status.name == camera:
            return alarm.with_thresholds(status.threshold_on, status.threshold_off)
    return alarm.with_thresholds(0.5 if alarm.on is None else alarm.on, alarm.off)


def _ratio(alarm: AlarmSettings) -> float:
    on, off = alarm.thresholds
    return off / on if on else 1.0


def _track(camera: str, config: Config, since: datetime) -> ScoreTrack:
    detector = config.cameras[camera].detector
    if detector is None:
        return ScoreTrack(*np.zeros((3, 0)))
    return read_history(config.state, camera, detector_digest(promoted_detector(config.state, detector)), since)


def _events(camera: str, since: datetime, context: AppContext) -> list[StoredEvent]:
    query = EventQuery(cameras=(camera,), since=since, limit=_MOST_EVENTS)
    return list(context.store.list_events(query).events)


def _span(stored: StoredEvent) -> tuple[float, float]:
    event = stored.event
    return event.started.timestamp(), (event.ended or event.peak).timestamp()


def _found(alarms: Sequence[Alarm], confirmed: list[StoredEvent]) -> int:
    starts, ends = (np.array([getattr(alarm, name) for alarm in alarms]) for name in ("started_s", "ended_s"))
    return sum(bool(((starts <= end_s) & (ends >= start_s)).any()) for start_s, end_s in map(_span, confirmed))


def _meets(alarm: Alarm, stored: StoredEvent) -> bool:
    start_s, end_s = _span(stored)
    return alarm.started_s <= end_s and alarm.ended_s >= start_s


def _would_alarm(alarm: Alarm, known: list[StoredEvent]) -> WouldAlarm:
    event = next((one for one in known if _meets(alarm, one)), None)
    started, ended, peak = (datetime.fromtimestamp(t, UTC) for t in (alarm.started_s, alarm.ended_s, alarm.peak_s))
    return WouldAlarm(
        started=started, ended=ended, peak=peak, score=alarm.peak_score,
        event_id=None if event is None else event.event.event_id, verdict=None if event is None else event.verdict,
    )  # fmt: skip


def _curve(track: ScoreTrack, alarm: AlarmSettings) -> list[tuple[float, int]]:
    if not len(track.scores):
        return []
    # `off` lies above what most clips reach, else they would be one endless alarm; but the threshold asked for is there
    usual, highest = np.quantile(track.scores, _LOWEST_SHARE) + 1e-4, min(track.scores.max() + 0.01, 1.0)
    lowest = min(usual / max(_ratio(alarm), 1e-3), alarm.thresholds[0])
    thresholds = np.linspace(min(lowest, highest), highest, _POINTS)
    return list(zip(thresholds.round(4).tolist(), track.counts(thresholds, alarm), strict=True))


def _highest(track: ScoreTrack, since: datetime) -> list[tuple[float, float]]:
    """Of at most so many stretches of equal length."""
    if not len(track.starts):
        return []
    seconds = track.starts - since.timestamp()
    step = max(float(np.ptp(seconds)) / _BINS, 1e-3)
    bins = ((seconds - seconds.min()) / step).astype(int)
    highest = np.zeros(bins.max() + 1)
    np.maximum.at(highest, bins, track.scores)
    return [(round(float(seconds.min() + i * step), 2), round(float(highest[i]), 4)) for i in np.unique(bins)]
