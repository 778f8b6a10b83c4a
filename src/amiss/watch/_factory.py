"""From a configuration to the objects of the store, the alerts and the cameras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from amiss.detection import AlarmSettings
from amiss.video import GateSettings
from amiss.watch.camera import CameraSettings, Recorder, RecordingEnd
from amiss.watch.config import (
    AlarmConfig,
    CameraConfig,
    Config,
    Rule,
    RuleConfig,
    Thresholds,
)
from amiss.watch.store import Retention, RetentionSettings, Store

GB = 10**9


def rules_of(config: Config) -> tuple[Rule, ...]:
    """The rules."""
    return tuple(_rule(rule) for rule in config.rules)


def retention_of(config: Config, store: Store) -> Retention:
    """What deletes old clips and pictures."""
    given = config.retention
    settings = RetentionSettings(
        days=given.days,
        max_bytes=None if given.max_gb is None else round(given.max_gb * GB),
        min_free_bytes=round(given.min_free_gb * GB),
    )
    return Retention(config.media, settings, protected_ids=store.protected_ids, forget=store.forget_media)


def camera_settings(name: str, camera: CameraConfig, thresholds: Thresholds) -> CameraSettings:
    """How a camera is watched."""
    source, alarm = camera.source, camera.alarm
    return CameraSettings(
        name=name,
        url=camera.url,
        alarm=alarm_settings(alarm, thresholds),
        window=camera.window_clips,
        lookahead=camera.lookahead_clips,
        open_timeout_s=source.open_timeout_s,
        read_timeout_s=source.read_timeout_s,
        transport=source.transport,
        height=source.height,
        gate=GateSettings(threshold=camera.gate.threshold, refresh_s=camera.gate.refresh_s)
        if camera.gate.enabled
        else None,
        queue_clips=source.queue_clips,
        pre_roll_s=camera.record.pre_s,
    )


def alarm_settings(alarm: AlarmConfig, thresholds: Thresholds) -> AlarmSettings:
    """When scores become an event."""
    return AlarmSettings(
        on=thresholds.on,
        off=thresholds.off,
        smoothing_s=alarm.smoothing_s,
        min_length_s=alarm.min_length_s,
        merge_gap_s=alarm.merge_gap_s,
        cooldown_s=alarm.cooldown_s,
    )


def recorder_of(
    name: str, camera: CameraConfig, media: Path
) -> Callable[[Callable[[RecordingEnd], None]], Recorder] | None:
    """What builds a camera's recorder; None where nothing is kept."""
    record, alarm = camera.record, camera.alarm
    if not record.enabled:
        return None
    return lambda on_end: Recorder(
        media,
        name,
        on_end=on_end,
        pre_roll_s=record.pre_s,
        post_roll_s=record.post_s,
        late_s=10.0 + alarm.min_length_s,
    )


def _rule(rule: RuleConfig) -> Rule:
    return Rule(
        name=rule.name,
        channels=tuple(rule.channels),
        cameras=tuple(rule.cameras or ()),
        min_score=rule.min_score,
        min_length_s=rule.min_length_s,
        hours=rule.hours,
        days=tuple(rule.days or ()),
        time_zone=rule.time_zone,
        cooldown_s=rule.cooldown_s,
        on=rule.on,
    )
